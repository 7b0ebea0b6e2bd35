"""Environments: the native tasks, adapters for any Gymnasium environment, and one way to make either."""

from __future__ import annotations

from statewise.actions import normalize_action, rescale_action
from statewise.envs.adapters import GymnasiumVector
from statewise.envs.factory import make_vector
from statewise.envs.registration import TASKS, register_environments, register_navigation_task
from statewise.envs.vector import SafeVectorEnv

__all__ = [
    "TASKS",
    "GymnasiumVector",
    "SafeVectorEnv",
    "make_vector",
    "normalize_action",
    "register_environments",
    "register_navigation_task",
    "rescale_action",
]

register_environments()
