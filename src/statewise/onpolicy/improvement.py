"""The interface between the on-policy core and the way in which a method improves its policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from statewise.core.networks import Mlp, apply_mlp
from statewise.core.ops.surrogates import gaussian_kl, gaussian_log_prob
from statewise.core.types import Array, Key, Metrics


class GaussianPolicy(NamedTuple):
    """Means by a network, log-standard deviations [action] that are the same at all states."""

    mean: Mlp
    log_std: Array


class Rollout(NamedTuple):
    """The steps of a rollout, flat, as a policy's improvement takes them: [B, obs], [B, action], the others [B].

    mean, log_std [B, action] and log_prob are of the policy that played; advantage is standardised, cost_advantage
    centred.
    """

    obs: Array
    action: Array
    mean: Array
    log_std: Array
    log_prob: Array
    advantage: Array
    cost_advantage: Array


class Progress(NamedTuple):
    """Where a run stands: rollouts done, J_c of the episodes that ended last, and the limit d_ep on it."""

    epoch: Array
    episode_cost: Array
    cost_limit: float


class Improvement(NamedTuple):
    """Everything in which one on-policy method differs from another.

    init(policy) -> state: any pytree of arrays, such as an optimizer's.
    improve(state, policy, rollout, progress, key) -> (state, policy, λ, metrics): learn from one rollout; λ is the
    weight that the cost had beside the reward; its metrics' names are columns of the run's metrics, gradient_steps the
    number of steps taken.
    """

    init: Callable[[GaussianPolicy], Any]
    improve: Callable[[Any, GaussianPolicy, Rollout, Progress, Key], tuple[Any, GaussianPolicy, Array, Metrics]]


def moments(policy: GaussianPolicy, obs: Array) -> tuple[Array, Array]:
    """Mean and log-std of the actions: [..., obs] -> [..., action] each."""
    mean = apply_mlp(policy.mean, obs, jnp.tanh)
    return mean, jnp.broadcast_to(policy.log_std, mean.shape)


def probability_ratio(policy: GaussianPolicy, rollout: Rollout) -> Array:
    """π(a|x) under `policy` over that under the policy that played: [B]."""
    return jnp.exp(gaussian_log_prob(*moments(policy, rollout.obs), rollout.action) - rollout.log_prob)


def mean_kl(policy: GaussianPolicy, rollout: Rollout) -> Array:
    """E[KL(the policy that played ‖ policy)] over the rollout's states."""
    return jnp.mean(gaussian_kl(rollout.mean, rollout.log_std, *moments(policy, rollout.obs)))


def shuffled(key: Key, count: int, size: int) -> Array:
    """Indices of one pass in minibatches [count // size, size]; what is left over is left out."""
    used = count // size * size
    return jax.random.permutation(key, count)[:used].reshape(-1, size)
