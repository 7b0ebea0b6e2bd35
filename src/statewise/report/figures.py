"""Figures of an evaluation for a publication: one or two columns wide, as SVG, PDF and PNG.

They are drawn from the frames of `statewise.experiments.evaluation.Evaluation`, which docs/statistics.md describes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import matplotlib
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator, SymmetricalLogLocator

from statewise.report.styles import LIMIT_COLOUR, Style
from statewise.storage.files import write_bytes_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Columns = Literal[1, 2]
WIDTHS: dict[Columns, float] = {1: 3.5, 2: 7.16}
"""Inches of one column and of both, in the two-column format of most proceedings."""
FORMATS = ("svg", "pdf", "png")
_ENOUGH = 3
"""Seeds from which on an interval is drawn; one of two is mostly the table of Student's t."""
_FEW = 4
"""Labels whose intervals can be told apart where they overlap; of more, all but the first are drawn at their ends."""
_BESIDE, _APART = 1.05, 0.02
"""Where the intervals of the last step begin, and how far apart they are, in lengths of the longest curve."""
_ROUND = (1, 2, 2.5, 5, 10)
"""Steps between ticks, but for powers of ten."""
Draw = Callable[[Columns], Figure]
"""Draws a figure one or two columns wide."""
Styles = Mapping[str, Style]
Limits = Mapping[str, float]
"""Cost limit of each task that has one."""

_PRINT: Any = {
    "font.family": "sans-serif",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.edgecolor": "#4b5563",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.titlepad": 3,
    "axes.labelpad": 2,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "ytick.minor.width": 0,
    "lines.linewidth": 1.1,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "legend.handlelength": 2.8,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.1,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "pdf.fonttype": 42,  # TrueType, which printers and editors take
    "svg.hashsalt": "statewise",
}


def write_figure(draw: Draw, folder: Path, name: str) -> list[Path]:
    """Write `name` two columns wide and `name-column` one column wide, each in all FORMATS; returns the paths.

    The same data give the same bytes.
    """
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(_PRINT):
        for columns in WIDTHS:
            figure = draw(columns)
            FigureCanvasAgg(figure)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")  # laid out once, for all formats
            for form in FORMATS:
                path = folder / f"{name}{'' if columns == 2 else '-column'}.{form}"
                dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[form]
                data = io.BytesIO()
                figure.savefig(data, format=form, dpi=300, metadata=dates)
                write_bytes_atomic(path, data.getvalue())
                written.append(path)
    return written


# --- learning curves ---------------------------------------------------------------------------------------------


def learning_curves(
    bands: pl.DataFrame, limits: Limits, styles: Styles, columns: Columns, runs: pl.DataFrame | None = None
) -> Figure:
    """Cost above return along training for each task, means with their intervals, the cost limit drawn in.

    bands: label, task, column, step, value, low, high, seeds; intervals of fewer than three seeds are not drawn. Of
    more than four labels the first one's interval is shaded, and all have that of their last step as a bar to the right
    of the curves: eleven shades on top of each other are a fog.
    styles: of the labels to draw, the first on top. runs: evaluations, label, task, run, step, return and cost, to draw
    single seeds in place of the intervals.
    """
    bands = bands.filter(pl.col("label").is_in(list(styles)))
    tasks = bands["task"].unique(maintain_order=True).to_list()
    across = min(2 * columns, len(tasks))
    blocks = -(-len(tasks) // across)
    height = _legend_height(styles, columns) + 2 * blocks * (1.15 if columns == 2 else 1.05) + 0.15
    figure = Figure(figsize=(WIDTHS[columns], height), layout="constrained")
    panels = figure.subplots(2 * blocks, across, squeeze=False)
    for place in range(blocks * across):
        block, at = divmod(place, across)
        pair = panels[2 * block, at], panels[2 * block + 1, at]
        if place >= len(tasks):
            for axes in pair:
                axes.set_axis_off()
            continue
        task = tasks[place]
        for axes, column in zip(pair, ("cost", "return"), strict=True):
            seeds = None if runs is None else runs.filter(pl.col("task") == task)
            here = bands.filter((pl.col("task") == task) & (pl.col("column") == column))
            _curves(axes, here, column, styles, seeds)
            axes.set_ylabel(f"episode {column}" if at == 0 else "")
            if column == "cost":
                _cost_axis(axes, limits.get(task))
            if runs is None and len(styles) > _FEW:
                _final_intervals(axes, here, styles)
        pair[0].set_title(short(task))
        pair[0].tick_params(labelbottom=False)
    figure.supxlabel("environment steps", fontsize=7)
    _legend(figure, styles, columns, limit=any(task in limits for task in tasks))
    return figure


def _curves(axes: Axes, bands: pl.DataFrame, column: str, styles: Styles, seeds: pl.DataFrame | None) -> None:
    for i, (label, style) in enumerate(styles.items()):
        band = bands.filter(pl.col("label") == label)
        if not len(band):
            continue
        steps = band["step"].to_numpy()
        if seeds is None and band["seeds"][0] >= _ENOUGH and (i == 0 or len(styles) <= _FEW):
            low, high = (band[end].to_numpy() for end in ("low", "high"))
            axes.fill_between(steps, low, high, color=style.colour, alpha=0.18, linewidth=0)
        elif seeds is not None:
            for run in seeds.filter(pl.col("label") == label).partition_by("run"):
                axes.plot(run["step"], run[column], color=style.colour, alpha=0.45, linewidth=0.6)
        every = max(len(steps) // 5, 1)
        axes.plot(
            steps,
            band["value"],
            color=style.colour,
            linestyle=style.line,
            zorder=2.5 - i / 100,
            marker=style.marker,
            markersize=2.8,
            markeredgewidth=0,
            markevery=(i * every // max(len(styles), 1), every),
        )
    _frame_means(axes, bands, seeds, column)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=_ROUND))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=_ROUND, min_n_ticks=3))


def _final_intervals(axes: Axes, bands: pl.DataFrame, styles: Styles) -> None:
    """The interval of every label's last step as a bar to the right of the curves, in the order of the legend."""
    if bands.is_empty():
        return
    end = float(bands["step"].to_numpy().max())
    for i, (label, style) in enumerate(styles.items()):
        last = bands.filter((pl.col("label") == label) & (pl.col("seeds") >= _ENOUGH)).tail(1)
        axes.vlines(end * (_BESIDE + i * _APART), last["low"], last["high"], color=style.colour, linewidth=1.0)
    axes.set_xlim(0, end * (_BESIDE + len(styles) * _APART))
    axes.set_xticks([tick for tick in MaxNLocator(4, steps=_ROUND).tick_values(0, end) if tick <= end])


def _frame_means(axes: Axes, bands: pl.DataFrame, seeds: pl.DataFrame | None, column: str) -> None:
    """Frame the means, or seeds, and a third as much around them, which the widest intervals go beyond."""
    shown = (bands["value"] if seeds is None else seeds[column].drop_nulls()).to_numpy()
    if not len(shown):
        return
    low, high = float(shown.min()), float(shown.max())
    room = 0.35 * (high - low) if high > low else 1.0
    shaded = bands.filter(pl.col("seeds") >= _ENOUGH) if seeds is None else bands.clear()
    ends = [shaded[end] for end in ("low", "high")]
    reach = [float(ends[0].to_numpy().min()), float(ends[1].to_numpy().max())] if len(shaded) else [low, high]
    axes.set_ylim(max(low - room, reach[0]) - room / 8, min(high + room, reach[1]) + room / 8)


def _cost_axis(axes: Axes, limit: float | None) -> None:
    """Linear up to the limit and logarithmic above it, as costs go from none to every step."""
    bottom = limit if limit else 1.0
    top = max(axes.get_ylim()[1], 2 * bottom)
    axes.set_yscale("symlog", linthresh=bottom, linscale=0.5)
    axes.yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=bottom))
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_ylim(-0.1 * bottom, top)
    ticks = [0.0, *(10.0**k for k in range(-3, 5) if bottom <= 10.0**k <= top)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    if limit is not None:
        axes.axhline(limit, color=LIMIT_COLOUR, linestyle=(0, (1, 1)), linewidth=0.9, zorder=1.5)


# --- aggregates --------------------------------------------------------------------------------------------------


def trade_off(summary: pl.DataFrame, styles: Styles, columns: Columns) -> Figure:
    """Normalised return against normalised cost, means over tasks with their intervals; costs fall to the right.

    summary: label, measure, statistic, value, low, high.
    """
    means = summary.filter(pl.col("statistic") == "mean")
    cost, gain = (
        {label: tuple(row) for label, *row in means.filter(pl.col("measure") == m).select(_POINT).iter_rows()}
        for m in ("cost", "return")
    )
    drawn = {label: style for label, style in styles.items() if label in cost and label in gain}
    figure = Figure(figsize=(WIDTHS[columns], 2.4 + _legend_height(drawn, columns)), layout="constrained")
    axes = figure.subplots()
    for label, style in drawn.items():
        axes.errorbar(
            cost[label][0], gain[label][0], xerr=_arms(*cost[label]), yerr=_arms(*gain[label]), color=style.colour,
            linewidth=0.9, marker=style.marker, markersize=5, markeredgecolor="white", markeredgewidth=0.4,
        )  # fmt: skip
    axes.set(xlim=(1.05, -0.05), ylim=(-0.05, 1.05), xlabel="normalised cost (lower is further right)")
    axes.set_ylabel("normalised return")
    _legend(figure, drawn, columns, lines=False)
    return figure


_POINT = ("label", "value", "low", "high")


def _arms(value: float, low: float | None, high: float | None) -> list[list[float]] | None:
    return None if low is None or high is None else [[value - low], [high - value]]


def performance_profile(profiles: pl.DataFrame, styles: Styles, columns: Columns) -> Figure:
    """Share of runs above each normalised return, with its interval where the labels are few enough to tell them apart.

    profiles: label, score, value, low, high.
    """
    drawn = {label: style for label, style in styles.items() if label in set(profiles["label"])}
    figure = Figure(figsize=(WIDTHS[columns], 2.2 + _legend_height(drawn, columns)), layout="constrained")
    axes = figure.subplots()
    for i, (label, style) in enumerate(drawn.items()):
        profile = profiles.filter(pl.col("label") == label)
        score = profile["score"].to_numpy()
        if len(drawn) <= _FEW:
            low, high = profile["low"].to_numpy(), profile["high"].to_numpy()
            axes.fill_between(score, low, high, color=style.colour, alpha=0.15, linewidth=0, step="post")
        axes.step(
            score, profile["value"], where="post", color=style.colour, linestyle=style.line, marker=style.marker,
            markersize=3, markeredgewidth=0, markevery=(i * 15 // max(len(drawn), 1), 15),
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="normalised return τ", ylabel="share of runs above τ")
    _legend(figure, drawn, columns)
    return figure


# --- shared ------------------------------------------------------------------------------------------------------


def short(task: str) -> str:
    """A task's name without what all have: SafetyPointGoal1-v0 is PointGoal1."""
    name = task.rpartition(":")[2].removeprefix("Safety")
    stem, _, version = name.rpartition("-v")
    return stem if stem and version.isdigit() else name


def _legend_columns(styles: Styles, columns: Columns) -> int:
    longest = max((len(label) for label in styles), default=1)
    fitting = int(WIDTHS[columns] / (0.5 + 0.06 * longest))
    return max(min(fitting, len(styles) + 1), 1)


def _legend_height(styles: Styles, columns: Columns) -> float:
    return 0.16 * -(-(len(styles) + 1) // _legend_columns(styles, columns))


def _legend(figure: Figure, styles: Styles, columns: Columns, *, lines: bool = True, limit: bool = False) -> None:
    handles = [
        Line2D([], [], color=s.colour, linestyle=s.line if lines else "none", marker=s.marker, markersize=4)
        for s in styles.values()
    ]
    names: Sequence[str] = list(styles)
    if limit:
        handles.append(Line2D([], [], color=LIMIT_COLOUR, linestyle=(0, (1, 1)), linewidth=0.9))
        names = [*names, "cost limit"]
    figure.legend(handles, names, loc="outside upper center", ncols=_legend_columns(styles, columns))
