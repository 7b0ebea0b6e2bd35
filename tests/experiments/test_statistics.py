"""Statistics over seeds and tasks: normalisation by hand, known means, what is compared, and curves between seeds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.stats
from support.many_runs import curves_by_hand

from statewise.experiments import statistics
from statewise.experiments.curves import Curves, curves_of
from statewise.experiments.evaluation import Evaluation, evaluate, write_evaluation
from statewise.experiments.statistics import bands, normalise, task_table

RLIABLE = json.loads((Path(__file__).parents[1] / "data" / "statistics" / "rliable.json").read_text())


def value(table: pl.DataFrame, column: str = "value", **where: str) -> float | None:
    """The one entry of a table where these columns have these values."""
    return table.filter(*(pl.col(name) == text for name, text in where.items()))[column].item()


@pytest.fixture(scope="module")
def by_hand() -> Evaluation:
    """Two labels, two tasks, two seeds each: (return, cost)."""
    return evaluate(
        curves_by_hand(
            {
                "good": {"A": [(10.0, 0.0), (8.0, 1.0)], "B": [(300.0, 2.0), (500.0, 0.0)]},
                "bad": {"A": [(0.0, 4.0), (2.0, 3.0)], "B": [(400.0, 10.0), (100.0, 6.0)]},
            }
        )
    )


def test_normalisation_by_hand(by_hand: Evaluation) -> None:
    scores = by_hand.runs.select("return_score", "cost_score").rows()
    # On A returns run from 0 to 10 and costs from 0 to 4, on B returns from 100 to 500 and costs from 0 to 10.
    assert scores == [
        (1.0, 0.0), (0.8, 0.25), (0.5, 0.2), (1.0, 0.0),
        (0.0, 1.0), (0.2, 0.75), (0.75, 1.0), (0.0, 0.6),
    ]  # fmt: skip
    assert np.isnan(normalise(np.array([3.0, 3.0]))).all()


def test_aggregates_by_hand(by_hand: Evaluation) -> None:
    summary = by_hand.summary
    assert value(summary, label="good", measure="return", statistic="mean") == pytest.approx((0.9 + 0.75) / 2)
    assert value(summary, label="good", measure="return", statistic="gap") == pytest.approx(1 - 0.825)
    assert value(summary, label="good", measure="return", statistic="iqm") == pytest.approx((0.8 + 1.0) / 2)
    assert value(summary, label="bad", measure="cost", statistic="mean") == pytest.approx((0.875 + 0.8) / 2)
    assert value(summary, label="good", measure="cost", statistic="safe") == 0.75
    assert value(summary, label="bad", measure="cost", statistic="safe") == 0.0
    mean = summary.filter((pl.col("statistic") == "mean") & (pl.col("measure") == "return"))
    gap = summary.filter(pl.col("statistic") == "gap")
    assert (1 - gap["low"]).to_list() == pytest.approx(mean["high"].to_list())


def test_comparison_by_hand(by_hand: Evaluation) -> None:
    table = by_hand.comparisons
    assert by_hand.reference == "good"
    # On A all 4 pairs are won; on B 500 beats both, 300 beats 100 and loses to 400.
    assert value(table, label="bad", measure="return") == pytest.approx((1 + 3 / 4) / 2)
    assert value(table, label="bad", measure="cost") == 1.0
    assert all(corrected >= p for p, corrected in zip(table["p"], table["p_holm"], strict=True))
    assert value(table, "p_holm", label="bad", measure="cost") == pytest.approx(
        2 * (value(table, "p", label="bad", measure="cost") or 0.0)
    )


def test_aggregates_are_rliables() -> None:
    tasks = {f"T{i}": [(x, 0.0) for x in task] for i, task in enumerate(RLIABLE["x"])}
    others = {f"T{i}": [(y, 0.0) for y in task] for i, task in enumerate(RLIABLE["y"])}
    # Two runs that pin every task's smallest and largest return to 0 and 1, so that scores are returns.
    pins = {name: [(0.0, 0.0), (1.0, 0.0)] for name in tasks}
    found = evaluate(curves_by_hand({"x": tasks, "y": others, "pins": pins}))
    assert value(found.summary, label="x", measure="return", statistic="mean") == pytest.approx(RLIABLE["mean"])
    assert value(found.summary, label="x", measure="return", statistic="iqm") == pytest.approx(RLIABLE["iqm"])
    assert value(found.summary, label="x", measure="return", statistic="gap") == pytest.approx(
        RLIABLE["optimality_gap"]
    )
    assert value(found.comparisons, label="y", measure="return") == pytest.approx(RLIABLE["probability_of_improvement"])
    profile = found.profiles.filter(pl.col("label") == "x")
    at = [int(100 * tau) for tau in RLIABLE["taus"]]
    assert [profile["value"][i] for i in at] == pytest.approx(RLIABLE["profile"])


def synthetic(means: dict[str, float], seeds: int = 5) -> Curves:
    """Curves that rise to known means with noise between seeds of standard deviation 1; costs fall to 0."""
    random = np.random.default_rng(0)
    steps = np.arange(1, 21) * 1000
    runs, rows = [], []
    for label, mean in means.items():
        for seed in range(seeds):
            name = f"{label}{seed}"
            known = {"source": "csv", "total_steps": 20_000, "cost_limit": 1.0}
            runs.append({"run": name, "label": label, "task": "T", "seed": seed, **known})
            gain = mean * np.minimum(steps / 10_000, 1.0) + random.normal()
            cost = np.maximum(10.0 - steps / 1000, 0.0)
            rows.append(pl.DataFrame({"phase": "eval", "step": steps, "return": gain, "cost": cost}))
    return curves_of(runs, rows)


def test_curves_with_known_means() -> None:
    found = evaluate(synthetic({"a": 20.0, "b": 10.0}))
    for label, mean in (("a", 20.0), ("b", 10.0)):
        row = found.tasks.filter((pl.col("label") == label) & (pl.col("measure") == "return")).row(0, named=True)
        assert row["low"] < mean < row["high"]
        assert row["value"] == pytest.approx(mean, abs=1.0)
        assert row["seeds"] == 5
        assert value(found.tasks, label=label, measure="safe_step") == 9000.0  # 10 − 9 is within the limit
        assert value(found.tasks, label=label, measure="satisfaction") == pytest.approx(12 / 20)
    assert value(found.comparisons, label="b", measure="return") == 1.0
    assert value(found.comparisons, "p", label="b", measure="return") == pytest.approx(2 / 252, abs=0.003)


def test_interval_of_a_task_is_that_of_its_seeds_and_never_below_what_can_be() -> None:
    costs = [0.0, 0.0, 0.0, 0.0, 30.0]
    found = evaluate(curves_by_hand({"a": {"T": [(1.0 + i, cost) for i, cost in enumerate(costs)]}})).tasks
    gain = found.filter(pl.col("measure") == "return").row(0, named=True)
    student = scipy.stats.t.interval(0.95, 4, 3.0, scipy.stats.sem([1, 2, 3, 4, 5]))
    assert (gain["low"], gain["high"]) == pytest.approx(student)
    cost = found.filter(pl.col("measure") == "cost").row(0, named=True)
    assert cost["low"] == 0.0
    assert cost["high"] > 30.0


def test_time_to_safety_counts_runs_that_never_got_there() -> None:
    runs = pl.DataFrame(
        {"label": "a", "task": "T", "seed": [0, 1, 2], "cost": 0.0, "cost_limit": 1.0}
        | {name: [1.0] * 3 for name in statistics._TABLE if name != "cost"}
        | {"safe_step": [500.0, None, 300.0], "safe_minutes": [None, None, 2.0]}
    )
    table = task_table(runs)
    assert value(table, measure="safe_step") == 500.0
    assert "safe_minutes" not in table["measure"].to_list()  # the clock of a run that got there is missing
    half = task_table(runs.with_columns(safe_step=pl.Series([500.0, None, None])))
    assert "safe_step" not in half["measure"].to_list()


# --- learning curves ---------------------------------------------------------------------------------------------


def curve(steps: list[int], values: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"phase": "eval", "step": steps, "return": values, "cost": 0.0})


def band_of(*curves: pl.DataFrame) -> pl.DataFrame:
    runs = [{"run": str(i), "label": "a", "task": "T", "seed": i} for i in range(len(curves))]
    return bands(curves_of(runs, curves)).filter(pl.col("column") == "return")


def test_band_at_shared_steps_is_mean_and_interval_of_the_seeds() -> None:
    band = band_of(*(curve([100, 200], [x, 2 * x]) for x in (1.0, 2.0, 3.0)))
    assert band["value"].to_list() == [2.0, 4.0]
    student = scipy.stats.t.interval(0.95, 2, 2.0, scipy.stats.sem([1, 2, 3]))
    assert (band["low"][0], band["high"][0]) == pytest.approx(student)
    assert band["seeds"].to_list() == [3, 3]


def test_band_at_other_steps_is_interpolated_as_far_as_all_runs_come() -> None:
    band = band_of(curve([100, 200, 300, 400], [1.0, 2.0, 3.0, 4.0]), curve([150, 250, 350], [0.0, 0.0, 0.0]))
    assert band["step"].to_list() == [150, 250, 350]
    assert band["value"].to_list() == [0.75, 1.25, 1.75]


# --- files -------------------------------------------------------------------------------------------------------


def test_files_hold_what_was_found(by_hand: Evaluation, tmp_path: Path) -> None:
    written = {path.name: path for path in write_evaluation(by_hand, tmp_path / "new" / "folder")}
    assert pl.read_parquet(written["curves.parquet"]).equals(by_hand.curves.rows)
    for name in ("runs", "tasks", "summary", "comparisons", "profiles", "bands"):
        table = getattr(by_hand, name)
        assert pl.read_csv(written[f"{name}.csv"], schema=table.schema).equals(table), name
    assert pl.read_csv(written["findings.csv"]).columns == ["kind", "label", "tasks", "text"]


def test_the_same_runs_give_the_same_numbers() -> None:
    curves = synthetic({"a": 3.0, "b": 2.0})
    one, two = evaluate(curves), evaluate(curves)
    assert one.summary.equals(two.summary)
    assert one.comparisons.equals(two.comparisons)


def test_reference_that_is_no_label() -> None:
    with pytest.raises(ValueError, match="reference: 'c' is no label; there are a, b"):
        evaluate(synthetic({"a": 1.0, "b": 2.0}), "c")
