"""`statewise statistics`: the summary of many runs, with intervals and findings, as text, data and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from statewise.cli import arguments, named
from statewise.cli.status import OK

if TYPE_CHECKING:
    import polars

    from statewise.experiments.curves import Curves
    from statewise.experiments.evaluation import Evaluation


def statistics(argv: list[str]) -> int:
    """Summarise runs, with intervals, and draw them."""
    args = arguments.parse(arguments.Statistics, argv, "statistics")
    if args.output.exists() and not args.output.is_dir():
        raise ValueError(f"output: {args.output} is a file; name a folder")
    from statewise.experiments.drawing import write_figures
    from statewise.experiments.evaluation import evaluate, write_evaluation

    evaluation = evaluate(read(args, "statistics"), args.reference)
    print("\n".join(report(evaluation)))
    write_evaluation(evaluation, args.output)
    if args.figures:
        write_figures(evaluation, args.output / "figures")
    print(f"\ndata and figures: {args.output}")
    return OK


def read(args: arguments.Collection, command: str) -> Curves:
    """The curves of a collection; ValueError where nothing is named, or a task that no run is of."""
    if not (args.runs or args.omnisafe or args.csv):
        raise ValueError(f"runs: name at least one run folder, or a folder of them, as in statewise {command} runs")
    if args.cost_limit is not None and not 0.0 <= args.cost_limit < float("inf"):
        raise ValueError(f"cost_limit: {args.cost_limit} is not allowed; it must be a finite number >= 0")
    named.allow(args.allow_module)
    import polars as pl

    from statewise.experiments.curves import combine, read_runs
    from statewise.experiments.imports import read_csv, read_omnisafe

    readers = ((read_runs, args.runs), (read_omnisafe, args.omnisafe), (read_csv, args.csv))
    curves = combine([read(paths) for read, paths in readers if paths])
    if args.tasks:
        known = curves.runs["task"].unique(maintain_order=True).to_list()
        for task in args.tasks:
            if task not in known:
                raise ValueError(f"tasks: no run is of {task!r}; there are {', '.join(known)}")
        curves = curves.where(pl.col("task").is_in(args.tasks))
    if args.cost_limit is not None:
        curves = curves._replace(runs=curves.runs.with_columns(cost_limit=pl.lit(args.cost_limit)))
    return curves


# --- text --------------------------------------------------------------------------------------------------------


def report(evaluation: Evaluation) -> list[str]:
    """Lines with the aggregates, the tables of the tasks, the comparisons, and every finding."""
    tasks = evaluation.runs["task"].n_unique()
    lines = [f"{len(evaluation.runs)} runs, {tasks} task{'s' if tasks != 1 else ''}; [95 % intervals]", ""]
    if len(evaluation.summary):
        lines += ["Over all tasks, normalised task by task (return: 1 is best; cost and swing: 0 is best)", ""]
        lines += _aligned(_SUMMARY.values(), _summary_rows(evaluation.summary))
    for task in evaluation.tasks["task"].unique(maintain_order=True):
        here = [row for row in evaluation.tasks.iter_rows(named=True) if row["task"] == task]
        lines += ["", task, "", *_aligned(("label", "seeds", *_TASK.values()), _task_rows(here))]
    if len(evaluation.comparisons):
        lines += ["", f"P(a run of {evaluation.reference} is better), p corrected by Holm", ""]
        lines += _aligned(("than", "return", "cost", "cost swing"), _comparison_rows(evaluation.comparisons))
    lines += ["", "Findings" if evaluation.findings else "No findings."]
    for finding in evaluation.findings:
        whose = ", ".join(part for part in (finding.label, finding.tasks) if part)
        lines.append(f"  {finding.kind}: {f'{whose}: ' if whose else ''}{finding.text}")
    return lines


_SUMMARY = {
    ("label", ""): "label",
    ("return", "mean"): "return",
    ("return", "iqm"): "return, IQM",
    ("return", "gap"): "gap",
    ("cost", "mean"): "cost",
    ("cost", "safe"): "runs safe at the end",
    ("cost_swing", "mean"): "cost swing",
}
_TASK = {
    "return": "return",
    "cost": "cost",
    "safe": "safe at the end",
    "satisfaction": "evaluations safe",
    "violations": "violations",
    "cost_swing": "cost swing",
    "return_swing": "return swing",
    "lam_swing": "λ swing",
    "safe_step": "safe at step",
    "safe_minutes": "safe at min",
    "hours": "hours",
    "cpu_hours": "CPU h",
}


def _summary_rows(summary: polars.DataFrame) -> list[list[str]]:
    cells: dict[str, dict[tuple[str, str], str]] = {}
    for row in summary.iter_rows(named=True):
        cells.setdefault(row["label"], {})[row["measure"], row["statistic"]] = _interval(row)
    return [[label, *(found.get(key, "–") for key in list(_SUMMARY)[1:])] for label, found in cells.items()]


def _task_rows(rows: Iterable[dict[str, object]]) -> list[list[str]]:
    cells: dict[str, dict[str, str]] = {}
    seeds: dict[str, int] = {}
    for row in rows:
        label = str(row["label"])
        cells.setdefault(label, {})[str(row["measure"])] = _interval(row)
        seeds[label] = max(seeds.get(label, 0), int(str(row["seeds"])))
    return [[label, str(seeds[label]), *(found.get(m, "–") for m in _TASK)] for label, found in cells.items()]


def _comparison_rows(comparisons: polars.DataFrame) -> list[list[str]]:
    cells: dict[str, dict[str, str]] = {}
    for row in comparisons.iter_rows(named=True):
        text = f"{_interval(row)} p {row['p_holm']:.2g}"
        cells.setdefault(row["label"], {})[row["measure"]] = text
    return [[label, *(found.get(m, "–") for m in ("return", "cost", "cost_swing"))] for label, found in cells.items()]


def _interval(row: dict[str, object]) -> str:
    value, low, high = row["value"], row["low"], row["high"]
    if low is None or high is None:
        return _number(value)
    return f"{_number(value)} [{_number(low)}, {_number(high)}]"


def _number(value: object) -> str:
    x = float(str(value))
    if abs(x) >= 100:
        return f"{x:,.0f}"
    if abs(x) >= 10:
        return f"{x:.1f}"
    return f"{x:.2f}" if abs(x) >= 0.1 or x == 0 else f"{x:.2g}"


def _aligned(header: Iterable[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side; those in which no row has anything are left out."""
    table = [list(header), *map(list, rows)]
    kept = [i for i in range(len(table[0])) if any(row[i] != "–" for row in table[1:])]
    widths = {i: max(len(row[i]) for row in table) for i in kept}
    return ["  " + "  ".join(row[i].ljust(widths[i]) for i in kept).rstrip() for row in table]
