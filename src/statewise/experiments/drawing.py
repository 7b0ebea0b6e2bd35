"""Which figures an evaluation is drawn in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import polars as pl

from statewise.experiments.evaluation import Evaluation
from statewise.report import figures
from statewise.report.styles import styles_of

STABILITY = "sac-lagnet"
"""What the reference's stability is compared with: multipliers by ascent, the paper's Fig. 4."""


def figures_of(evaluation: Evaluation) -> dict[str, figures.Draw]:
    """What to draw, by name."""
    bands, reference = evaluation.bands, evaluation.reference
    styles = styles_of([reference, *evaluation.runs["label"]])  # the first lies above the others
    known = evaluation.runs.drop_nulls("cost_limit").unique("task", maintain_order=True)
    limits = dict(known.select("task", "cost_limit").iter_rows())
    chosen: dict[str, figures.Draw] = {}
    chosen["learning-curves"] = partial(figures.learning_curves, bands, limits, styles)
    if len(evaluation.summary):
        chosen["trade-off"] = partial(figures.trade_off, evaluation.summary, styles)
        chosen["performance-profile"] = partial(figures.performance_profile, evaluation.profiles, styles)
    variants = {label: style for label, style in styles.items() if label.startswith(reference)}
    if len(variants) > 1:
        chosen["ablation"] = partial(figures.learning_curves, bands, limits, variants)
    if STABILITY in styles and reference != STABILITY:
        pair = {label: styles[label] for label in (reference, STABILITY)}
        seeds = evaluation.curves.evaluations.filter(pl.col("label").is_in(list(pair)))
        both = seeds.filter(pl.col("label") == STABILITY)["task"].unique().to_list()
        shared = bands.filter(pl.col("task").is_in(both))
        chosen["stability"] = partial(figures.learning_curves, shared, limits, pair, runs=seeds)
    return chosen


def write_figures(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write every figure in every size and format into a folder; returns the paths."""
    return [path for name, draw in figures_of(evaluation).items() for path in figures.write_figure(draw, folder, name)]
