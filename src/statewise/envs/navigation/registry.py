"""The navigation tasks by id, and how to add one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from statewise.envs.navigation.robots import ROBOTS
from statewise.envs.navigation.tasks import ButtonTask, CircleTask, GoalTask

if TYPE_CHECKING:
    from statewise.envs.navigation.robots import Robot
    from statewise.envs.navigation.task import NavigationTask

NAVIGATION_TASKS: dict[str, tuple[NavigationTask, Robot]] = {
    f"Safety{robot.name}{family}{level}-v0": (task(level), robot)
    for robot in ROBOTS.values()
    for family, task in (("Goal", GoalTask), ("Circle", CircleTask), ("Button", ButtonTask))
    for level in (0, 1, 2)
}
"""Task and robot of every navigation task, by id."""


def find_task(env_id: str) -> tuple[NavigationTask, Robot]:
    """Task and robot of an id; ValueError for an unknown one."""
    if env_id not in NAVIGATION_TASKS:
        raise ValueError(f"env is {env_id!r}; the navigation tasks are {', '.join(NAVIGATION_TASKS)}")
    return NAVIGATION_TASKS[env_id]


def has_crowd(env_id: str) -> bool:
    """Whether an id, a module in front of it or not, is of a navigation task whose layouts can be made denser."""
    known = NAVIGATION_TASKS.get(env_id.rpartition(":")[2])
    return known is not None and any(each.kind.name in known[0].crowd for each in known[0].objects)
