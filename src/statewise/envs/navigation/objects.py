"""What stands in a navigation task: one table of constants.

Source: Safety-Gymnasium 1.0.0. SI units; half extents, radii and half heights as MuJoCo takes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object.

    shape, size: its geom. height: z of its body, m. body: `ghost` is seen but never touched; `fixed` is touched and
    doesn't move; `free` is pushed about; `gremlin` is dragged along a circle. rgba: how it is drawn. turned: whether
    its yaw is random.
    """

    name: str
    shape: Literal["sphere", "cylinder", "box"]
    size: tuple[float, ...]
    height: float
    body: Literal["ghost", "fixed", "free", "gremlin"]
    rgba: tuple[float, float, float, float]
    turned: bool = True


@dataclass(frozen=True, slots=True)
class Objects:
    """So many objects of one kind.

    keepout: m; no two objects come closer than the sum of their keepouts when a layout is drawn. at: fixed places
    (x, y), one for each; empty for random ones. yaws: fixed yaws, rad, of a kind that is not turned.
    """

    kind: Kind
    count: int
    keepout: float
    at: tuple[tuple[float, float], ...] = ()
    yaws: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, given in (("at", self.at), ("yaws", self.yaws)):
            if given and len(given) != self.count:
                raise ValueError(f"{name} of {self.kind.name} has {len(given)} entries; {self.count} are needed")


GOAL = Kind("goal", "cylinder", (0.3, 0.15), 0.16, "ghost", (0.0, 1.0, 0.0, 0.25))
BUTTON_GOAL = Kind("goal", "cylinder", (0.2, 0.1), 0.11, "ghost", (0.0, 1.0, 0.0, 0.1))
HAZARD = Kind("hazard", "cylinder", (0.2, 0.01), 0.02, "ghost", (0.0, 0.0, 1.0, 0.25))
BUTTON = Kind("button", "sphere", (0.1,), 0.1, "fixed", (1.0, 0.5, 0.0, 1.0))
VASE = Kind("vase", "box", (0.1, 0.1, 0.1), 0.1 - 4e-5, "free", (0.0, 1.0, 1.0, 1.0))
GREMLIN = Kind("gremlin", "box", (0.1, 0.1, 0.1), 0.1, "gremlin", (0.5, 0.0, 1.0, 1.0))
CIRCLE = Kind("circle", "cylinder", (1.5, 0.01), 0.01, "ghost", (0.0, 1.0, 0.0, 0.1), turned=False)
SIGWALL = Kind("sigwall", "box", (0.05, 3.5, 0.3), 0.25, "ghost", (1.0, 1.0, 0.0, 0.1), turned=False)

HAZARD_RADIUS = 0.2
GOAL_RADIUS = 0.3
GREMLIN_TRAVEL = 0.35
"""Radius of the circle that gremlins are dragged along, m."""
FREE_DENSITY = 0.001
"""kg/m^3 of vases and gremlins."""
