"""Where things may be placed, and where a reset is told to place them; tasks that can't be set up are refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from statewise.envs.navigation.layout import Plan
from statewise.envs.vector import require_positive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from statewise.envs.navigation.scene import Slot
    from statewise.envs.navigation.task import NavigationTask

    Floats = NDArray[np.float64]

ANCHOR = 1e-9
"""m; what has a fixed place stands within so much of it, since the original draws its place too."""
ROBOT = "robot"


def make_plan(task: NavigationTask) -> Plan:
    """The room for the robot and for every object of a task, in the order in which they are placed."""
    half, own = task.extents, task.robot_extents
    keepouts, rectangles = [task.robot_keepout], [np.array([-1.0, -1.0, 1.0, 1.0]) * (half if own is None else own)]
    for each in task.objects:
        for i in range(each.count):
            keepouts.append(each.keepout)
            if each.at:
                reach = each.keepout + ANCHOR
                x, y = each.at[i]
                rectangles.append(np.array([x - reach, y - reach, x + reach, y + reach]))
            else:
                rectangles.append(np.array([-half, -half, half, half]))
    keepout, rectangle = np.array(keepouts), np.array(rectangles)
    low, high = rectangle[:, :2] + keepout[:, None], rectangle[:, 2:] - keepout[:, None]
    return Plan(low, high - low, keepout)


def check_task(task: NavigationTask) -> None:
    """Raise ValueError naming the field of a task that it can't be set up with."""
    kinds = [each.kind.name for each in task.objects]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise ValueError(
                f"objects: {kind!r} is there {kinds.count(kind)} times; put all of a kind into one Objects"
            )
        if kind == ROBOT:
            raise ValueError(f"objects: a kind can't be called {ROBOT!r}; choose another name")
    for i, kind in enumerate(task.lidars):
        if kind not in kinds:
            raise ValueError(f"lidars: {kind!r} is not allowed; it must be one of {', '.join(kinds)}")
        if kind in task.lidars[:i]:
            raise ValueError(f"lidars: {kind!r} is there twice; one lidar sees all objects of a kind")
    require_positive(
        max_episode_steps=task.max_episode_steps, **{f"count of {e.kind.name}": e.count for e in task.objects}
    )
    if not 0.0 < task.lidar_reach < math.inf:
        raise ValueError(f"lidar_reach is {task.lidar_reach}; it must be positive, in m")
    own = "extents" if task.robot_extents is None else "robot_extents"
    _require_room(own, getattr(task, own), "robot_keepout", task.robot_keepout)
    for each in task.objects:
        _require_room("extents", math.inf if each.at else task.extents, f"keepout of {each.kind.name}", each.keepout)


def _require_room(extents_name: str, extents: float, keepout_name: str, keepout: float) -> None:
    if not 0.0 <= keepout < math.inf:
        raise ValueError(f"{keepout_name} is {keepout}; it must be 0 or more, in m")
    if not extents >= keepout:
        raise ValueError(
            f"{extents_name} is {extents}, less than the {keepout_name} of {keepout} that is kept free at the edge; "
            "make it at least as large (with both equal, the place is the middle)"
        )


@dataclass(frozen=True)
class Places:
    """What a reset is told to put where, by rows of the layout, the robot's being 0.

    xy: m. yaw: rad. kinds: the names of what was placed.
    """

    xy: Mapping[int, Floats] = field(default_factory=dict)
    yaw: Mapping[int, float] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()


def read_places(options: Mapping[str, Any] | None, slots: Mapping[str, Slot]) -> Places:
    """The places in options such as `{"robot": (x, y, yaw), "hazard": [(x, y), …], "goal": (x, y)}`.

    Of several objects all must be placed. ValueError naming the option that doesn't fit.
    """
    xy: dict[int, Floats] = {}
    yaw: dict[int, float] = {}
    movable = [ROBOT, *(name for name, slot in slots.items() if not slot.objects.at)]
    for name, value in (options or {}).items():
        if name not in movable:
            raise ValueError(f"options: {name!r} can't be placed here; what can are {', '.join(movable)}")
        rows = [0] if name == ROBOT else list(range(*slots[name].rows.indices(slots[name].rows.stop)))
        for row, place in zip(rows, _read_poses(name, value, len(rows)), strict=True):
            xy[row] = place[:2]
            if len(place) == 3:
                yaw[row] = float(place[2])
    return Places(xy, yaw, frozenset(options or {}))


def _read_poses(name: str, value: Any, count: int) -> Floats:
    """[count, 2 or 3] of (x, y) or (x, y, yaw); a single object needs no list."""
    try:
        poses = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):
        poses = np.empty(0)
    poses = poses[None] if poses.ndim == 1 else poses
    if poses.shape not in ((count, 2), (count, 3)) or not np.isfinite(poses).all():
        what = "(x, y) or (x, y, yaw)" if count == 1 else f"a list of {count} of (x, y) or (x, y, yaw)"
        raise ValueError(f"options: {name} is {value!r}; it must be {what}, finite numbers in m and rad")
    return poses
