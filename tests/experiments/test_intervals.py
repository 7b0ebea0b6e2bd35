"""Intervals and tests: by hand, against SciPy, against rliable's own numbers, and their coverage with five seeds."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from statewise.experiments import intervals
from statewise.experiments.intervals import (
    bootstrap_interval,
    holm,
    improvement,
    interquartile_mean,
    mean_interval,
    permutation_test,
    share_interval,
)

Floats = NDArray[np.float64]
RLIABLE = json.loads((Path(__file__).parents[1] / "data" / "statistics" / "rliable.json").read_text())
X, Y = ([np.array(task) for task in RLIABLE[name]] for name in "xy")


def array(*values: float) -> Floats:
    return np.array(values, dtype=float)


# --- means -------------------------------------------------------------------------------------------------------


def test_interval_of_a_symmetric_sample_is_students() -> None:
    sample = array(1.0, 2.0, 3.0, 4.0, 5.0)
    value, low, high = mean_interval([sample])
    expected = scipy.stats.t.interval(0.95, 4, 3.0, scipy.stats.sem(sample))
    assert value == 3.0
    assert (low, high) == pytest.approx(expected)


def test_arm_towards_the_longer_tail_is_longer_by_twice_the_skewness_of_the_mean() -> None:
    sample = array(0.0, 0.0, 0.0, 0.0, 5.0)  # mean 1, standard deviation √5, skewness √5
    value, low, high = mean_interval([sample])
    arm = scipy.stats.t.ppf(0.975, 4) * 1.0
    assert scipy.stats.skew(sample, bias=False) == pytest.approx(5**0.5)
    assert (value - low, high - value) == pytest.approx((arm, arm * (1 + 2 * 5**0.5 / 5**0.5)))
    assert mean_interval([-sample]).low == pytest.approx(-high)


def test_tasks_weigh_the_same_and_degrees_of_freedom_are_welchs() -> None:
    a, b = array(1.0, 2.0, 3.0), array(10.0, 14.0, 10.0, 14.0)
    value, low, high = mean_interval([a, b])
    welch = scipy.stats.ttest_ind(a, -b, equal_var=False).confidence_interval(0.95)
    assert value == pytest.approx((2.0 + 12.0) / 2)
    assert (low, high) == pytest.approx((welch.low / 2, welch.high / 2))


def test_too_few_seeds_have_no_interval_and_equal_ones_one_of_no_width() -> None:
    assert mean_interval([array(3.0)]).value == 3.0
    assert np.isnan(mean_interval([array(3.0)])[1:]).all()
    assert np.isnan(mean_interval([array(1.0, 2.0), array(3.0)])[1:]).all()
    assert mean_interval([array(2.0, 2.0, 2.0)]) == (2.0, 2.0, 2.0)


# --- against rliable ---------------------------------------------------------------------------------------------


def test_aggregates_are_rliables() -> None:
    assert mean_interval(X).value == pytest.approx(RLIABLE["mean"])
    assert 1 - np.mean([np.minimum(x, 1).mean() for x in X]) == pytest.approx(RLIABLE["optimality_gap"])
    assert interquartile_mean(np.concatenate(X)) == pytest.approx(RLIABLE["iqm"])
    assert improvement(X, Y).value == pytest.approx(RLIABLE["probability_of_improvement"])
    profile = [share_interval([(x > tau).astype(float) for x in X]).value for tau in RLIABLE["taus"]]
    assert profile == pytest.approx(RLIABLE["profile"])


def test_plain_percentiles_of_our_bootstrap_are_rliables_and_the_expanded_ones_lie_outside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expanded = bootstrap_interval(X, interquartile_mean, np.random.default_rng(0))
    # Percentiles as rliable takes them: the normal quantile in place of Student's, without the factor for few seeds.
    monkeypatch.setattr(intervals, "stdtrit", lambda df, p: 1.959964 * (4 / 5) ** 0.5)
    plain = bootstrap_interval(X, interquartile_mean, np.random.default_rng(0))
    assert plain[1:] == pytest.approx(RLIABLE["iqm_interval"], abs=0.003)
    assert expanded.low < plain.low - 0.003
    assert expanded.high > plain.high + 0.003


def test_score_interval_of_the_improvement_holds_rliables() -> None:
    _, low, high = improvement(X, Y)
    rliables = RLIABLE["probability_of_improvement_interval"]
    assert low <= rliables[0] + 0.01
    assert high >= rliables[1] - 0.01


# --- shares and improvement --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("safe", "runs"), [(0, 5), (2, 5), (5, 5), (7, 10)])
def test_share_of_one_task_has_wilsons_interval(safe: int, runs: int) -> None:
    found = share_interval([array(*[1.0] * safe, *[0.0] * (runs - safe))])
    wilson = scipy.stats.binomtest(safe, runs).proportion_ci(method="wilson")
    assert found == pytest.approx((safe / runs, wilson.low, wilson.high), abs=5e-4)


def test_improvement_by_hand() -> None:
    # 1 beats 0, ties with 1 and loses to 2; 3 beats all three.
    assert improvement([array(1.0, 3.0)], [array(0.0, 2.0, 1.0)]).value == pytest.approx(4.5 / 6)


def test_improvement_that_was_always_seen_is_not_certain() -> None:
    found = improvement([array(5, 6, 7, 8, 9)], [array(0, 1, 2, 3, 4)])
    assert found.value == found.high == 1.0
    # Newcombe's variance at P: P(1 − P)/25 · (1 + 4 (1 − P)/(2 − P) + 4 P/(1 + P)).
    p = found.low
    variance = p * (1 - p) / 25 * (1 + 4 * (1 - p) / (2 - p) + 4 * p / (1 + p))
    assert (1 - p) == pytest.approx(1.959964 * variance**0.5, abs=1e-3)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_improvement_and_its_opposite_mirror_each_other(a: list[float], b: list[float]) -> None:
    one, other = improvement([array(*a)], [array(*b)]), improvement([array(*b)], [array(*a)])
    assert one.value + other.value == pytest.approx(1.0)
    assert one.low + other.high == pytest.approx(1.0, abs=1e-6)
    assert one.low <= one.value <= one.high


# --- tests -------------------------------------------------------------------------------------------------------


def test_permutation_test_is_mann_whitneys_in_one_task() -> None:
    x, y = array(3.1, 4.7, 5.2, 6.0, 6.6), array(1.0, 2.2, 3.9, 4.1, 5.0)
    p = permutation_test([x], [y], np.random.default_rng(0))
    exact = scipy.stats.mannwhitneyu(x, y, method="exact").pvalue
    assert p == pytest.approx(exact, abs=0.01)


def test_permutation_test_adds_up_over_tasks() -> None:
    x, y = array(2.0, 4.0, 6.0), array(1.0, 3.0, 5.0)
    pairs = list(itertools.combinations(np.argsort(np.argsort(np.concatenate([x, y]))) + 1, 3))
    # All 20 × 20 ways in which two such tasks can be dealt out; the statistic is the sum of both rank sums.
    sums = np.array([sum(a) + sum(b) for a in pairs for b in pairs])
    seen, usual = 2 * (2 + 4 + 6), 2 * 3 * 7 / 2
    exact = np.mean(abs(sums - usual) >= abs(seen - usual))
    assert permutation_test([x, x], [y, y], np.random.default_rng(0)) == pytest.approx(exact, abs=0.015)


def test_permutation_test_knows_no_difference_and_a_clear_one() -> None:
    same = [array(1.0, 2.0, 3.0)] * 3
    assert permutation_test(same, same, np.random.default_rng(0)) == 1.0
    better = [x + 10 for x in same]
    assert permutation_test(better, same, np.random.default_rng(0)) == pytest.approx(2 / 20**3, abs=1e-3)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


# --- coverage ----------------------------------------------------------------------------------------------------

EXPERIMENTS = 2000
SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Floats]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "uniform": lambda random, shape: random.uniform(-1, 1, shape),
    "exponential": lambda random, shape: random.exponential(size=shape) - 1,
}


def coverage(found: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in found]))


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [1, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_interval_of_the_mean_covers_93_percent_with_five_seeds(shape: str, tasks: int) -> None:
    random = np.random.default_rng(1)
    scales = np.linspace(0.2, 1.0, tasks)[:, None]
    samples = SHAPES[shape](random, (EXPERIMENTS, tasks, 5)) * scales
    assert coverage([mean_interval(list(x))[1:] for x in samples], 0.0) > 0.93 - 0.006


@pytest.mark.slow
def test_interval_of_the_iqm_covers_93_percent_with_five_seeds_of_eight_tasks() -> None:
    random = np.random.default_rng(2)
    means, scales = np.linspace(0.3, 0.9, 8)[:, None], np.linspace(0.05, 0.3, 8)[:, None]

    def draw(count: int) -> Floats:
        return means + scales * random.normal(size=(count, 8, 5))

    truth = float(interquartile_mean(draw(20_000).reshape(20_000, -1)).mean())
    found = [bootstrap_interval(list(x), interquartile_mean, random, resamples=2000)[1:] for x in draw(500)]
    assert coverage(found, truth) > 0.93 - 0.012


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "tasks"), [(0.0, 1), (2.0, 1), (3.0, 1), (1.0, 8), (3.0, 8)])
def test_interval_of_the_improvement_covers_93_percent_with_five_seeds(shift: float, tasks: int) -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(shift, 1, (EXPERIMENTS, tasks, 5)), random.normal(0, 1, (EXPERIMENTS, tasks, 5))
    found: list[Any] = [improvement(list(a), list(b))[1:] for a, b in zip(x, y, strict=True)]
    assert coverage(found, float(scipy.stats.norm.cdf(shift / 2**0.5))) > 0.93 - 0.006
