"""The recorded evaluation as tables: a task each, a row a method, every run and the mean with its interval.

    python benchmarks/evaluation.py                    # of results/evaluation; seconds
    python benchmarks/evaluation.py --runs FOLDER

The runs are those of `statewise grid benchmarks/evaluation.toml --results results/evaluation`. Final figures are means
of the last tenth of a run's evaluations; intervals are of 95 % over seeds; a swing is the mean absolute change between
evaluations. Only finished runs count. Writes benchmarks/results/evaluation.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import polars as pl
from claims import main

from statewise.experiments.statistics import task_table
from statewise.methods import METHODS

SPEC = Path(__file__).parent / "evaluation.toml"
RESULTS = Path(__file__).parent / "results" / "evaluation.md"
HEAD = (
    "method",
    "final return / cost, by seed",
    "return",
    "cost",
    "cost swing",
    "return swing",
    "violations in training",
    "bias of F̂",
    "CPU minutes",
)


def table(runs: pl.DataFrame, task: str) -> Iterator[str]:
    """A row for each method that has finished runs on a task."""
    means = task_table(runs.filter(pl.col("task") == task))
    yield f"| {' | '.join(HEAD)} |"
    yield f"{'|---' * len(HEAD)}|"
    for method in METHODS:
        here = runs.filter((pl.col("task") == task) & (pl.col("label") == method)).sort("seed")
        if here.is_empty():
            continue
        of_method = means.filter(pl.col("label") == method)
        minutes = here["cpu_hours"].mean()
        cells = [
            f"`{method}`",
            "; ".join(f"{_figure(row['return'])} / {_figure(row['cost'])}" for row in here.iter_rows(named=True)),
            *(_mean(of_method, measure) for measure in ("return", "cost", "cost_swing", "return_swing", "violations")),
            "; ".join("–" if bias is None else f"{bias:+.2f}" for bias in here["f_bias"]),
            f"{60 * minutes:.1f}" if isinstance(minutes, float) else "–",
        ]
        yield f"| {' | '.join(cells)} |"


def _mean(table: pl.DataFrame, measure: str) -> str:
    rows = table.filter(pl.col("measure") == measure)
    if rows.is_empty():
        return "–"
    row = rows.row(0, named=True)
    text = _figure(row["value"])
    return text if row["seeds"] < 2 else f"{text} [{_figure(row['low'])}, {_figure(row['high'])}]"


def _figure(value: float) -> str:
    """One decimal below two hundred, none above."""
    rounded = round(value, 1) + 0.0
    return f"{rounded:,.1f}" if abs(rounded) < 200 else f"{rounded:,.0f}"


def report(runs: pl.DataFrame) -> str:
    """The tables of all tasks."""
    known = set(runs["task"])
    tasks = [task for task in tomllib.loads(SPEC.read_text())["tasks"] if task in known]
    lines = [
        "# The evaluation, task by task",
        "",
        f"`python benchmarks/evaluation.py`, of {len(runs)} finished runs on {len(tasks)} tasks. Final figures are"
        " means of the last tenth of a run's evaluations, intervals of 95 % over seeds.",
    ]
    for task in tasks:
        lines += ["", f"## {task}", "", *table(runs, task)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(__doc__, report, RESULTS)
