"""Figures of calibration on numbers worked by hand and on risks that are known; coverage of the conformal threshold."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import norm, spearmanr

from statewise.report.calibration import (
    Labelled,
    auroc,
    average_precision,
    conformal_threshold,
    figures,
    missed,
    missed_by_halves,
    over_episodes,
    peaks,
    ranks,
    spearman,
)
from statewise.report.calibration_report import calibration_report, dense_report, part_report

ONES = np.ones(4)
SCORE = np.array([0.1, 0.4, 0.35, 0.8])
POSITIVE = np.array([False, False, True, True])


def test_figures_by_hand() -> None:
    assert auroc(SCORE, POSITIVE, ONES) == 0.75  # three of four pairs in order
    assert average_precision(SCORE, POSITIVE, ONES) == pytest.approx((1.0 + 2.0 / 3.0) / 2.0)
    assert auroc(np.zeros(4), POSITIVE, ONES) == 0.5
    assert average_precision(np.zeros(4), POSITIVE, ONES) == 0.5
    assert spearman(SCORE, -(SCORE**3), ONES) == pytest.approx(-1.0)
    assert math.isnan(auroc(SCORE, np.ones(4, bool), ONES))
    assert math.isnan(average_precision(SCORE, np.zeros(4, bool), ONES))
    assert ranks(np.array([3.0, 1.0, 3.0, 7.0]), ONES).tolist() == [2.0, 0.5, 2.0, 3.5]


def test_a_weight_counts_as_so_many_states() -> None:
    random = np.random.default_rng(0)
    x, y, positive = random.normal(size=50).round(1), random.normal(size=50), random.random(50) < 0.3
    weight = random.integers(0, 4, 50).astype(float)
    often = np.repeat(np.arange(50), weight.astype(int))
    one = np.ones(len(often))
    assert auroc(x, positive, weight) == pytest.approx(auroc(x[often], positive[often], one))
    assert average_precision(x, positive, weight) == pytest.approx(average_precision(x[often], positive[often], one))
    assert spearman(x, y, weight) == pytest.approx(spearmanr(x[often], y[often])[0])


def test_known_risk_is_recovered() -> None:
    """Violations with probability Φ(x), scored by x and off by 0.2: the true AUROC by integration, the true bias."""
    random, episodes, length = np.random.default_rng(1), 300, 20
    x = random.normal(size=(episodes, length)) * 0.5 + random.normal(size=(episodes, 1))
    chance = norm.cdf(x)
    violated = random.random(x.shape) < chance
    ids = np.repeat(np.arange(episodes), length)
    states = Labelled(ids, (chance + 0.2).ravel(), chance.ravel(), violated.ravel(), violated.ravel())
    found = figures(states, of_value=True)
    grid = np.linspace(-8.0, 8.0, 4001)
    density = norm.pdf(grid, scale=math.sqrt(1.25))
    positives, negatives = density * norm.cdf(grid), density * norm.sf(grid)
    below = np.cumsum(negatives) / negatives.sum()
    truth = float((positives * below).sum() / positives.sum())
    assert found["auroc"].low < truth < found["auroc"].high
    assert found["violated"].low < 0.5 < found["violated"].high
    assert found["bias"].value == pytest.approx(0.2)
    assert found["spearman"].value == pytest.approx(1.0)


def test_intervals_are_over_episodes() -> None:
    """Forty episodes, each of one value alone: the interval is that of forty numbers, however many states they have."""
    values = np.repeat(np.random.default_rng(2).normal(size=40), 1000)
    ids = np.repeat(np.arange(40), 1000)
    found = over_episodes(lambda w: float(np.average(values, weights=w)), ids)
    expected = 2 * 1.96 * values[::1000].std() / math.sqrt(40)
    assert found.high - found.low == pytest.approx(expected, rel=0.2)


def test_peaks_are_of_the_states_that_lead_to_the_first_violation() -> None:
    ids = np.array([0, 0, 0, 1, 1, 2])
    leads = np.array([False, True, True, False, False, True])
    score = np.array([9.0, 1.0, 2.0, 5.0, 6.0, 0.5])
    assert peaks(Labelled(ids, score, score, leads, leads)).tolist() == [2.0, 0.5]


@pytest.mark.parametrize(("miss_rate", "episodes"), [(0.1, 19), (0.05, 100), (0.3, 12)])
def test_the_conformal_threshold_misses_as_seldom_as_it_promises(miss_rate: float, episodes: int) -> None:
    """1,000 repetitions: a skewed score, 200 new episodes each; the mean of the misses is k/(n + 1) at most."""
    random = np.random.default_rng(3)
    missed = []
    for _ in range(1000):
        threshold = conformal_threshold(random.exponential(size=episodes), miss_rate)
        assert threshold is not None
        missed.append(np.mean(random.exponential(size=200) <= threshold))
    exact = math.floor(miss_rate * (episodes + 1) + 1e-9) / (episodes + 1)
    assert exact <= miss_rate
    assert np.mean(missed) == pytest.approx(exact, abs=float(4 * np.std(missed) / math.sqrt(1000)))


def test_too_few_episodes_promise_nothing() -> None:
    assert conformal_threshold(np.ones(18), 0.05) is None
    assert conformal_threshold(np.arange(1.0, 20.0), 0.05) == np.nextafter(1.0, 0.0)
    with pytest.raises(ValueError, match=r"miss_rate: 1\.0 is not allowed"):
        conformal_threshold(np.ones(5), 1.0)


def test_the_report_is_json_with_and_without_an_answer() -> None:
    ids, score = np.arange(40), np.linspace(0.0, 1.0, 40)
    violated = score > 0.7
    report = calibration_report(Labelled(ids, score, score, violated, violated), 0.1, of_value=True)
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert report["auroc"]["value"] == 1.0
    assert report["violating_episodes"] == np.count_nonzero(violated)
    none = np.zeros(40, bool)
    report = calibration_report(Labelled(ids, score, score, none, none), 0.1, of_value=False)
    assert report["auroc"] == {"value": None, "low": None, "high": None}
    assert report["alarm_above"] is None
    assert report["missed"] is None
    assert report["brier"]["value"] == report["brier_of_rate"]["value"] == 0.0


def test_what_a_bound_misses() -> None:
    """Twelve episodes of one state each, which leads to a violation: one in four may be missed, of six peaks none.

    So each half's bound is just below its lowest peak, 0 of the even episodes and 0.5 of the odd ones; the second one
    misses the first's lowest.
    """
    assert missed(np.array([1.0, 2.0, 3.0]), 2.0) == pytest.approx(2.0 / 3.0)
    assert missed(np.array([]), 2.0) is None
    ids, leads = np.arange(12), np.ones(12, bool)
    score = np.array([0.0, 0.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0])
    assert missed_by_halves(Labelled(ids, score, score, leads, leads), 0.25) == pytest.approx(1.0 / 12.0)
    assert missed_by_halves(Labelled(ids, score, score, leads, leads), 0.1) is None


def test_other_states_are_judged_by_the_chances_of_those_met() -> None:
    """Met: violations above 0.5 alone. Others: violated all, so that only those above 0.5 were foretold."""
    ids, score = np.arange(40), np.linspace(0.0, 1.0, 40)
    met = Labelled(ids, score, score, score > 0.5, score > 0.5)
    everything = np.ones(4, bool)
    others = Labelled(np.arange(4), np.array([0.1, 0.2, 0.9, 1.0]), np.ones(4), everything, everything)
    report = dense_report(others, met, 0.1, of_value=True)
    assert report["brier"]["value"] == 0.5
    assert report["brier_of_rate"]["value"] == 0.0
    assert [each["states"] for each in report["reliability"]] == [2, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    assert report["missed"] == 0.5
    assert report["violating_episodes"] == 4
    assert report["bias"]["value"] == pytest.approx(-0.45)
    assert "missed" not in part_report(others, met, of_value=False, same_episodes=True)
