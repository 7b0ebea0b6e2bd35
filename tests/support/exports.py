"""Small policies of every method, with state that training would have given them, and what they are exported to."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from statewise.actions import Bounds
from statewise.core.types import Dims, TaskFacts
from statewise.families import build_core
from statewise.policy import Policy, PolicyFacts
from statewise.spec import make_config

OBS, ACTION = 7, 2
PROXIMITY = (2, 3, 5)


def small_policy(method: str, **fields: Any) -> Policy:
    """A policy of random weights on a task with seven entries, whose statistics are those of `observations`."""
    config = make_config(method, hidden=(24, 16), **fields)
    span = Bounds(np.array([-0.5, -2.0], np.float32), np.array([1.5, 3.0], np.float32))
    facts = TaskFacts(Dims(OBS, ACTION), proximity=PROXIMITY)
    policy = Policy(PolicyFacts(config, "Test-v0", facts, span))
    core, state = build_core(config, facts), policy.acting.state
    embedding = core.embed.observe(state.embedding, jnp.asarray(observations(4096, seed=1)))
    policy.acting.state = state._replace(embedding=embedding)
    policy.acting.load(_as_trained(policy.acting.arrays()))
    return policy


def _as_trained(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Multipliers that aren't at their start, and log-standard deviations that differ."""
    trained = {
        "mechanism/lam": 0.7,
        "mechanism/levels/log_margin": -1.0,
        "mechanism/levels/critical": 0.3,
        "mechanism/levels/infeasible": 1.2,
        "lam": 0.4,
    }
    for name, value in trained.items():
        if name in arrays:
            arrays[name] = np.full_like(arrays[name], value)
    if "policy/log_std" in arrays:
        arrays["policy/log_std"] = np.array([-0.4, 0.2], np.float32)
    return arrays


def observations(count: int, seed: int = 0) -> NDArray[np.float32]:
    """[count, 7]: entries of several scales, three of them proximities in [0, 1], one constant."""
    random = np.random.default_rng(seed)
    obs = random.normal([0.0, 9.8, 0.0, 0.0, 50.0, 0.0, 3.0], [1.0, 0.05, 0.0, 0.0, 20.0, 0.0, 0.0], (count, OBS))
    obs[:, PROXIMITY] = random.beta(0.5, 1.0, (count, len(PROXIMITY)))
    return obs.astype(np.float32)
