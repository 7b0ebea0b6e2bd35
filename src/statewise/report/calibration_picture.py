"""The picture of a calibration: reliability of λ(x) and F̂(x) with intervals over episodes, and numbers of states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from statewise.report.pictures import GREY, drawing_style, write_picture
from statewise.report.styles import Style, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    Bins = Sequence[Mapping[str, Any]]

_NAMES = {"lam": "λ(x)", "f": "F̂(x)"}
_SHIFT = 0.007
"""Of the width, between the sets of states, so that their intervals don't cover each other."""


def parts_of(report: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The sets of states that a calibration has figures of, by what to call them."""
    parts: dict[str, Mapping[str, Any]] = {"states met": report}
    if "f" in report["fast"]:
        parts[f"faster than {report['fast']['above']:.3g} m/s"] = report["fast"]
    if "f" in report["dense"]:
        parts[f"{report['dense']['crowding']:g} times as many hazards"] = report["dense"]
    return parts


def calibration_picture(report: Mapping[str, Any], title: str, method: str, path: Path) -> Path:
    """Draw a calibration's reliability into a PNG: chances of a violation by λ and by F̂, and F̂ against Monte Carlo F.

    report: of `training.calibrating.calibrate`. method: gives the states met its colour. ValueError for another suffix
    or a folder that isn't there.
    """
    parts = parts_of(report)
    # The method's own look for the states met, the next free ones for the others.
    styles = dict(zip(parts, styles_of([method, *list(parts)[1:]]).values(), strict=True))
    with drawing_style():
        figure = Figure(figsize=(13, 5.6), layout="constrained")
        panels = figure.subplots(2, 3, height_ratios=(3.2, 1.0), sharex="col", squeeze=False)
        for column, signal in enumerate(_NAMES):
            _chances(panels[:, column], parts, styles, signal, report["horizon"])
        _values(panels[:, 2], parts, styles)
        figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color="#111827")
        handles = [
            panels[0, 0].plot([], [], color=s.colour, linestyle=s.line, marker=s.marker)[0] for s in styles.values()
        ]
        figure.legend(handles, list(parts), loc="outside lower center", ncols=len(parts))
        write_picture(figure, path)
    return path


def _chances(pair: Any, parts: Mapping[str, Any], styles: Mapping[str, Style], signal: str, horizon: int) -> None:
    above, below = pair
    above.set(title=f"Chance of a violation by {_NAMES[signal]}", ylabel=f"share with one within {horizon} steps")
    above.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    above.plot((0, 1), (0, 1), color=GREY, linestyle=(0, (1, 2)), linewidth=1.2)
    for number, (name, part) in enumerate(parts.items()):
        bins = _filled(part[signal]["reliability"])
        _points(above, bins, styles[name], (number - (len(parts) - 1) / 2) * _SHIFT)
        width = 0.1 / (len(parts) + 1)
        middles = np.array([(each["low"] + each["high"]) / 2 for each in bins])
        _bars(below, middles + (number - (len(parts) - 1) / 2) * width, bins, width, styles[name])
    _count_axis(below)
    below.set_xlabel("chance foretold")


def _values(pair: Any, parts: Mapping[str, Any], styles: Mapping[str, Style]) -> None:
    above, below = pair
    above.set(title="F̂(x) against what came", ylabel="mean of Monte Carlo F")
    ends: list[float] = []
    for name, part in parts.items():
        bins = _filled(part["f"]["expected"])
        _points(above, bins, styles[name], 0.0)
        ends += [each["foretold"] for each in bins] + [each["came"]["value"] for each in bins]
        heights = [each["states"] for each in bins]
        below.plot(
            [each["foretold"] for each in bins], heights, color=styles[name].colour, linestyle="none",
            marker=styles[name].marker, markersize=4,
        )  # fmt: skip
    if ends:
        above.plot((min(ends), max(ends)), (min(ends), max(ends)), color=GREY, linestyle=(0, (1, 2)), linewidth=1.2)
    # Nearly all states have next to no F, and those that matter much.
    above.set_xscale("symlog", linthresh=0.1, linscale=0.5)
    above.set_yscale("symlog", linthresh=0.1, linscale=0.5)
    for axis in (above.xaxis, above.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
        axis.set_minor_locator(NullLocator())
    _count_axis(below)
    below.set_xlabel("F̂ foretold, by its quantiles")


def _filled(bins: Bins) -> Bins:
    return [each for each in bins if each["states"]]


def _points(axes: Axes, bins: Bins, style: Style, shift: float) -> None:
    """Means of what came with their intervals, where there are any."""
    x = np.array([each["foretold"] for each in bins]) + shift
    y = np.array([each["came"]["value"] for each in bins])
    low, high = (
        np.array([each["came"]["value"] if each["came"][end] is None else each["came"][end] for each in bins])
        for end in ("low", "high")
    )
    axes.vlines(x, low, high, color=style.colour, linewidth=1.3, alpha=0.7)
    axes.plot(
        x, y, color=style.colour, linestyle=style.line, linewidth=1.3, marker=style.marker, markersize=5,
        markeredgecolor="white", markeredgewidth=0.5,
    )  # fmt: skip


def _bars(axes: Axes, at: Any, bins: Bins, width: float, style: Style) -> None:
    axes.bar(at, [each["states"] for each in bins], width=width, color=style.colour)


def _count_axis(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.set_ylim(0.8, 2.0 * axes.get_ylim()[1])
    axes.set_ylabel("states")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}"))
    axes.yaxis.set_minor_locator(NullLocator())
