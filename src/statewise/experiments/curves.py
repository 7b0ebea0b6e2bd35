"""The data of many runs in two frames: what the runs are, and every row that they logged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from statewise.errors import RunError
from statewise.experiments.commands import train_command
from statewise.experiments.logged import Logged, read_folder
from statewise.experiments.records import find_records, key_of, read_record
from statewise.spec import run_labels
from statewise.storage.run_folder import RunFolder

RUN_COLUMNS = pl.Schema(
    {
        "run": pl.String,
        "label": pl.String,
        "task": pl.String,
        "seed": pl.Int64,
        "source": pl.String,
        "total_steps": pl.Int64,
        "cost_limit": pl.Float64,
        "threshold": pl.Float64,
        "failure": pl.String,
        "command": pl.String,
        "machine": pl.String,
    }
)
"""Of `Curves.runs`; docs/statistics.md says what each means."""

KEYS = ("run", "label", "task", "seed")
"""Columns that say which run a row of `Curves.rows` belongs to."""


class Curves(NamedTuple):
    """Runs, a row each (RUN_COLUMNS), and what they logged: KEYS, phase, step, and one column a metric, sorted."""

    runs: pl.DataFrame
    rows: pl.DataFrame

    @property
    def evaluations(self) -> pl.DataFrame:
        """The rows of evaluations."""
        return self.rows.filter(pl.col("phase") == "eval")

    def where(self, keep: pl.Expr) -> Curves:
        """The curves of the runs for which an expression on `runs` holds."""
        runs = self.runs.filter(keep)
        return Curves(runs, self.rows.join(runs.select("run"), on="run", how="semi", maintain_order="left"))


def combine(parts: Sequence[Curves]) -> Curves:
    """All curves in one; a run whose limit nobody said takes that of its task's other runs, if they have one."""
    runs = pl.concat([part.runs for part in parts])
    limits = runs.group_by("task").agg(common=pl.col("cost_limit").drop_nulls().unique())
    only = pl.when(pl.col("common").list.len() == 1).then(pl.col("common").list.first())
    runs = runs.join(limits, on="task", how="left", maintain_order="left")
    runs = runs.with_columns(pl.col("cost_limit").fill_null(only)).drop("common")
    return Curves(runs, pl.concat([part.rows for part in parts], how="diagonal_relaxed"))


def curves_of(runs: Sequence[dict[str, Any]], rows: Sequence[pl.DataFrame]) -> Curves:
    """Curves of runs (RUN_COLUMNS; missing ones are null) and the rows of each, which get the KEYS."""
    frame = pl.DataFrame([dict.fromkeys(RUN_COLUMNS) | run for run in runs], schema=RUN_COLUMNS, orient="row")
    keyed = [
        part.sort("step", maintain_order=True).select(
            *(pl.lit(run[key], RUN_COLUMNS[key]).alias(key) for key in KEYS), pl.all()
        )
        for run, part in zip(runs, rows, strict=True)
    ]
    return Curves(frame, pl.concat(keyed, how="diagonal_relaxed"))


# --- run folders and records -------------------------------------------------------------------------------------


def find_runs(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The run folders and the records of runs at or below these paths, each once; RunError for a path with none."""
    folders: dict[Path, None] = {}
    records: dict[Path, None] = {}
    for path in paths:
        below = [path] if (path / "config.json").is_file() else sorted(c.parent for c in path.rglob("config.json"))
        runs = [folder for folder in below if RunFolder(folder).metrics_path.is_file()]
        recorded = [path] if path.is_file() else find_records(path)
        if not (runs or recorded):
            raise RunError(
                f"{path} is not a run folder and holds none: it needs a config.json beside a metrics.csv,"
                " or the files that a grid writes into its --results"
            )
        folders |= dict.fromkeys(folder.resolve() for folder in runs)
        records |= dict.fromkeys(record.resolve() for record in recorded)
    return list(folders), list(records)


def read_runs(paths: Sequence[Path]) -> Curves:
    """Curves of the run folders and records at or below these paths, labelled by what sets them apart.

    Of a run that has both, the folder is taken, unless only the record has come to its end. Raises RunError for a path
    without a run, for a configuration that can't be used and for a damaged record, CheckpointError for metrics that
    can't be read.
    """
    folders, records = find_runs(paths)
    runs = _each_once([read_folder(path) for path in folders], [read_record(path).run for path in records])
    described = [
        {
            "run": run.place,
            "label": label,
            "task": run.spec.task,
            "seed": run.spec.config.seed,
            "source": "statewise",
            "total_steps": run.spec.config.total_steps,
            "cost_limit": run.cost_limit,
            "threshold": run.spec.config.threshold,
            "failure": run.failure,
            "command": train_command(run.spec),
            "machine": run.machine,
        }
        for run, label in zip(runs, run_labels([run.spec for run in runs]), strict=True)
    ]
    return curves_of(described, [run.rows for run in runs])


def _each_once(folders: list[Logged], recorded: list[Logged]) -> list[Logged]:
    """Folders and records, without the poorer half of a run that is there as both."""
    whole = {key_of(run.spec) for run in folders if run.is_finished}
    records = [run for run in recorded if key_of(run.spec) not in whole]
    finished = {key_of(run.spec) for run in records if run.is_finished}
    kept = [run for run in folders if run.is_finished or key_of(run.spec) not in finished]
    unfinished = {key_of(run.spec) for run in kept}
    return kept + [run for run in records if run.is_finished or key_of(run.spec) not in unfinished]
