"""Curves from elsewhere: OmniSafe's progress.csv, and plain CSV with a row an evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from statewise.errors import RunError
from statewise.experiments.curves import KEYS, Curves, combine, curves_of

_OMNISAFE: dict[str, tuple[str, ...]] = {
    "step": ("TotalEnvSteps",),
    "return": ("Metrics/TestEpRet", "Metrics/EpRet"),
    "cost": ("Metrics/TestEpCost", "Metrics/EpCost"),
    "length": ("Metrics/TestEpLen", "Metrics/EpLen"),
    "probe_lam": ("Metrics/LagrangeMultiplier", "Metrics/LagrangeMultiplier/Mean"),
    "seconds": ("Time/Total",),
}
"""Our columns, and theirs in order of preference: evaluations where it made any, else its training episodes."""

_CSV_NEEDS = ("step", "return", "cost", "seed")
_CSV_OF_RUNS = ("label", "method", "task", "cost_limit", "threshold", "total_steps")
DEFAULT_THRESHOLD = 0.1
"""The d that Statewise takes where a configuration says nothing, for f_bias in a CSV without a column threshold."""


# --- OmniSafe ----------------------------------------------------------------------------------------------------


def read_omnisafe(paths: Sequence[Path]) -> Curves:
    """Curves of OmniSafe's runs: each path a progress.csv or a folder with some at or below it.

    Method, task, seed and budget are those of the config.json beside it, which OmniSafe writes. Its multiplier counts
    as λ. Raises RunError where there is no such file, or one that OmniSafe can't have written.
    """
    return combine([_omnisafe_run(file) for path in paths for file in _progress_files(path)])


def _progress_files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.rglob("progress.csv"))
    if not files:
        raise RunError(f"{path}: there is no progress.csv of OmniSafe at or below it")
    return files


def _omnisafe_run(path: Path) -> Curves:
    beside = path.with_name("config.json")
    try:
        config = json.loads(beside.read_text(encoding="utf-8"))
        epoch = int(config["algo_cfgs"]["steps_per_epoch"])
        run = {
            "run": str(path.parent.resolve()),
            "label": str(config["algo"]),
            "task": str(config["env_id"]),
            "seed": int(config["seed"]),
            # It learns in whole epochs.
            "total_steps": int(config["train_cfgs"]["total_steps"]) // epoch * epoch,
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{beside}: not a configuration of OmniSafe ({type(error).__name__}: {error})") from error
    table = _read_table(path)
    chosen = {name: next((c for c in theirs if c in table.columns), None) for name, theirs in _OMNISAFE.items()}
    for name in ("step", "return", "cost"):
        if chosen[name] is None:
            raise RunError(f"{path}: not a progress.csv of OmniSafe: it has no column {_OMNISAFE[name][-1]}")
    tested = chosen["return"] == _OMNISAFE["return"][0]
    run["source"] = "omnisafe" if tested else "omnisafe, training episodes"
    columns = [pl.col(theirs).cast(pl.Float64).alias(name) for name, theirs in chosen.items() if theirs is not None]
    rows = table.select(pl.lit("eval").alias("phase"), *columns).with_columns(pl.col("step").cast(pl.Int64))
    return curves_of([run], [rows])


# --- plain CSV ---------------------------------------------------------------------------------------------------


def read_csv(paths: Sequence[Path]) -> Curves:
    """Curves of plain CSV files: a row an evaluation, with columns step, return, cost and seed.

    Columns label (or method, or both: "method (label)"), task, cost_limit, threshold and total_steps say more of the
    run. Without label and method the file's name is the label, without task its folder's name is the task, without
    total_steps the last step of any run of that task and label is the budget. Further columns of numbers are metrics.
    Raises RunError for a file that can't be read or lacks a column.
    """
    return combine([_csv_runs(path) for path in paths])


def _csv_runs(path: Path) -> Curves:
    table = _read_table(path)
    for name in _CSV_NEEDS:
        if name not in table.columns:
            raise RunError(f"{path}: has no column {name}; it needs {', '.join(_CSV_NEEDS)}")
    if table.is_empty():
        raise RunError(f"{path}: holds no rows")
    try:
        table = table.cast({"step": pl.Int64, "seed": pl.Int64, "return": pl.Float64, "cost": pl.Float64})
    except pl.exceptions.PolarsError as error:
        raise RunError(f"{path}: step and seed must be whole numbers, return and cost numbers: {error}") from error
    table = table.with_columns(label=_csv_label(table, path))
    if "task" not in table.columns:
        table = table.with_columns(task=pl.lit(path.resolve().parent.name))
    if "total_steps" not in table.columns:
        table = table.with_columns(total_steps=pl.col("step").max().over("label", "task"))
    if "threshold" not in table.columns and "f_bias" in table.columns:
        table = table.with_columns(threshold=DEFAULT_THRESHOLD)
    parts = table.partition_by("label", "task", "seed", maintain_order=True)
    numbers = [name for name, kind in table.schema.items() if kind.is_numeric()]
    metrics = [name for name in numbers if name not in (*KEYS, *_CSV_OF_RUNS)]
    rows = [part.select(pl.lit("eval").alias("phase"), *metrics) for part in parts]
    return curves_of([_csv_run(part, path) for part in parts], rows)


def _csv_label(table: pl.DataFrame, path: Path) -> pl.Expr:
    named = [name for name in ("method", "label") if name in table.columns]
    if not named:
        return pl.lit(path.stem)
    if len(named) == 1 or table["label"].n_unique() == 1:
        return pl.col(named[0])
    return pl.format("{} ({})", "method", "label")


def _csv_run(part: pl.DataFrame, path: Path) -> dict[str, Any]:
    first = part.row(0, named=True)
    said = {name: first[name] for name in ("cost_limit", "threshold", "total_steps") if name in first}
    name = f"{path.resolve()}#{first['label']}/{first['task']}/{first['seed']}"
    return {"run": name, "source": "csv", "label": first["label"], "task": first["task"], "seed": first["seed"], **said}


def _read_table(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{path}: can't be read as CSV: {error}") from error
