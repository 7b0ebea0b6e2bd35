"""One evaluation: everything that is said about a set of runs, and the files that it is kept in."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from statewise.experiments import statistics
from statewise.experiments.curves import Curves
from statewise.experiments.guards import Finding, counting, findings
from statewise.experiments.measures import measure_runs
from statewise.storage.files import write_bytes_atomic, write_text_atomic


class Evaluation(NamedTuple):
    """Frames that docs/statistics.md describes column by column."""

    curves: Curves
    runs: pl.DataFrame
    """A row a run: what it is, its measures, its scores (null where it doesn't count), whether it counts."""
    tasks: pl.DataFrame
    """Means over seeds, by label, task and measure."""
    summary: pl.DataFrame
    """Aggregates over tasks, by label, measure and statistic."""
    comparisons: pl.DataFrame
    """The reference against every other label."""
    profiles: pl.DataFrame
    bands: pl.DataFrame
    """Mean learning curves, by label, task and column."""
    findings: list[Finding]
    reference: str


def evaluate(curves: Curves, reference: str | None = None) -> Evaluation:
    """Everything about a set of runs; reference: the label that others are compared with, by default SAC-ALaM's or the
    first.

    Raises ValueError for no runs and for a reference that is no label.
    """
    labels = curves.runs["label"].unique(maintain_order=True).to_list()
    if not labels:
        raise ValueError("runs: there are none to evaluate")
    usual = "sac-alam" if "sac-alam" in labels else labels[0]
    chosen = usual if reference is None else reference
    if chosen not in labels:
        raise ValueError(f"reference: {chosen!r} is no label; there are {', '.join(labels)}")
    measured = measure_runs(curves)
    scored = statistics.score_runs(counting(measured))
    scores = [f"{measure}_score" for measure in statistics.SCORED]
    runs = measured.with_columns(counts=pl.col("run").is_in(scored["run"].to_list()))
    return Evaluation(
        curves=curves,
        runs=runs.join(scored.select("run", *scores), on="run", how="left", maintain_order="left"),
        tasks=statistics.task_table(scored),
        summary=statistics.summarise(scored),
        comparisons=statistics.compare(scored, chosen),
        profiles=statistics.profiles(scored),
        bands=statistics.bands(_shown(curves, runs)),
        findings=findings(measured, scored),
        reference=chosen,
    )


def _shown(curves: Curves, runs: pl.DataFrame) -> Curves:
    """The runs that learning curves are means of: those that count, or all where none has come to its end yet."""
    shown = runs.filter(pl.col("counts") | ~pl.col("counts").any().over("label", "task"))
    return curves.where(pl.col("run").is_in(shown["run"].to_list()))


def write_evaluation(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write curves.parquet, and a CSV for each table, into a folder that is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: getattr(evaluation, name) for name in ("runs", "tasks", "summary", "comparisons", "profiles")}
    tables["bands"] = evaluation.bands
    tables["findings"] = pl.DataFrame(evaluation.findings, schema=list(Finding._fields), orient="row")
    parquet = folder / "curves.parquet"
    write_bytes_atomic(parquet, _bytes_of(evaluation.curves.rows.write_parquet))
    written = [parquet]
    for name, table in tables.items():
        path = folder / f"{name}.csv"
        write_text_atomic(path, table.write_csv())
        written.append(path)
    return written


def _bytes_of(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()
