"""From an evaluation to the page that tells it."""

from __future__ import annotations

import html
import math
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from statewise import __version__
from statewise.experiments.evaluation import Evaluation
from statewise.experiments.measures import MEASURES
from statewise.report.figures import short
from statewise.report.page import Page, Section, chart
from statewise.report.page.films import Films
from statewise.report.page.tables import Cell, estimate, number, table
from statewise.report.styles import styles_of

SHOWN = ("return", "cost", "safe", "violations", "return_swing", "cost_swing", "lam_swing", "cpu_hours")
"""Measures of the table of a task, in its order."""
EVALUATED = ("return", "cost", "probe_lam", "f_bias")
TRAINED = ("lam", "lam_q10", "lam_q50", "lam_q90", "rho", "f", "f_q90")
"""Columns that the charts of a single run show."""
_OPEN = 3
"""Findings of a kind that are all shown; more are folded under what they have in common."""
_KINDS = {
    "unfinished": "Runs that did not come to their end",
    "twice": "Seeds that are there more than once",
    "missing": "Methods without a finished run on some task: no aggregate, no comparison",
    "seeds": "Tasks with unequal numbers of seeds, or a single one",
    "budget": "Tasks on which steps of training differ",
    "range": "Tasks on which all runs are equal",
    "limit": "Cost limits that differ or are not known",
    "training": "Curves of training episodes",
    "bias": "Runs whose F̂ is off by more than d at the end, so that F̂ and λ say little",
}
"""What the findings of a kind have in common."""
_PACKAGES = ("jax", "mujoco", "gymnasium", "numpy", "polars")


def build_page(evaluation: Evaluation, title: str = "Evaluation", refresh: int | None = None) -> Page:
    """The page of an evaluation; refresh: seconds after which a browser loads it again."""
    runs = evaluation.runs.with_row_index("number").to_dicts()
    tasks = evaluation.runs["task"].unique(maintain_order=True).to_list()
    sections = (
        Section("findings", "Before you read the numbers", _findings(evaluation)),
        Section("summary", "All tasks together", _summary(evaluation)),
        Section("tasks", "Task by task", "".join(_task(evaluation, task) for task in tasks)),
        Section("curves", "Along training", _curves(tasks)),
        Section("comparisons", f"{evaluation.reference} against the others", _comparisons(evaluation)),
        Section("runs", "Every run", _runs(runs)),
        Section("reproduce", "To reproduce this", _reproduce(runs)),
    )
    return Page(title, _lead(evaluation), sections, _data(evaluation, runs), _details(evaluation, runs), refresh)


# --- sections ----------------------------------------------------------------------------------------------------


def _lead(evaluation: Evaluation) -> str:
    runs = evaluation.runs
    counted = int(runs["counts"].sum())
    methods, tasks = runs["label"].n_unique(), runs["task"].n_unique()
    return (
        f"<p>{counted} of {len(runs)} runs count: {methods} methods on {tasks} tasks. Final numbers are means of the "
        "last tenth of a run's evaluations; brackets are 95 % intervals over seeds. A cost limit is what the "
        "threshold d allows an episode, d(1 − γ)H.</p>"
    )


def _findings(evaluation: Evaluation) -> str:
    if not evaluation.findings:
        return "<p>Nothing is amiss: every method has every task with as many seeds, and every run came to its end.</p>"
    kinds: dict[str, list[str]] = {}
    for finding in evaluation.findings:
        sentence = ": ".join(filter(None, (finding.label, finding.tasks, finding.text)))
        kinds.setdefault(finding.kind, []).append(f"<li>{html.escape(sentence)}</li>")
    shown = "".join("".join(items) if len(items) <= _OPEN else _folded(kind, items) for kind, items in kinds.items())
    return f'<div class="findings"><ul>{shown}</ul></div>'


def _folded(kind: str, items: Sequence[str]) -> str:
    summary = f"<summary>{_KINDS.get(kind, kind)} ({len(items)} findings)</summary>"
    return f"<li><details>{summary}<ul>{''.join(items)}</ul></details></li>"


def _summary(evaluation: Evaluation) -> str:
    table_ = evaluation.summary
    if table_.is_empty():
        return "<p>No method has runs on every task that came to their end, so there is no number for all of them.</p>"
    columns = (
        ("return, mean", "return", "mean"),
        ("return, IQM", "return", "iqm"),
        ("optimality gap", "return", "gap"),
        ("cost, mean", "cost", "mean"),
        ("share of safe runs", "cost", "safe"),
        ("swing of cost", "cost_swing", "mean"),
    )
    rows = []
    for label in table_["label"].unique(maintain_order=True):
        here = table_.filter(pl.col("label") == label)
        rows.append([label, *(_estimate_in(here, measure=m, statistic=s) for _, m, s in columns)])
    caption = "Normalised task by task, 0 the smallest and 1 the largest of all runs; brackets are 95 % intervals"
    charts = chart("scatter", "Normalised return against normalised cost of every method, with intervals") + chart(
        "profiles", "Share of runs above each normalised return, by method"
    )
    return table(caption, ["method", *(name for name, _, _ in columns)], rows, name="summary") + (
        f'<div class="charts">{charts}</div>'
    )


def _task(evaluation: Evaluation, task: str) -> str:
    here = evaluation.tasks.filter(pl.col("task") == task)
    present = [measure for measure in SHOWN if measure in set(here["measure"])]
    rows = [
        [label, *(_estimate_in(here.filter(pl.col("label") == label), measure=measure) for measure in present)]
        for label in here["label"].unique(maintain_order=True)
    ]
    limit = _limit(evaluation, task)
    said = "no cost limit is known" if limit is None else f"cost limit {number(limit)} an episode"
    heading = f'<h3 id="task-{html.escape(task)}">{html.escape(task)}</h3>'
    if not rows:
        return heading + "<p>No run came to its end yet.</p>"
    return heading + table(f"{task}: {said}", ["method", *map(_heading, present)], rows, name=f"task:{task}")


def _heading(measure: str) -> str:
    return "share of safe runs" if measure == "safe" else measure.replace("_", " ").replace("lam", "λ")


def _curves(tasks: list[str]) -> str:
    controls = (
        '<div class="controls"><label><input type="checkbox" id="seeds"> '
        "single seeds in place of intervals</label></div>"
    )
    charts = "".join(
        chart("curves", f"Return and cost along training on {task}, by method", task=task) for task in tasks
    )
    return f'{controls}<div class="charts">{charts}</div>'


def _comparisons(evaluation: Evaluation) -> str:
    if evaluation.comparisons.is_empty():
        return "<p>There is no other method with runs on all the same tasks.</p>"
    rows = [
        [
            row["label"],
            _heading(row["measure"]),
            estimate(row["value"], row["low"], row["high"]),
            Cell(f"{row['p_holm']:.3f}", row["p_holm"]),
        ]
        for row in evaluation.comparisons.to_dicts()
    ]
    caption = (
        f"Probability that a run of {evaluation.reference} is better than one of the other (less cost and less swing "
        "are better); p of a permutation test, corrected for all comparisons (Holm)"
    )
    return table(caption, ["other", "measure", "probability", "p"], rows, name="comparisons")


def _runs(runs: list[dict[str, Any]]) -> str:
    shown = ("return", "cost", "violations", "f_bias")
    rows = [
        [
            Cell(f'<button type="button" data-run="{run["number"]}">{html.escape(run["label"])}</button>', markup=True),
            run["task"],
            str(run["seed"]),
            *(estimate(run[measure], None, None) for measure in shown),
            "" if run["counts"] else _why_not(run),
        ]
        for run in runs
    ]
    controls = '<div class="controls"><label>Filter <input id="filter" type="search" autocomplete="off"></label></div>'
    headers = ["method", "task", "seed", *map(_heading, shown), "left out because"]
    return (
        controls
        + table("Choose a method's name to open its run", headers, rows, name="runs")
        + '<div class="detail" id="detail" aria-live="polite"></div>'
    )


def _why_not(run: dict[str, Any]) -> str:
    if run["failure"]:
        return str(run["failure"])
    return "it has not come to its end" if not run["finished"] else "its seed is there twice"


def _reproduce(runs: list[dict[str, Any]]) -> str:
    commands = {run["command"] for run in runs if run["command"] is not None}
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    lines = "\n".join(html.escape(command) for command in sorted(commands))
    others = [run for run in runs if run["command"] is None]
    machines = Counter(run["machine"] for run in runs if run["machine"] is not None)
    computed = "".join(f"<li>{count} runs: {html.escape(said)}</li>" for said, count in machines.most_common())
    imported = f"<p>{len(others)} runs were imported and have no command here.</p>" if others else ""
    return (
        f"<p>Statewise {__version__}; {packages}; {machine}, where this page was made.</p>"
        + (f"<p>The runs were computed on</p><ul>{computed}</ul>" if computed else "")
        + f'<div class="scroll" role="region" tabindex="0" aria-label="Commands"><pre>{lines}</pre></div>{imported}'
    )


# --- data of the charts ------------------------------------------------------------------------------------------


def _data(evaluation: Evaluation, runs: list[dict[str, Any]]) -> dict[str, Any]:
    labels = evaluation.runs["label"].unique(maintain_order=True).to_list()
    tasks = evaluation.runs["task"].unique(maintain_order=True).to_list()
    bands = [
        {"label": label, "task": task, "column": column, **_columns(part, ("step", "value", "low", "high"))}
        for (label, task, column), part in evaluation.bands.group_by("label", "task", "column", maintain_order=True)
    ]
    means = evaluation.summary.filter(pl.col("statistic") == "mean")
    trade_off = [
        {"label": label, **{m: _interval(part.filter(pl.col("measure") == m)) for m in ("return", "cost")}}
        for (label,), part in means.group_by("label", maintain_order=True)
        if {"return", "cost"} <= set(part["measure"])
    ]
    profiles = [
        {"label": label, **_columns(part, ("score", "value"))}
        for (label,), part in evaluation.profiles.group_by("label", maintain_order=True)
    ]
    return {
        "styles": {label: style._asdict() for label, style in styles_of(labels).items()},
        "limits": {task: _limit(evaluation, task) for task in tasks},
        "short": {task: short(task) for task in tasks},
        "bands": bands,
        "trade_off": trade_off,
        "profiles": profiles,
        "runs": [{key: run[key] for key in ("number", "label", "task", "seed")} for run in runs],
    }


def _details(evaluation: Evaluation, runs: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    rows = evaluation.curves.rows.partition_by("run", as_dict=True)
    details, films = {}, Films()
    for run in runs:
        logged = rows.get((run["run"],), evaluation.curves.rows.clear())  # one that has just begun
        phases = (("evaluations", "eval", EVALUATED), ("training", "train", TRAINED))
        details[run["number"]] = {
            "html": _detail(run, films),
            **{
                name: _columns(logged.filter(pl.col("phase") == phase), ("step", *columns))
                for name, phase, columns in phases
            },
        }
    return details


def _detail(run: dict[str, Any], films: Films) -> str:
    who = f"{run['label']} on {run['task']}, seed {run['seed']}"
    command, place = run["command"], _from_here(Path(run["run"]))
    said = f"<pre>{html.escape(command)}</pre>" if command else f"<p>Imported from {html.escape(str(place))}.</p>"
    measured = [
        [name, estimate(run[name], None, None), meaning] for name, meaning in MEASURES.items() if run[name] is not None
    ]
    shown = table("Measures of this run", ["measure", "value", "meaning"], measured, name="run")
    return f"<h3 tabindex='-1'>{html.escape(who)}</h3>{said}{_film(place, who, films) if command else ''}{shown}"


def _from_here(path: Path) -> Path:
    """The path as one would type it in the working folder: a page that is passed on tells no more of the machine."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _film(place: Path, who: str, films: Films) -> str:
    if place.is_dir():
        return films.of(place, who)
    return f"<p>It has no film: {html.escape(str(place))} records its results, and its policy is in its run folder.</p>"


# --- shared ------------------------------------------------------------------------------------------------------


def _columns(frame: pl.DataFrame, names: tuple[str, ...]) -> dict[str, list[float | None]]:
    """Columns as lists of numbers to five digits; null where there is none."""
    return {name: [_short_number(x) for x in frame[name]] for name in names if name in frame.columns}


def _short_number(value: float | int | None) -> float | int | None:
    if value is None or isinstance(value, int):
        return value
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _interval(frame: pl.DataFrame) -> dict[str, float | None]:
    return frame.select("value", "low", "high").row(0, named=True)


def _estimate_in(frame: pl.DataFrame, **where: str) -> Cell:
    found = frame.filter(**where)
    return estimate(*found.select("value", "low", "high").row(0)) if len(found) else Cell("–")


def _limit(evaluation: Evaluation, task: str) -> float | None:
    limits = evaluation.runs.filter(pl.col("task") == task)["cost_limit"].drop_nulls().unique()
    return limits[0] if len(limits) == 1 else None
