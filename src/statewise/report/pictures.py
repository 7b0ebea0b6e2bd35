"""Pictures of runs: one run over its training, and methods side by side."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator
from numpy.typing import NDArray

from statewise.config import MultiplierConfig, RunConfig
from statewise.report.styles import styles_of
from statewise.spec import RunSpec, run_labels
from statewise.storage import metrics
from statewise.storage.files import write_bytes_atomic
from statewise.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import polars
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#2f6db3", "#d9772b", "#2e8b6f", "#8a5aa8", "#c2474b", "#6b7280"
_ROUND = (1, 2, 2.5, 5, 10)

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#374151",
    "axes.edgecolor": "#9ca3af",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.borderaxespad": 0.2,
    "legend.columnspacing": 1.4,
    "legend.handlelength": 1.6,
    "legend.fontsize": 9,
    "figure.dpi": 120,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
}


_MOST_LETTERS = 48

_DRAWN = (
    *("step", "phase", "return", "return_std", "cost"),
    *("lam", "lam_q10", "lam_q90", "lam_boundary", "f", "rho"),
)
"""Columns of the metrics that pictures show."""


class _Run(NamedTuple):
    spec: RunSpec
    train: polars.DataFrame
    evaluation: polars.DataFrame


def run_picture(run_folder: Path, output: Path | None = None, frames: Sequence[NDArray[np.uint8]] = ()) -> Path:
    """Draw return, cost, multiplier, and penalty factor with F̂ over a run's steps; returns the picture's path.

    output: a PNG, by default progress.png in the run folder. frames: of one episode, [height, width, 3] each, drawn as
    a strip below. Raises RunError for a folder that isn't a run, ValueError for another suffix.
    """
    run = _read(run_folder)
    path = run_folder / "progress.png" if output is None else output
    with drawing_style({"axes.titlepad": 24}):
        strip = 11.0 / len(frames) + 0.3 if frames else 0.0
        figure = Figure(figsize=(11, 7.5 + strip), layout="constrained")
        panels: Any = figure
        below: Any = None
        if frames:
            panels, below = np.asarray(figure.subfigures(2, 1, height_ratios=(7.5, strip)))
        (top_left, top_right), (bottom_left, bottom_right) = panels.subplots(2, 2, sharex=True)
        _episode_panel(top_left, run, "return", "Episode return", "return per episode")
        _episode_panel(top_right, run, "cost", "Episode cost", "cost per episode")
        _multiplier_panel(bottom_left, run)
        _penalty_panel(bottom_right, run)
        for axes in (bottom_left, bottom_right):
            _label_steps(axes)
        config = run.spec.config
        _headline(panels, f"{config.method} on {_short(run.spec.task)}, seed {config.seed}")
        if below is not None:
            _film_strip(below, frames)
        write_picture(figure, path)
    return path


def compare_picture(runs: Sequence[Path], output: Path) -> Path:
    """Draw evaluation return and cost, a colour for each method and what else sets runs apart, a row a task.

    Thin lines are seeds, a strong one their mean, taken where all of them have been evaluated. Returns `output`, a PNG.
    """
    read = [_read(run) for run in runs]
    if not read:
        raise ValueError("runs: name at least one run folder")
    tasks = list(dict.fromkeys(run.spec.task for run in read))
    labels = run_labels([run.spec for run in read])
    colours = {label: style.colour for label, style in styles_of(labels).items()}
    with drawing_style():
        figure = Figure(figsize=(11, 0.6 + 3.7 * len(tasks)), layout="constrained")
        panels = figure.subplots(len(tasks), 2, squeeze=False)
        for task, row in zip(tasks, panels, strict=True):
            here = [(label, run) for label, run in zip(labels, read, strict=True) if run.spec.task == task]
            for axes, column in zip(row, ("return", "cost"), strict=True):
                _compare(axes, here, column, colours)
                axes.set(title=f"{_short(task)}: episode {column}", ylabel=f"{column} per episode")
                _label_steps(axes)
        handles = [panels[0, 0].plot([], [], color=colour)[0] for colour in colours.values()]
        columns = min(len(colours), 6 if max(map(len, labels)) < 20 else 2)
        figure.legend(handles, list(colours), loc="outside upper center", ncols=columns, fontsize=10)
        write_picture(figure, output)
    return output


@contextmanager
def drawing_style(more: dict[str, Any] | None = None) -> Iterator[None]:
    """Draw in our style, whatever a matplotlibrc says: one that lies in the working folder counts for Matplotlib.

    A letter that the font lacks, in the name of a task, is drawn as a box.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE | (more or {}))
        yield


def _read(folder: Path) -> _Run:
    run = RunFolder.open(folder)
    rows = metrics.read(run.metrics_path, _DRAWN)
    train, evaluation = (rows.filter(rows["phase"] == phase) for phase in ("train", "eval"))
    return _Run(RunSpec.read(run.config_path), train, evaluation)


# --- panels ------------------------------------------------------------------------------------------------------


def _episode_panel(axes: Axes, run: _Run, column: str, title: str, unit: str) -> None:
    axes.set(title=title, ylabel=unit)
    train = run.train.drop_nulls(column)
    axes.plot(train["step"], train[column], color=BLUE, alpha=0.35, linewidth=1.0, label="training, stochastic policy")
    steps, values = run.evaluation["step"], run.evaluation[column].to_numpy()
    marker = "o" if len(steps) <= 40 else None
    axes.plot(steps, values, color=BLUE, marker=marker, markersize=3.5, label="evaluation, deterministic policy")
    if column == "return":
        spread = run.evaluation["return_std"].to_numpy()
        axes.fill_between(steps, values - spread, values + spread, color=BLUE, alpha=0.12, linewidth=0)
    else:
        _from_zero(axes)
    _finish(axes, len(train) + len(steps) > 0, "no episode has ended yet")


def _multiplier_panel(axes: Axes, run: _Run) -> None:
    axes.set(title="Multiplier λ(x)", ylabel="λ")
    rows = run.train.drop_nulls("lam")
    axes.fill_between(
        rows["step"], *_columns(rows, "lam_q10", "lam_q90"), color=ORANGE, alpha=0.18, linewidth=0, label="10 % to 90 %"
    )
    axes.plot(rows["step"], rows["lam"], color=ORANGE, label="mean λ")
    boundary = rows.drop_nulls("lam_boundary")
    if len(boundary):
        axes.plot(
            boundary["step"],
            boundary["lam_boundary"],
            color=RED,
            linestyle=(0, (4, 2)),
            linewidth=1.3,
            label="mean where F̂(x) ≈ d",
        )
    _finish(axes, len(rows) > 0, _why_empty(run.spec.config, "multiplier"))


def _penalty_panel(axes: Axes, run: _Run) -> None:
    f, rho = run.train.drop_nulls("f"), run.train.drop_nulls("rho")
    axes.set(title="Feasibility F̂(x)", ylabel="F̂")
    handles: list[Artist] = [*axes.plot(f["step"], f["f"], color=GREEN, label="mean F̂")]
    if len(f):
        d = run.spec.config.threshold
        handles.append(axes.axhline(d, color=GREY, linestyle=(0, (1, 2)), linewidth=1.2, label=f"threshold d = {d:g}"))
    if len(rho):
        axes.set_title("Feasibility F̂(x) and penalty factor ρ")
        twin = axes.twinx()
        twin.spines.right.set_visible(True)
        twin.grid(visible=False)
        twin.set_ylabel("ρ")
        handles += twin.plot(rho["step"], rho["rho"], color=PURPLE, label="ρ (right axis)")
    _finish(axes, len(f) > 0, _why_empty(run.spec.config, "cost critic"), handles)


def _film_strip(figure: Any, frames: Sequence[NDArray[np.uint8]]) -> None:
    """Frames side by side, in the order of time."""
    for i, (axes, frame) in enumerate(zip(figure.subplots(1, len(frames)), frames, strict=True)):
        axes.imshow(frame)
        axes.set_axis_off()
        if i == 0:
            axes.set_title("One episode of the deterministic policy", pad=8)


def _compare(axes: Axes, runs: Sequence[tuple[str, _Run]], column: str, colours: dict[str, str]) -> None:
    for label, colour in colours.items():
        curves = [run.evaluation.select("step", column).drop_nulls() for name, run in runs if name == label]
        for curve in curves:
            axes.plot(curve["step"], curve[column], color=colour, alpha=0.3, linewidth=0.9)
        shared, mean = _mean_curve(curves, column)
        axes.plot(shared, mean, color=colour, linewidth=2.2)
    if column == "cost":
        _from_zero(axes)


def _mean_curve(curves: Sequence[polars.DataFrame], column: str) -> tuple[list[int], list[float]]:
    """Steps that all curves have, and the mean there."""
    values = [dict(curve.iter_rows()) for curve in curves]
    shared = sorted(set.intersection(*map(set, values))) if values else []
    return shared, [float(np.mean([curve[step] for curve in values])) for step in shared]


# --- shared ------------------------------------------------------------------------------------------------------


def _columns(rows: polars.DataFrame, *names: str) -> list[Any]:
    return [rows[name].to_numpy() for name in names]


def _from_zero(axes: Axes) -> None:
    """Start the axis a little below 0, so that a curve at 0 stays in sight."""
    top = max(axes.get_ylim()[1], 1.0)
    axes.set_ylim(-0.03 * top, top)


def _why_empty(config: RunConfig, part: str) -> str:
    return "nothing was learned yet" if isinstance(config, MultiplierConfig) else f"{config.method} has no {part}"


def _finish(axes: Axes, has_data: bool, otherwise: str, handles: Sequence[Artist] = ()) -> None:
    """A legend between title and panel, where it hides nothing, or a word on why the panel is empty."""
    if has_data:
        shown = handles or axes.get_legend_handles_labels()[0]
        legend = axes.legend(handles=shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(shown))
        legend.set_in_layout(False)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=_ROUND))
        return
    axes.text(0.5, 0.5, otherwise, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_yticks([])
    axes.grid(visible=False)


def _label_steps(axes: Axes) -> None:
    axes.set_xlabel("environment steps")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=_ROUND))
    axes.xaxis.set_major_formatter(EngFormatter(sep="\N{THIN SPACE}"))


def _short(name: str) -> str:
    """A name that leaves room for what is drawn."""
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


def _headline(figure: Any, text: str) -> None:
    figure.suptitle(text, x=0.01, ha="left", fontsize=13, fontweight="bold", color="#111827")


def write_picture(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG, whole or not at all; ValueError for another suffix or a folder that isn't there."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"output: {str(path)!r} is not allowed; its name must end in .png")
    if not path.parent.is_dir():
        raise ValueError(f"output: there is no folder {path.parent}; make it first")
    picture = io.BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    write_bytes_atomic(path, picture.getvalue())
