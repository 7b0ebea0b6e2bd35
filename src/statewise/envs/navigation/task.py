"""What a navigation task is: what stands where, what is seen, what pays and what costs, over N worlds at once."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from statewise.envs.navigation.layout import Plan
    from statewise.envs.navigation.objects import Objects

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(slots=True)
class View:
    """What the rules of a task read: N worlds as arrays, current at the end of a step. SI units.

    position: [N, 3] of the robot's body. rotation: [N, 3, 3] of it. velocity: [N, 2] of it, in the world. xy: places
    [N, count, 2] of the objects, by kind; a task may move what cannot be touched. distance: [N, count] in the plane
    from the robot to the objects, by kind. touching: [N, count], > 0 where the robot touches an object of a kind that
    can be touched. speed: [N, count] of objects that can be pushed. plan: the room for robot and objects. memory: what
    the task keeps of every world, by name, each an array with a leading axis N; saved and restored with the state.
    given: in `begin`, the names of what the reset was told to place, which is to stay there.
    """

    position: Floats
    rotation: Floats
    velocity: Floats
    plan: Plan
    xy: dict[str, Floats] = field(default_factory=dict)
    distance: dict[str, Floats] = field(default_factory=dict)
    touching: dict[str, Floats] = field(default_factory=dict)
    speed: dict[str, Floats] = field(default_factory=dict)
    memory: dict[str, NDArray] = field(default_factory=dict)
    given: frozenset[str] = frozenset()


class Verdict(NamedTuple):
    """What a step brought in N worlds.

    reward: [N]. costs: by name, [N], each 1 where that constraint is violated, else 0, and NaN where it does not hold
    at present. margin: [N], m, how far a constraint is violated, negative where none is; what is reported as h(x) is
    this, but > 0 wherever something costs and <= 0 wherever nothing does. met: [N], whether the goal was met.
    """

    reward: Floats
    costs: dict[str, Floats]
    margin: Floats
    met: Bools


class NavigationTask(ABC):
    """One task, for any robot. A subclass gives `objects`, `lidars`, `judge`, and what else differs.

    description: one line. objects: what stands in it, in the order in which it is placed, all kinds different.
    lidars: the kinds that are seen, in the order of the observation. extents: half the side of the square that things
    are placed in, m. robot_extents: the same for the robot, if it differs. robot_keepout: m. lidar_reach: m.
    max_episode_steps: when an episode is truncated. crowd: the kinds that a denser layout has more of.
    """

    description: ClassVar[str] = ""
    objects: tuple[Objects, ...] = ()
    lidars: tuple[str, ...] = ()
    extents: float = 1.5
    robot_extents: float | None = None
    robot_keepout: float = 0.4
    lidar_reach: float = 3.0
    max_episode_steps: int = 1000
    crowd: tuple[str, ...] = ()

    def memory(self, num_envs: int) -> dict[str, NDArray]:
        """What to keep of every world, before the first reset; arrays with a leading axis N."""
        return {}

    def begin(self, view: View, world: int, stream: np.random.RandomState) -> None:  # noqa: B027  # may be left out
        """A layout was drawn and this world is at rest; draw what else the task needs."""

    @abstractmethod
    def judge(self, view: View) -> Verdict:
        """Reward and costs of the step that ended here, in all worlds."""

    def hidden(self, view: View) -> dict[str, Bools]:
        """Kinds that are not seen at present, and in which worlds [N]."""
        return {}

    def renew(self, view: View, world: int, stream: np.random.RandomState) -> None:  # noqa: B027  # may be left out
        """The goal was met in this world; set the next one. LayoutError if there is no room: the episode ends."""


def crowded(task: NavigationTask, crowding: float) -> NavigationTask:
    """The task with `crowding` times as many objects of the kinds that it declares as its `crowd`, rounded up.

    ValueError for a crowding that isn't a number above 0, or other than 1 where the task has no such kinds.
    """
    if not (math.isfinite(crowding) and crowding > 0.0):
        raise ValueError(f"crowding: {crowding!r} is not allowed; it must be a number above 0")
    if crowding == 1.0:
        return task
    if not any(each.kind.name in task.crowd for each in task.objects):
        raise ValueError(f"crowding: {crowding:g} is not allowed; this task has nothing that there could be more of")
    denser = copy.copy(task)
    denser.objects = tuple(
        replace(each, count=math.ceil(crowding * each.count - 1e-9)) if each.kind.name in task.crowd else each
        for each in task.objects
    )
    return denser
