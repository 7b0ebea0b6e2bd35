"""Maps of risk as one page that works from a file: menus and sliders for network, speed and direction."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from statewise.report.maps import COLOURS, Outline, RiskMaps, compass, require_file, scale
from statewise.report.plotly import plotly_js
from statewise.storage.files import write_text_atomic

PAGES = (".html",)
"""What the name of a page may end in."""
_TEMPLATE = Path(__file__).with_name("map_page.html")
_DASHES = {"goal": "dash", "circle": "dash", "vase": "dot", "gremlin": "dashdot", "button": "dash"}


def maps_page(maps: Sequence[RiskMaps], output: Path) -> Path:
    """Write policies' maps over one plane as a page that needs no network; returns `output`, which ends in .html.

    The maps must be in the order of direction, then of speed. `#network=f&speed=2&direction=1` behind the page's
    address opens it there. ValueError for another ending or a missing folder.
    """
    require_file(output, PAGES)
    # "</" would end the script that holds the data.
    data = json.dumps(_content(maps), ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    page = _TEMPLATE.read_text(encoding="utf-8")
    write_text_atomic(output, page.replace("/*PLOTLY*/", plotly_js()).replace("/*DATA*/", data))
    return output


def _content(maps: Sequence[RiskMaps]) -> dict[str, Any]:
    """What the page's script reads."""
    first = maps[0]
    return {
        "task": first.task,
        "note": first.note,
        "axes": first.axes,
        "x": np.round(first.x, 6).tolist(),
        "y": np.round(first.y, 6).tolist(),
        "speeds": list(dict.fromkeys(motion.speed for motion in first.motions)),
        "directions": [compass(way) for way in dict.fromkeys(motion.direction for motion in first.motions)],
        "colours": _colours(),
        "scales": {network: scale(maps, network) for network in ("lam", "f")},
        "outlines": _lines(first.outlines),
        "runs": [
            {
                "label": each.label,
                "threshold": each.threshold,
                "titles": [each.title(case).replace("\n", ", ") for case in range(len(each.motions))],
                "lam": _bytes(each.lam),
                "f": _bytes(each.f),
            }
            for each in maps
        ],
    }


def _colours() -> list[tuple[float, str]]:
    """The colours of the pictures as plotly.js takes them."""
    scale = colormaps[COLOURS]
    return [(float(share), to_hex(scale(share))) for share in np.linspace(0.0, 1.0, 33)]


def _bytes(values: Any) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _lines(outlines: Sequence[Outline]) -> list[dict[str, Any]]:
    """One line for each kind, with a gap between its polygons."""
    lines: list[dict[str, Any]] = []
    for kind in dict.fromkeys(outline.kind for outline in outlines):
        xy: list[tuple[float | None, float | None]] = []
        for points in (outline.points for outline in outlines if outline.kind == kind):
            xy += [*np.round([*points, points[0]], 4).tolist(), (None, None)]
        x, y = zip(*xy, strict=True)
        lines.append({"kind": kind, "dash": _DASHES.get(kind, "solid"), "x": x, "y": y})
    return lines
