"""The native tasks under their Gymnasium ids."""

from __future__ import annotations

import gymnasium

from statewise.envs.velocity import VELOCITY_TASKS

TASKS: dict[str, str] = {task_id: task.description for task_id, task in VELOCITY_TASKS.items()}
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
