"""From the compiled core's pytrees to the flat float64 arrays of the NumPy reference."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from statewise.core.networks import Critic, Mlp
from statewise.core.types import Batch, Key
from statewise.sac.core import Sac, SacState
from support.numpy_reference import Array, Learner, Net, Optimizer


def to_float64(x: Any) -> Array:
    return np.asarray(x, np.float64)


def mlp_net(params: Mlp) -> Net:
    """An MLP's arrays in the reference's order."""
    return [to_float64(array) for layer in params for array in (layer.w, layer.b)]


def critic_nets(params: Critic) -> list[Net]:
    """Both twins, the first layer's split weights put back together."""
    first = np.concatenate([to_float64(params.w_obs), to_float64(params.w_action)], axis=1)
    stacked = [first, to_float64(params.b), *mlp_net(params.rest)]
    return [[array[twin] for array in stacked] for twin in range(2)]


def reference_learner(sac: Sac, state: SacState) -> Learner:
    """The reference's learner at a fresh state, its optimizers' moments at zero."""
    c = sac.config
    assert c.zeta is not None

    def optimizer(net: Net) -> Optimizer:
        return Optimizer.start(net, c.learning_rate, c.zeta or 0.0, c.grad_clip)

    policy, q, qc = mlp_net(state.policy), critic_nets(state.q), critic_nets(state.qc)
    log_alpha = to_float64(state.log_alpha)
    opt = {
        "policy": optimizer(policy),
        "q": optimizer(q[0] + q[1]),
        "qc": optimizer(qc[0] + qc[1]),
        "alpha": optimizer([log_alpha]),
    }
    targets = critic_nets(state.q_target), critic_nets(state.qc_target)
    return Learner(policy, q, qc, *targets, log_alpha, opt)


def reference_batch(batch: Batch) -> Batch:
    return Batch(*(to_float64(field) for field in batch))


def update_noise(key: Key, batch: int, action: int, samples: int) -> tuple[Array, Array]:
    """The normals that one update draws: of the next action [B, A], and of the actor's actions [K, B, A]."""
    key_next, key_actor, _ = jax.random.split(key, 3)
    key_first, key_rest = jax.random.split(key_actor)
    first = jax.random.normal(key_first, (1, batch, action))
    rest = jax.random.normal(key_rest, (samples - 1, batch, action))
    following = jax.random.normal(key_next, (batch, action))
    return to_float64(following), np.concatenate([to_float64(first), to_float64(rest)])
