"""What a Gymnasium environment wears: its time limit, what keeps a state, and what can't be trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.wrappers import (
    Autoreset,
    HumanRendering,
    OrderEnforcing,
    PassiveEnvChecker,
    RecordEpisodeStatistics,
    RecordVideo,
    RenderCollection,
    TimeLimit,
)
from gymnasium.wrappers.utils import RunningMeanStd

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATELESS = (TimeLimit, OrderEnforcing, PassiveEnvChecker)
"""The counter of a TimeLimit needs no saving: the vector's own, which is saved, never lets it run out first."""
ONLY_WATCH = (*_STATELESS, RecordEpisodeStatistics, RecordVideo, HumanRendering, RenderCollection)

AnyEnv = gymnasium.Env[Any, Any]


def worn(env: AnyEnv) -> Iterator[gymnasium.Wrapper[Any, Any, Any, Any]]:
    """The wrappers of an environment, the outermost first."""
    while isinstance(env, gymnasium.Wrapper):
        yield env
        env = env.env


def names_of_wrappers(env: AnyEnv) -> list[str]:
    """Classes of the wrappers that change what is seen or done, the innermost first; time limits are the horizon's."""
    kinds = [type(wrapper) for wrapper in worn(env) if type(wrapper) not in ONLY_WATCH]
    return [f"{kind.__module__}:{kind.__qualname__}" for kind in reversed(kinds)]


def time_limit(env: AnyEnv) -> int | None:
    """Steps after which the first of its time limits cuts an episode; None without one."""
    limits = [wrapper._max_episode_steps for wrapper in worn(env) if isinstance(wrapper, TimeLimit)]
    if limits:
        return min(limits)
    return None if env.spec is None else env.spec.max_episode_steps


def restores_state(env: AnyEnv) -> bool:
    """Whether `get_state` and `set_state` of the environment within cover all that it wears."""
    within: Any = env.unwrapped
    methods = (getattr(within, name, None) for name in ("get_state", "set_state"))
    return all(map(callable, methods)) and all(type(wrapper) in _STATELESS for wrapper in worn(env))


def refuse_unfit(env: AnyEnv, task: str) -> None:
    """Raise ValueError for a wrapper that training goes wrong with, naming what does its work."""
    for wrapper in worn(env):
        name = type(wrapper).__name__
        if isinstance(wrapper, Autoreset):
            raise ValueError(
                f"{task} wears {name}, which hides the ends of episodes; leave it out, as they restart anyway"
            )
        learned = [key for key, value in vars(wrapper).items() if isinstance(value, RunningMeanStd)]
        if learned and getattr(wrapper, "update_running_mean", True):
            instead = (
                "reward_scale (of the SAC methods) or gymnasium.wrappers.TransformReward takes a fixed factor"
                if isinstance(wrapper, gymnasium.RewardWrapper) or "return_rms" in learned
                else "observation_normalization=True keeps one set, saved with the policy"
            )
            raise ValueError(
                f"{task} wears {name}, whose statistics ({', '.join(learned)}) would differ between environments and "
                f"from those of the evaluation, and start anew at resume; leave it out: {instead}"
            )
