"""The native tasks under their Gymnasium ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gymnasium

from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.envs.velocity import VELOCITY_TASKS

if TYPE_CHECKING:
    from statewise.envs.navigation.robots import Robot
    from statewise.envs.navigation.task import NavigationTask

TASKS: dict[str, str] = {
    **{task_id: task.description for task_id, (task, _) in NAVIGATION_TASKS.items()},
    **{task_id: task.description for task_id, task in VELOCITY_TASKS.items()},
}
"""What each native task asks for, by id."""


def register_environments() -> None:
    """Make the native tasks known to `gymnasium.make` and `gymnasium.make_vec`; a second call changes nothing."""
    for task_id in VELOCITY_TASKS:
        if task_id not in gymnasium.registry:
            gymnasium.register(
                id=task_id,
                entry_point="statewise.envs.velocity_env:VelocityEnv",
                vector_entry_point="statewise.envs.velocity_env:VelocityVectorEnv",
                max_episode_steps=1000,
                kwargs={"task": task_id},
            )
    for task_id, (task, _) in NAVIGATION_TASKS.items():
        if task_id not in gymnasium.registry:
            gymnasium.register(
                id=task_id,
                entry_point="statewise.envs.navigation.env:NavigationEnv",
                vector_entry_point="statewise.envs.navigation.env:NavigationVectorEnv",
                max_episode_steps=task.max_episode_steps,
                # The environment asks for a reset itself, and the tests have checked what the checker would.
                order_enforce=False,
                disable_env_checker=True,
                kwargs={"task": task_id},
            )


def register_navigation_task(env_id: str, task: NavigationTask, robot: Robot) -> None:
    """Make a navigation task of one's own known under an id, wherever a native one is; ValueError for a taken id."""
    if env_id in gymnasium.registry:
        raise ValueError(f"env_id is {env_id!r}, which is taken; choose another one")
    NAVIGATION_TASKS[env_id] = task, robot
    TASKS[env_id] = task.description
    register_environments()
