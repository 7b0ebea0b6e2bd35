"""Measures of one run on signals whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.many_runs import write_run

from statewise.experiments.curves import read_runs
from statewise.experiments.measures import MEASURES, final_mean, first_safe, measure_runs, reversal, swing

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@pytest.mark.parametrize(("evaluations", "last"), [(1, 1), (8, 1), (10, 1), (11, 2), (20, 2), (200, 20)])
def test_final_performance_is_the_mean_of_the_last_tenth(evaluations: int, last: int) -> None:
    values = np.arange(evaluations, dtype=float)
    assert final_mean(values) == pytest.approx(values[-last:].mean())


def test_oscillation_of_known_signals() -> None:
    flat, line = np.full(41, 3.0), np.linspace(0.0, 20.0, 41)
    wave = np.sin(np.arange(41) * np.pi / 2)  # 0, 1, 0, -1: four quarters a period, one unit each
    assert (swing(flat), reversal(flat)) == (0.0, 0.0)
    assert (swing(line), reversal(line)) == pytest.approx((0.5, 0.0))
    assert (swing(wave), reversal(wave)) == pytest.approx((1.0, 1.0))
    # A wave on a line that it never turns back has no reversal; one that does has what it goes down, twice.
    assert reversal(line + 0.2 * wave) == pytest.approx(0.0)
    assert reversal(np.array([0.0, 3.0, 1.0, 4.0])) == pytest.approx(2 * 2.0 / 3)


@given(NUMBERS)
def test_oscillation_has_no_sign_no_place_and_no_direction(values: list[float]) -> None:
    array = np.array(values)
    for measure in (swing, reversal):
        assert measure(array) == pytest.approx(measure(-array), abs=1e-6)
        assert measure(array) == pytest.approx(measure(array[::-1]), abs=1e-6)
        assert measure(array + 7) == pytest.approx(measure(array), abs=1e-6)
    assert -1e-6 <= reversal(array) <= swing(array) + 1e-6
    assert reversal(np.sort(array)) == pytest.approx(0.0, abs=1e-6)


def test_safe_from_the_first_of_three_in_a_row() -> None:
    assert first_safe([5, 0, 0, 2, 0, 1, 0, 9], limit=1) == 4
    assert first_safe([0, 0, 2, 0, 0], limit=1) is None
    assert first_safe([0, 1, 1], limit=1) == 0
    assert first_safe([float("nan")] * 3, limit=1) is None


def test_measures_of_a_run_folder(tmp_path: Path) -> None:
    costs = [9.0, 0.0, 2.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.5]
    returns = [0.0, 4.0, 2.0, *[6.0] * 6, 7.0]
    more = {"probe_lam": [1.0, 2.0] * 5, "f_bias": [0.0] * 9 + [-0.3]}
    write_run(tmp_path, "sac-alam", 3, returns, costs, seconds=120.0, cpu_seconds=180.0, columns=more)
    (run,) = measure_runs(read_runs([tmp_path])).iter_rows(named=True)
    expected = {
        "return": 7.0,
        "cost": 0.5,
        "satisfaction": 0.8,  # the limit d(1 − γ)H is 0.1 · 0.01 · 1000 = 1
        "violations": 100.0,
        "return_swing": (4 + 2 + 4 + 1) / 9,
        "return_reversal": (4 + 2 + 4 + 1 - 7) / 9,
        "cost_swing": (9 + 2 + 1 + 1 + 0.5 + 0.5 + 0.5) / 9,
        "lam_swing": 1.0,
        "lam_reversal": (9 - 1) / 9,
        "safe_step": 400.0,
        "safe_minutes": 8.0,
        "hours": 1200 / 3600,
        "cpu_hours": 0.5,
        "f_bias": -0.3,
    }
    assert {name: run[name] for name in expected} == pytest.approx(expected)
    assert (run["seed"], run["cost_limit"], run["last_step"], run["evaluations"]) == (3, 1.0, 1000, 10)
    assert run["finished"] is True
    assert set(MEASURES) <= set(run)


def test_run_that_has_just_begun_has_no_measures(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [], [], total_steps=100)
    (run,) = measure_runs(read_runs([tmp_path])).iter_rows(named=True)
    assert run["finished"] in (False, None)
    assert [name for name in MEASURES if run[name] is not None] == []


def test_what_was_not_recorded_is_null(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [1.0], [0.0])
    measured = measure_runs(read_runs([tmp_path]))
    assert measured.select("lam_swing", "return_swing", "hours", "cpu_hours").row(0) == (None, None, None, None)
    assert measured.select(pl.col("return", "cost", "satisfaction")).row(0) == (1.0, 0.0, 1.0)
