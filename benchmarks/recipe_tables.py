"""The tables and pictures of `recipe.py`, made of the results that it keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from recipe_jobs import (
    CHEETAH,
    EPISODES,
    FIXED,
    FULL,
    FULL_STEPS,
    FULL_THEN,
    GOAL,
    PRECISIONS,
    PUBLISHED,
    STANDARD,
    STEPS,
    TASKS,
    THEN,
    WITHOUT,
    ZETA_METHODS,
)

from statewise.methods import METHODS
from statewise.report.styles import styles_of
from statewise.storage.files import write_text_atomic

RESULTS = Path(__file__).parent / "results"
RUNS, CURVES = RESULTS / "recipe.csv", RESULTS / "recipe-curves.csv"


def read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None)


def table_of_tasks(runs: pl.DataFrame) -> list[str]:
    """Return / cost a seed beside plain SAC's and the published."""
    lines = [
        "| task | SAC-ALaM, by seed | sampled policy | best checkpoint | bias of F̂ | λ 10, 50, 90 % | unit | SAC "
        "| published, cost ≤ 30 | cost ≤ 5 | minutes |",
        "|---" * 11 + "|",
    ]
    for task in TASKS:
        ours, sac = (
            runs.filter((pl.col("task") == task) & (pl.col("method") == method)).sort("seed")
            for method in ("sac-alam", "sac")
        )
        if not len(ours):
            continue
        published = PUBLISHED.get(task, ("–", "–"))
        cells = [
            task.removeprefix("Safety"),
            *(pairs(ours, prefix) for prefix in ("", "sampled_", "best_")),
            "; ".join(f"{x:+.2f}" for x in ours["f_bias"]),
            "; ".join(", ".join(f"{row[q]:.2g}" for q in ("lam_q10", "lam_q50", "lam_q90")) for row in ours.to_dicts()),
            "; ".join(f"{x:.2g}" for x in ours["unit"]),
            pairs(sac, ""),
            *published,
            f"{ours['minutes'].median():.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_full(runs: pl.DataFrame) -> list[str]:
    """As `table_of_tasks`, with what the evaluations of the second half come to, as a moment says little."""
    now, then = (_table_of_full(runs.filter(pl.col("label") == label), label) for label in (FULL, FULL_THEN))
    return [*now, "", "With what `standard` had when it was taken apart:", "", *then]


def _table_of_full(runs: pl.DataFrame, label: str) -> list[str]:
    head, rule, *rows = table_of_tasks(runs)
    later = read(CURVES).filter((pl.col("label") == label) & (pl.col("step") >= FULL_STEPS // 2))
    means = later.group_by("task", "seed").agg(pl.col("return", "cost").mean()).sort("seed")
    tasks = [task for task in TASKS if task in set(runs["task"])]
    cells = (pairs(means.filter(pl.col("task") == task), "") for task in tasks)
    return [
        f"{head} mean of the evaluations from {FULL_STEPS // 2:,} steps on |",
        f"{rule}---|",
        *(f"{row} {cell} |" for row, cell in zip(rows, cells, strict=True)),
    ]


def table_of_ablation(runs: pl.DataFrame) -> list[str]:
    """Return / cost by ingredient that is taken away."""
    lines = [
        "| without (instead) | PointGoal1, by seed | sampled policy | bias of F̂ | λ 50 % | HalfCheetah | bias of F̂ |",
        "|---" * 7 + "|",
    ]
    for name in (THEN, *WITHOUT):
        here = runs.filter((pl.col("label") == name) & (pl.col("method") == "sac-alam"))
        goal = here.filter((pl.col("task") == GOAL) & (pl.col("seed") < 2)).sort("seed")
        cheetah = here.filter((pl.col("task") == CHEETAH) & (pl.col("seed") == 0))
        if not len(here):
            continue
        cells = [
            "nothing" if name == THEN else name,
            pairs(goal, ""),
            pairs(goal, "sampled_"),
            "; ".join(f"{x:+.2f}" for x in goal["f_bias"]),
            "; ".join(f"{x:.2g}" for x in goal["lam_q50"]),
            pairs(cheetah, ""),
            "; ".join(f"{x:+.2f}" for x in cheetah["f_bias"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_methods(runs: pl.DataFrame) -> list[str]:
    """Return / cost, swings and violations in training by method."""
    lines = []
    for task in (GOAL, CHEETAH):
        lines += [
            f"**{task}**",
            "",
            "| method | return / cost, by seed | sampled policy | mean Δcost between evaluations | mean Δreturn "
            "| violations in training | bias of F̂ | λ 10, 50, 90 % | minutes |",
            "|---" * 9 + "|",
        ]
        for method in METHODS:
            here = runs.filter((pl.col("task") == task) & (pl.col("method") == method))
            here = here.filter(pl.col("seed") < 2).sort("seed")
            if not len(here):
                continue
            quantiles = ("lam_q10", "lam_q50", "lam_q90")
            cells = [
                f"`{method}`",
                pairs(here, ""),
                pairs(here, "sampled_"),
                "; ".join(f"{x:.1f}" for x in here["cost_swing"]),
                "; ".join(f"{x:,.1f}" for x in here["return_swing"]),
                "; ".join(f"{x:,.0f}" for x in here["violations"]),
                "; ".join(f"{x:+.2f}" for x in here["f_bias"]),
                "; ".join(", ".join(number(row[q]) for q in quantiles) for row in here.to_dicts()),
                f"{here['minutes'].median():.1f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return lines


def table_of_zeta(runs: pl.DataFrame) -> list[str]:
    """Means over the methods and seeds that ran with ζ annealed and fixed."""
    lines = [
        "| task | ζ | runs | return | cost | runs at a cost of at most 1 | sampled policy | violations in training "
        "| bias of F̂, mean | off by more than d |",
        "|---" * 10 + "|",
    ]
    for task, methods in ZETA_METHODS.items():
        for label, name in ((STANDARD, "annealed"), (FIXED, "10⁻¹²")):
            here = runs.filter((pl.col("task") == task) & (pl.col("label") == label))
            here = here.filter(pl.col("method").is_in(methods), pl.col("seed") < 2)
            if not len(here):
                continue
            mean = here.select(pl.col(pl.Float64, pl.Int64).mean()).row(0, named=True)
            cells = [
                task.removeprefix("Safety"),
                name,
                str(len(here)),
                f"{mean['return']:,.1f}",
                f"{mean['cost']:.1f}",
                str((here["cost"] <= 1.0).sum()),
                f"{mean['sampled_return']:,.1f} / {mean['sampled_cost']:.1f}",
                f"{mean['violations']:,.0f}",
                f"{mean['f_bias']:+.2f}",
                str((here["f_bias"].abs() > 0.1).sum()),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_precision(runs: pl.DataFrame) -> list[str]:
    """Return / cost, the same averaged over the later evaluations, bias and time, by the products of gradient steps."""
    curves = read(CURVES)
    lines = [
        "| task | products | return / cost, by seed | sampled policy | mean of the evaluations from 200,000 steps on "
        "| bias of F̂ | minutes |",
        "|---" * 7 + "|",
    ]
    for task in (GOAL, CHEETAH):
        for precision in PRECISIONS:
            name = f"{precision} products"
            here = runs.filter((pl.col("label") == name) & (pl.col("task") == task)).sort("seed")
            if not len(here):
                continue
            later = curves.filter((pl.col("label") == name) & (pl.col("task") == task) & (pl.col("step") >= STEPS // 2))
            means = later.group_by("seed").agg(pl.col("return", "cost").mean()).sort("seed")
            cells = [
                task.removeprefix("Safety"),
                precision,
                *(pairs(here, prefix) for prefix in ("", "sampled_")),
                pairs(means, ""),
                "; ".join(f"{x:+.2f}" for x in here["f_bias"]),
                "; ".join(f"{x:.1f}" for x in here["minutes"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def pairs(runs: pl.DataFrame, prefix: str) -> str:
    """Return / cost of each run."""
    rows = zip(runs[f"{prefix}return"], runs[f"{prefix}cost"], strict=True)
    return "; ".join(f"{r:,.0f} / {c:.1f}" if abs(r) >= 200 else f"{r:.1f} / {c:.1f}" for r, c in rows) or "–"


def number(x: float | None) -> str:
    return "–" if x is None else f"{x:.2g}"


def picture(runs: pl.DataFrame, rows: Sequence[str], column: str, path: Path) -> None:
    """Return and cost over the steps, a row for each of `rows` and a colour for each value of `column`."""
    shown = ("sac", "sac-alam") if column == "method" and len(rows) > 2 else METHODS
    names = [name for name in shown if name in set(runs[column])]
    colours = {name: style.colour for name, style in styles_of(names).items()}
    figure = Figure(figsize=(11, 2.3 * len(rows) + 0.6), layout="constrained")
    for task, panels in zip(rows, figure.subplots(len(rows), 2, squeeze=False, sharex=True), strict=True):
        for quantity, axes in zip(("return", "cost"), panels, strict=True):
            for name in names:
                here = runs.filter((pl.col("task") == task) & (pl.col(column) == name))
                for curve in here.partition_by("seed") if len(here) else ():
                    axes.plot(curve["step"], curve[quantity], color=colours[name], linewidth=1.2, alpha=0.9)
            axes.set_title(f"{task.removeprefix('Safety')}: {quantity}", fontsize=9, loc="left")
            axes.grid(alpha=0.3)
            if quantity == "cost":
                axes.set_yscale("symlog", linthresh=1.0)
                axes.set_ylim(bottom=0.0)
                axes.axhline(1.0, color="#6b7280", linestyle=":", linewidth=1.0)
    handles = [Line2D([], [], color=colours[name]) for name in names]
    figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 6), fontsize=9)
    figure.savefig(path, dpi=100)


WRITERS: dict[str, Callable[[pl.DataFrame], list[str]]] = {
    "tasks": table_of_tasks,
    "full": table_of_full,
    "ablation": table_of_ablation,
    "methods": table_of_methods,
    "zeta": table_of_zeta,
    "precision": table_of_precision,
}
HEADS = {
    "tasks": "SAC-ALaM on ten tasks, preset `standard`",
    "full": "SAC-ALaM with as many steps as `standard` has by itself",
    "ablation": "What `standard` was without each of its ingredients",
    "methods": "Every method with `standard`",
    "zeta": "RAD's ζ annealed and fixed",
    "precision": "Products of gradient steps in float32 and in bfloat16",
}


LABELS = {"tasks": STANDARD, "methods": STANDARD, "full": FULL}
"""The runs of the tables that have a picture; the others are of several labels."""


def report(name: str) -> None:
    """Write a table from the results."""
    runs = read(RUNS)
    if name in ("tasks", "methods"):
        runs = runs.filter(pl.col("label") == STANDARD)
    text = [
        f"# {HEADS[name]}, {FULL_STEPS if name == 'full' else STEPS:,} environment steps",
        "",
        f"`python benchmarks/recipe.py {name}`: return / cost of {EPISODES} episodes, seeds separated by semicolons.",
        "",
        *WRITERS[name](runs),
    ]
    write_text_atomic(RESULTS / f"recipe-{name}.md", "\n".join(text).rstrip() + "\n")
    if name in LABELS:
        curves = read(CURVES).filter(pl.col("label") == LABELS[name])
        rows = [task for task in ((GOAL, CHEETAH) if name == "methods" else TASKS) if task in set(curves["task"])]
        picture(curves, rows, "method", RESULTS / f"recipe-{name}.png")
    print("\n".join(text))
