"""Small on-policy learners and rollouts for the tests of their core."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from statewise.config import OnPolicyConfig
from statewise.core.types import Batch
from statewise.methods import METHODS, build_method
from statewise.onpolicy.core import OnPolicy, OnPolicyState
from statewise.runtime import use_compilation_cache
from support.learners import DIMS, QUICK, random_batch

ON_POLICY = [name for name, method in METHODS.items() if issubclass(method.config, OnPolicyConfig)]

WORLDS, STEPS, EPOCHS = 3, 16, 4
EPISODE_STEPS = 100

SMALL: dict[str, Any] = {
    "hidden": (8, 8),
    "num_envs": WORLDS,
    "epoch_steps": WORLDS * STEPS,
    "total_steps": WORLDS * STEPS * EPOCHS,
    "minibatch_size": 16,
    "update_epochs": 2,
    "learning_rate": 1e-2,
}


def on_policy_config(method: str, **changes: Any) -> OnPolicyConfig:
    """A method's configuration with `SMALL` and then `changes` put in; four rollouts of 16 steps of three worlds."""
    config = METHODS[method].config
    assert issubclass(config, OnPolicyConfig)
    return config.from_dict({**SMALL, **changes})


@functools.cache
def on_policy_core(method: str, **changes: Any) -> OnPolicy:
    """The core of `on_policy_config`; the same object for the same arguments."""
    return core_of(on_policy_config(method, **changes))


def core_of(config: OnPolicyConfig) -> OnPolicy:
    """A configuration's core for episodes of 100 steps."""
    use_compilation_cache()
    return OnPolicy(config, DIMS, build_method(config), config.cost_limit(EPISODE_STEPS))


@functools.cache
def jit_epoch(core: OnPolicy) -> Any:
    """`core.update`, compiled once a session."""
    return jax.jit(core.update, compiler_options=QUICK)


def recording(core: OnPolicy) -> OnPolicy:
    """The core, whose figures also hold what its improvement was given: policy, rollout and progress."""

    def improve(state: Any, policy: Any, rollout: Any, progress: Any, key: Any) -> Any:
        *learned, metrics = core.improvement.improve(state, policy, rollout, progress, key)
        return *learned, {**metrics, "given": (policy, rollout, progress)}

    return dataclasses.replace(core, improvement=core.improvement._replace(improve=improve))


def random_epoch(seed: int) -> Batch:
    """A rollout [T, N] with all kinds of rows: costs, terminals, time limits, and actions beyond ±1."""
    rng = np.random.default_rng(seed + 1000)
    batch = random_batch(seed, STEPS, WORLDS)
    truncated = (1.0 - batch.terminated) * (rng.random((STEPS, WORLDS)) < 0.1)
    action = rng.normal(size=(STEPS, WORLDS, DIMS.action))
    return batch._replace(truncated=jnp.asarray(truncated), action=jnp.asarray(action, jnp.float32))


def costly_epoch(seed: int) -> Batch:
    """A rollout whose costs are 2.5, so that binary costs are others."""
    batch = random_epoch(seed)
    return batch._replace(cost=2.5 * batch.cost)


def learned_networks(state: OnPolicyState) -> dict[str, Any]:
    """What every method learns, apart from optimizers."""
    policy = {"mean": state.policy.mean, "log_std": state.policy.log_std}
    return {**policy, "value": state.value, "cost_value": state.cost_value}
