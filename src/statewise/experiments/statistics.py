"""Statistics over seeds and tasks, from a frame of measures with a row a run (`measures.measure_runs`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from statewise.experiments import intervals
from statewise.experiments.curves import Curves
from statewise.experiments.intervals import Estimate

Floats = NDArray[np.float64]

SCORED: dict[str, bool] = {"return": True, "cost": False, "cost_swing": False, "return_swing": False}
"""Measures that are normalised task by task, and whether more of it is better."""
COMPARED = ("return", "cost", "cost_swing")
"""Measures on which the reference is compared with every other label."""
PROFILE_GRID = np.linspace(0.0, 1.0, 101)
_TABLE = (
    "return", "cost", "satisfaction", "violations", "return_swing", "cost_swing", "lam_swing",
    "return_reversal", "cost_reversal", "lam_reversal", "hours", "cpu_hours",
)  # fmt: skip


# --- a task ------------------------------------------------------------------------------------------------------


def task_table(runs: pl.DataFrame) -> pl.DataFrame:
    """Means over seeds with their intervals: label, task, measure, value, low, high, seeds.

    `safe_step` and `safe_minutes` are medians in which a run that never got there counts as infinite, so they are null
    where half of the seeds didn't; `safe` is the share of seeds whose final cost is within the limit.
    """
    rows = []
    for (label, task), part in _groups(runs, "label", "task"):
        found: dict[str, tuple[Estimate, int]] = {}
        for measure in _TABLE:
            values = _values(part, measure)
            if len(values):
                found[measure] = _within_range(intervals.mean_interval([values]), measure), len(values)
        for measure in ("safe_step", "safe_minutes"):
            median = _median_of_those_that_got_there(part, measure)
            if median is not None:
                found[measure] = Estimate(median, np.nan, np.nan), len(part)
        known = part.filter(pl.col("cost_limit").is_not_null())
        if len(known):
            safe = (known["cost"] <= known["cost_limit"]).to_numpy().astype(float)
            found["safe"] = intervals.share_interval([safe]), len(safe)
        for measure, (estimate, seeds) in found.items():
            rows.append((label, task, measure, *estimate, seeds))
    return _table(("label", "task", "measure", "value", "low", "high", "seeds"), rows)


def _within_range(estimate: Estimate, measure: str) -> Estimate:
    """The interval cut to what the measure can be: all but the return are at least 0, and satisfaction at most 1."""
    low = estimate.low if measure == "return" else np.maximum(estimate.low, 0.0)
    high = np.minimum(estimate.high, 1.0) if measure == "satisfaction" else estimate.high
    return Estimate(estimate.value, float(low), float(high))


def _median_of_those_that_got_there(part: pl.DataFrame, measure: str) -> float | None:
    """None where it is not finite, or where a run got there at a time that nobody recorded."""
    got_there = part["safe_step"].is_not_null()
    if not part[measure].filter(got_there).is_not_null().all():
        return None
    median = float(np.median(part[measure].fill_null(np.inf).to_numpy())) if len(part) else np.inf
    return median if np.isfinite(median) else None


# --- scores ------------------------------------------------------------------------------------------------------


def normalise(values: Floats) -> Floats:
    """Values between their smallest, 0, and their largest, 1; NaN where they are all the same."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.full_like(values, np.nan)


def score_runs(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs with a column `<measure>_score` for each of SCORED: min-max over all runs of a task, 1 the largest.

    Null where a task's runs all have the same value, so that it tells nobody apart.
    """
    parts = []
    for part in runs.partition_by("task", maintain_order=True):
        scores = []
        for measure in SCORED:
            known = part[measure].drop_nulls()
            values = normalise(known.to_numpy()) if len(known) else np.empty(0)
            filled = np.full(len(part), np.nan)
            filled[part[measure].is_not_null().to_numpy()] = values
            scores.append(pl.Series(f"{measure}_score", filled).fill_nan(None))
        parts.append(part.with_columns(scores))
    if not parts:
        return runs.with_columns(pl.lit(None, pl.Float64).alias(f"{measure}_score") for measure in SCORED)
    return pl.concat(parts)


def sample_of(scored: pl.DataFrame, label: str, measure: str, tasks: Sequence[str]) -> list[Floats] | None:
    """Scores of a label, an array a task; None where it lacks one of the tasks."""
    here = scored.filter(pl.col("label") == label)
    sample = [_values(here.filter(pl.col("task") == task), f"{measure}_score") for task in tasks]
    return sample if tasks and all(map(len, sample)) else None


def scored_tasks(scored: pl.DataFrame, measure: str) -> list[str]:
    """Tasks on which a measure tells runs apart."""
    return scored.filter(pl.col(f"{measure}_score").is_not_null())["task"].unique(maintain_order=True).to_list()


# --- over all tasks ----------------------------------------------------------------------------------------------


def summarise(scored: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Aggregates of every label that has all tasks: label, measure, statistic, value, low, high, tasks, runs.

    statistic: mean; iqm, the interquartile mean; gap, what the scores lack to 1 (return only, more is worse); and safe,
    the share of runs that end within the cost limit.
    """
    rows = []
    random = np.random.default_rng(seed)
    for label in _labels(scored):
        for measure in SCORED:
            tasks = scored_tasks(scored, measure)
            sample = sample_of(scored, label, measure, tasks)
            if sample is None:
                continue
            size = len(tasks), sum(map(len, sample))
            mean = intervals.mean_interval(sample)
            iqm = intervals.bootstrap_interval(sample, intervals.interquartile_mean, random)
            rows += [(label, measure, "mean", *mean, *size), (label, measure, "iqm", *iqm, *size)]
            if measure == "return":
                rows.append((label, measure, "gap", 1 - mean.value, 1 - mean.high, 1 - mean.low, *size))
        safe = _safe_sample(scored, label)
        if safe is not None:
            rows.append((label, "cost", "safe", *intervals.share_interval(safe), len(safe), sum(map(len, safe))))
    return _table(("label", "measure", "statistic", "value", "low", "high", "tasks", "runs"), rows)


def _safe_sample(scored: pl.DataFrame, label: str) -> list[Floats] | None:
    """1 for each run that ends within the limit, 0 for each other, a task each; None where it lacks a task or limit."""
    safe = (pl.col("cost") <= pl.col("cost_limit")).cast(pl.Float64).alias("safe")
    here = scored.filter(pl.col("label") == label).with_columns(safe).drop_nulls("safe")
    sample = [part["safe"].to_numpy() for _, part in _groups(here, "task")]
    return sample if sample and len(sample) == scored["task"].n_unique() else None


def compare(scored: pl.DataFrame, reference: str, seed: int = 0) -> pl.DataFrame:
    """The reference against every other label on COMPARED: label, measure, value, low, high, p, p_holm, tasks.

    value: probability that a run of the reference is better than one of the label; a label that lacks a task is left
    out. p is that of the stratified permutation test, p_holm corrected for all comparisons of the table.
    """
    rows = []
    random = np.random.default_rng(seed)
    for measure in COMPARED:
        tasks = scored_tasks(scored, measure)
        sign = 1.0 if SCORED[measure] else -1.0
        mine = sample_of(scored, reference, measure, tasks)
        for label in _labels(scored):
            theirs = sample_of(scored, label, measure, tasks)
            if label == reference or mine is None or theirs is None:
                continue
            x, y = [sign * s for s in mine], [sign * s for s in theirs]
            p = intervals.permutation_test(x, y, random)
            rows.append((label, measure, *intervals.improvement(x, y), p, len(tasks)))
    table = _table(("label", "measure", "value", "low", "high", "p", "tasks"), rows)
    return table.with_columns(p_holm=pl.Series(intervals.holm(table["p"].to_list()), dtype=pl.Float64))


def profiles(scored: pl.DataFrame) -> pl.DataFrame:
    """Performance profiles of the return: label, score, value (share of runs above it, tasks equal), low, high."""
    tasks = scored_tasks(scored, "return")
    rows = []
    for label in _labels(scored):
        sample = sample_of(scored, label, "return", tasks)
        for score in PROFILE_GRID if sample is not None else ():
            assert sample is not None
            above = [(x > score).astype(float) for x in sample]
            rows.append((label, float(score), *intervals.share_interval(above)))
    return _table(("label", "score", "value", "low", "high"), rows)


# --- curves ------------------------------------------------------------------------------------------------------


def bands(curves: Curves, columns: Sequence[str] = ("return", "cost")) -> pl.DataFrame:
    """Means over seeds along training: label, task, column, step, value, low, high, seeds.

    At the steps of the run with the fewest evaluations, as far as all of a label's runs come; the others are
    interpolated there. Intervals are pointwise.
    """
    rows = []
    for (label, task), part in _groups(curves.evaluations, "label", "task"):
        for column in columns:
            kept = part.drop_nulls(column) if column in part.columns else part.clear()
            runs = [run.sort("step") for run in kept.partition_by("run", maintain_order=True)]
            if not runs:
                continue
            steps = min(runs, key=len)["step"].to_numpy()
            first, last = max(run["step"][0] for run in runs), min(run["step"][-1] for run in runs)
            steps = steps[(steps >= first) & (steps <= last)]
            values = np.array([np.interp(steps, run["step"].to_numpy(), run[column].to_numpy()) for run in runs])
            for step, at_step in zip(steps.tolist(), values.T, strict=True):
                estimate = _within_range(intervals.mean_interval([at_step]), column)
                rows.append((label, task, column, step, *estimate, len(runs)))
    return _table(("label", "task", "column", "step", "value", "low", "high", "seeds"), rows)


# --- shared ------------------------------------------------------------------------------------------------------


def _groups(frame: pl.DataFrame, *by: str) -> list[tuple[tuple[str, ...], pl.DataFrame]]:
    return [(tuple(map(str, key)), part) for key, part in frame.group_by(*by, maintain_order=True)]


def _labels(frame: pl.DataFrame) -> list[str]:
    return frame["label"].unique(maintain_order=True).to_list()


def _values(part: pl.DataFrame, column: str) -> Floats:
    return part[column].drop_nulls().to_numpy()


_KINDS = {"label": pl.String, "task": pl.String, "measure": pl.String, "statistic": pl.String, "column": pl.String}
_COUNTS = ("seeds", "tasks", "runs", "step")


def _table(names: Sequence[str], rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    """A frame of rows; NaN, an end of an interval that the seeds are too few for, becomes null."""
    schema = {n: _KINDS.get(n, pl.Int64 if n in _COUNTS else pl.Float64) for n in names}
    return pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None)
