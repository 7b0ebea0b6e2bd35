"""Stand-ins for trained policies whose λ and F̂ are known functions of the observation; they compile nothing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from statewise.actions import Bounds
from statewise.core.normalizer import Normalizer
from statewise.core.types import Dims, TaskFacts
from statewise.envs import make_vector
from statewise.policy import Policy, PolicyFacts
from statewise.spec import make_config

Known = Callable[[Any], Any]


def known_policy(task: str, lam: Known, f: Known, seed: int = 0, statistics: Normalizer | None = None) -> Policy:
    """A policy of a task that does nothing and answers with lam(obs) and f(obs), [B, obs] -> [B] each.

    statistics: of its observations in training; of none when left out.
    """
    env = make_vector(task, 1)
    space, size = env.single_action_space, env.single_observation_space.shape[0]
    env.close()
    dims = Dims(size, space.shape[0])
    facts = TaskFacts(dims, 1.0, env.max_episode_steps, ())
    nothing = Normalizer(*(cast("Any", np.zeros(shape)) for shape in ((), size, size)))
    embedding = SimpleNamespace(statistics=nothing if statistics is None else statistics)
    stand_in = SimpleNamespace(
        about=PolicyFacts(make_config("sac-alam", seed=seed), task, facts, Bounds(space.low, space.high)),
        acting=SimpleNamespace(
            state=SimpleNamespace(embedding=embedding), greedy=lambda obs: np.zeros((len(obs), dims.action), np.float32)
        ),
        risk=lambda obs: tuple(np.asarray(answer(obs), np.float32) for answer in (lam, f)),
    )
    return cast("Policy", stand_in)
