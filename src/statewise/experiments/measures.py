"""Measures of one run: pure functions of its evaluations, and a frame with a row a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from statewise.experiments.curves import Curves

Floats = NDArray[np.float64]

FINAL_TENTHS = 1
"""Tenths of a run's evaluations, from its end, that its final performance is the mean of."""
SAFE_IN_A_ROW = 3
"""Evaluations in a row within the limit that make a policy count as safe from the first of them on."""

MEASURES: dict[str, str] = {
    "return": "final return: mean of the last tenth of evaluations",
    "cost": "final cost, in the same way",
    "satisfaction": "share of all evaluations within the cost limit",
    "violations": "steps in violation during training",
    "return_swing": "mean absolute change of the return between evaluations",
    "cost_swing": "mean absolute change of the cost between evaluations",
    "lam_swing": "mean absolute change of the mean multiplier on the probe states between evaluations",
    "return_reversal": "what of the return's changes was taken back, a change; 0 where it only rises or only falls",
    "cost_reversal": "the same of the cost",
    "lam_reversal": "the same of the multiplier",
    "safe_step": f"environment steps at the first of {SAFE_IN_A_ROW} evaluations in a row within the limit",
    "safe_minutes": "wall-clock minutes to there",
    "hours": "wall-clock hours of the run",
    "cpu_hours": "processor hours of the run, all threads together",
    "f_bias": "mean F̂ minus Monte Carlo over the final evaluations",
}
"""What each measure of a run means; null where it wasn't recorded or is not defined."""


def final_count(evaluations: int) -> int:
    """How many evaluations the final performance is taken over: the last tenth, at least one."""
    return -(-evaluations * FINAL_TENTHS // 10)


def final_mean(values: ArrayLike) -> float:
    """Mean of the last tenth of evaluations [n]."""
    array = np.asarray(values, dtype=float)
    return float(array[len(array) - final_count(len(array)) :].mean())


def swing(values: ArrayLike) -> float:
    """Mean absolute change between values in a row [n]: 4·amplitude·frequency for a wave, the slope for a line."""
    return float(np.abs(np.diff(np.asarray(values, dtype=float))).mean())


def reversal(values: ArrayLike) -> float:
    """The swing less what it led to, |last − first| / (n − 1): 0 for whatever only rises or only falls."""
    array = np.asarray(values, dtype=float)
    return swing(array) - abs(float(array[-1] - array[0])) / (len(array) - 1)


def first_safe(costs: ArrayLike, limit: float, in_a_row: int = SAFE_IN_A_ROW) -> int | None:
    """Index of the first of `in_a_row` costs in a row that are within the limit; None without any."""
    run = 0
    for i, safe in enumerate(np.asarray(costs, dtype=float) <= limit):
        run = run + 1 if safe else 0
        if run == in_a_row:
            return i - in_a_row + 1
    return None


def measure_runs(curves: Curves) -> pl.DataFrame:
    """Every run with its MEASURES, its last step, its number of evaluations, and whether it came to its end."""
    rows = curves.rows.partition_by("run", as_dict=True)
    measured = [
        _measure(run, rows[(run["run"],)]) for run in curves.runs.iter_rows(named=True) if (run["run"],) in rows
    ]
    schema = {"run": pl.String, "last_step": pl.Int64, "evaluations": pl.Int64, "finished": pl.Boolean}
    schema |= dict.fromkeys(MEASURES, pl.Float64)
    return curves.runs.join(pl.DataFrame(measured, schema=schema), on="run", how="left", maintain_order="left")


def _measure(run: dict[str, Any], rows: pl.DataFrame) -> dict[str, Any]:
    evaluations = rows.filter(pl.col("phase") == "eval").drop_nulls(["return", "cost"])
    found: dict[str, Any] = {
        "run": run["run"],
        "last_step": rows["step"].max(),
        "evaluations": len(evaluations),
        "finished": len(evaluations) > 0 and evaluations["step"][-1] >= run["total_steps"],
        "violations": _largest(rows, "violations"),
        "hours": _hours(rows, "seconds"),
        "cpu_hours": _hours(rows, "cpu_seconds"),
    }
    for name, column in (("return", "return"), ("cost", "cost"), ("lam", "probe_lam")):
        values = _present(evaluations, column)
        if name != "lam" and len(values):
            found[name] = final_mean(values)
        if len(values) > 1:
            found |= {f"{name}_swing": swing(values), f"{name}_reversal": reversal(values)}
    bias = _present(evaluations, "f_bias")
    if len(bias) and run["threshold"] is not None:
        found["f_bias"] = final_mean(bias)
    if len(evaluations) and run["cost_limit"] is not None:
        found |= _safety(evaluations, run["cost_limit"])
    return found


def _safety(evaluations: pl.DataFrame, limit: float) -> dict[str, float]:
    costs = evaluations["cost"].to_numpy()
    found = {"satisfaction": float(np.mean(costs <= limit))}
    first = first_safe(costs, limit)
    if first is not None:
        row = evaluations.row(first, named=True)
        found["safe_step"] = float(row["step"])
        if row.get("seconds") is not None:
            found["safe_minutes"] = row["seconds"] / 60
    return found


def _present(rows: pl.DataFrame, column: str) -> Floats:
    return rows[column].drop_nulls().to_numpy() if column in rows.columns else np.empty(0)


def _largest(rows: pl.DataFrame, column: str) -> float | None:
    values = _present(rows, column)
    return float(values.max()) if len(values) else None


def _hours(rows: pl.DataFrame, column: str) -> float | None:
    seconds = _largest(rows, column)
    return None if seconds is None else seconds / 3600
