"""Maps of risk: λ(x) and F̂(x) over a plane, and how they are drawn side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from statewise.storage.files import write_bytes_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import ContourSet
    from matplotlib.image import AxesImage

PICTURES = (".png", ".svg", ".pdf")
"""What the name of a picture may end in."""
COLOURS = "inferno_r"
"""From light to dark all the way, so that it keeps its meaning in grey and for every eye."""
INK, CASING, LIMIT = "#111827", "#ffffff", "#0a84d6"
_DASHES: dict[str, Any] = {
    "goal": (0, (5, 2)),
    "circle": (0, (5, 2)),
    "vase": (0, (1, 1.2)),
    "gremlin": (0, (3, 1.2, 1, 1.2)),
    "button": (0, (2, 1)),
}
"""Of what stands in the plane, by kind; anything else, hazards and walls among it, has a whole line."""


class Outline(NamedTuple):
    """The edge of an object in the plane: its kind, and a closed polygon [K, 2]."""

    kind: str
    points: NDArray[np.float64]


class Motion(NamedTuple):
    """A velocity of the robot: speed, m/s, and direction, rad, counter-clockwise from east."""

    speed: float
    direction: float


@dataclass(frozen=True)
class RiskMaps:
    """λ and F̂ of one policy over a plane, for one velocity after the other.

    label: of the policy. task: its id. threshold: d. axes: what x and y are. x [X], y [Y]: places of the cells'
    centres. lam, f: [C, Y, X], a map for each of `motions`, or one alone where there are none. note: the state that all
    maps are of. outlines: what stands in the plane. usual_speed: root mean square of the speeds in training, m/s.
    """

    label: str
    task: str
    threshold: float
    axes: tuple[str, str]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    lam: NDArray[np.float32]
    f: NDArray[np.float32]
    motions: tuple[Motion, ...] = ()
    note: str = ""
    outlines: tuple[Outline, ...] = ()
    usual_speed: float | None = None

    def heading(self, direction: float) -> RiskMaps:
        """The maps of one direction alone, in the order of speed."""
        chosen = [i for i, motion in enumerate(self.motions) if motion.direction == direction]
        motions = tuple(self.motions[i] for i in chosen)
        return RiskMaps(**{**vars(self), "lam": self.lam[chosen], "f": self.f[chosen], "motions": motions})

    def title(self, case: int) -> str:
        """Which of the motions a map is of."""
        speed = self.motions[case].speed
        way = compass(self.motions[case].direction)
        if speed == 0.0:
            return f"at rest, facing {way}"
        usual = f"\n{speed / self.usual_speed:.1f} × usual in training" if self.usual_speed else ""
        return f"{speed:g} m/s {way}{usual}"


def compass(direction: float) -> str:
    """A direction, rad, in words: one of eight, or degrees."""
    turns = direction / (np.pi / 4)
    if abs(turns - round(turns)) > 1e-6:
        return f"at {np.degrees(direction):.0f}°"
    return ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")[round(turns) % 8]


def scale(maps: Sequence[RiskMaps], network: str) -> tuple[float, float]:
    """The ends of a colour scale that all maps of one network ("lam" or "f") share.

    One in a hundred cells may lie beyond either end, since a few extremes would leave the rest one colour; the scale
    starts at 0 at the latest.
    """
    low, high = np.quantile(np.concatenate([getattr(each, network).ravel() for each in maps]), (0.01, 0.99))
    low = min(0.0, float(low))
    return low, float(high) if high > low else low + 1.0


def maps_picture(maps: Sequence[RiskMaps], output: Path) -> Path:
    """Draw λ and F̂ of policies, a row each, over the same plane, a column for each velocity.

    One scale of colours for all λ, one for all F̂; the line F̂ = d is on every map. output: ends in .png, .svg or .pdf;
    returned. ValueError for another ending or a missing folder.
    """
    require_file(output, PICTURES)
    columns = len(maps[0].lam)
    rows = [(each, network) for each in maps for network in ("lam", "f")]
    width = max(2.35 * columns + 1.4, 5.2)
    with matplotlib.rc_context({"font.size": 9, "svg.hashsalt": "statewise", "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, 2.3 * len(rows) + 1.3), layout="constrained", dpi=110)
        panels = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
        for (each, network), row in zip(rows, panels, strict=True):
            drawn = [_panel(axes, each, network, case, scale(maps, network)) for case, axes in enumerate(row)]
            figure.colorbar(drawn[-1], ax=list(row), pad=0.01, aspect=18, extend="both")
            row[0].set_ylabel(f"{each.label}\n{_NAMES[network]}\n{each.axes[1]}")
        for case in range(len(maps[0].motions)):
            panels[0, case].set_title(maps[0].title(case), fontsize=9)
        for axes in panels[-1]:
            axes.set_xlabel(maps[0].axes[0])
        title = f"{maps[0].task}, {maps[0].note}" if maps[0].motions else f"{maps[0].task}\n{maps[0].note}"
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.legend(handles=_legend(maps), loc="outside lower center", ncols=6, frameon=False)
        write_bytes_atomic(output, _bytes(figure, output.suffix.lower()))
    return output


_NAMES = {"lam": "multiplier λ(x)", "f": "feasibility F̂(x)"}


def require_file(output: Path, endings: Sequence[str]) -> None:
    """ValueError unless `output` has one of these endings and lies in a folder that is there."""
    if output.suffix.lower() not in endings:
        raise ValueError(f"output: {str(output)!r} is not allowed; its name must end in {', '.join(endings)}")
    if not output.parent.is_dir():
        raise ValueError(f"output: there is no folder {output.parent}; make it first")


def _panel(axes: Axes, maps: RiskMaps, network: str, case: int, limits: tuple[float, float]) -> AxesImage:
    """One map, the line F̂ = d, and what stands there."""
    step_x, step_y = maps.x[1] - maps.x[0], maps.y[1] - maps.y[0]
    edges = (maps.x[0] - step_x / 2, maps.x[-1] + step_x / 2, maps.y[0] - step_y / 2, maps.y[-1] + step_y / 2)
    image = axes.imshow(
        getattr(maps, network)[case],
        origin="lower",
        extent=edges,
        cmap=COLOURS,
        vmin=limits[0],
        vmax=limits[1],
        aspect="equal" if maps.motions else "auto",
        interpolation="nearest",
    )
    f = maps.f[case]
    if f.min() < maps.threshold < f.max():
        line: ContourSet = axes.contour(maps.x, maps.y, f, levels=[maps.threshold], colors=LIMIT, linewidths=1.6)
        line.set_path_effects([Stroke(linewidth=3.0, foreground=CASING), Normal()])
    for kind, points in maps.outlines:
        closed = np.concatenate([points, points[:1]])
        (edge,) = axes.plot(*closed.T, **_look(kind), scalex=False, scaley=False)
        edge.set_path_effects([Stroke(linewidth=2.6, foreground=CASING), Normal()])
    axes.set_xlim(edges[:2])
    axes.set_ylim(edges[2:])
    return image


def _look(kind: str) -> dict[str, Any]:
    return {"color": INK, "linewidth": 1.1, "linestyle": _DASHES.get(kind, "-")}


def _legend(maps: Sequence[RiskMaps]) -> list[Line2D]:
    limits = ", ".join(dict.fromkeys(f"{each.threshold:g}" for each in maps))
    lines = [Line2D([], [], color=LIMIT, linewidth=1.6, label=f"F̂(x) = d = {limits}")]
    kinds = dict.fromkeys(outline.kind for outline in maps[0].outlines)
    return [*lines, *(Line2D([], [], label=kind, **_look(kind)) for kind in kinds)]


def _bytes(figure: Figure, suffix: str) -> bytes:
    """The file's content, without the date at which it was made."""
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    undated: Any = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[suffix]
    figure.savefig(content, format=suffix[1:], metadata=undated)
    return content.getvalue()
