"""The data of many runs in two frames: what the runs are, and every row that they logged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from statewise.errors import RunError
from statewise.spec import RunSpec, run_labels
from statewise.storage import metrics
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


# --- run folders -------------------------------------------------------------------------------------------------


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run folders at or below these paths, each once; RunError for a path with none."""
    found: dict[Path, None] = {}
    for path in paths:
        below = [path] if (path / "config.json").is_file() else sorted(c.parent for c in path.rglob("config.json"))
        runs = [folder for folder in below if RunFolder(folder).metrics_path.is_file()]
        if not runs:
            raise RunError(f"{path} is not a run folder and holds none: it needs a config.json beside a metrics.csv")
        found |= dict.fromkeys(folder.resolve() for folder in runs)
    return list(found)


def read_runs(paths: Sequence[Path]) -> Curves:
    """Curves of the run folders at or below these paths, labelled by what sets them apart.

    Raises RunError for a path without a run and for a configuration that can't be used, CheckpointError for metrics
    that can't be read.
    """
    folders = find_runs(paths)
    specs = [RunSpec.read(RunFolder(folder).config_path) for folder in folders]
    rows = [_rows(RunFolder(folder)) for folder in folders]
    runs = [
        {
            "run": str(folder),
            "label": label,
            "task": spec.task,
            "seed": spec.config.seed,
            "source": "statewise",
            "total_steps": spec.config.total_steps,
            "cost_limit": round(spec.config.cost_limit(_episode_steps(spec.task, part)), 9),
            "threshold": spec.config.threshold,
            "failure": _failure(folder),
        }
        for folder, spec, label, part in zip(folders, specs, run_labels(specs), rows, strict=True)
    ]
    return curves_of(runs, rows)


def _rows(run: RunFolder) -> pl.DataFrame:
    """A run's metrics, with the wall-clock and processor seconds that its timings add up to at each row's step."""
    rows = metrics.read(run.metrics_path)
    if not run.timing_path.is_file():
        return rows
    timing = metrics.read(run.timing_path)
    clocks = [name for name in ("seconds", "cpu_seconds") if name in timing.columns]
    so_far = timing.select("step", pl.col(clocks).cum_sum())
    return rows.sort("step", maintain_order=True).join_asof(so_far, on="step", strategy="backward")


def _episode_steps(task: str, rows: pl.DataFrame) -> int:
    """Steps of a task's episode: as it is registered or, of one from outside, of the longest mean that was logged."""
    import gymnasium

    import statewise.envs  # noqa: F401  (registers the native tasks)

    spec = gymnasium.registry.get(task)
    if spec is not None and spec.max_episode_steps:
        return spec.max_episode_steps
    longest = rows["length"].max()
    return round(longest) if isinstance(longest, float) else 0


def _failure(folder: Path) -> str | None:
    path = RunFolder(folder).failure_path
    return str(json.loads(path.read_text(encoding="utf-8"))["error"]) if path.is_file() else None
