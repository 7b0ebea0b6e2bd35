"""Environments: the native tasks, adapters for any Gymnasium environment, and one way to make either."""

from __future__ import annotations

from statewise.envs.actions import normalize_action, rescale_action, spanned_space
from statewise.envs.adapters import GymnasiumVector
from statewise.envs.base import SafeVectorEnv
from statewise.envs.factory import make_vector
from statewise.envs.registration import TASKS, register_environments, register_navigation_task

__all__ = [
    "TASKS",
    "GymnasiumVector",
    "SafeVectorEnv",
    "make_vector",
    "normalize_action",
    "register_environments",
    "register_navigation_task",
    "rescale_action",
    "spanned_space",
]

register_environments()
