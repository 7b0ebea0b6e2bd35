"""Bellman targets of the soft action values."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def pessimistic_reward(q: Float[Array, "E *B"]) -> Float[Array, "*B"]:
    """The smaller of the twins: a lower bound on the return (Fujimoto et al. 2018)."""
    return jnp.min(q, axis=0)


def pessimistic_cost(qc: Float[Array, "E *B"]) -> Float[Array, "*B"]:
    """The larger of the twins: an upper bound on the cost, to prevent underestimation of risk (section V)."""
    return jnp.max(qc, axis=0)


def soft_q_target(
    reward: Float[Array, " B"],
    terminated: Float[Array, " B"],
    next_q: Float[Array, "E B"],
    next_alpha_logp: Float[Array, " B"],
    gamma: float,
) -> Float[Array, " B"]:
    """y = r + γ(1 − term)(min_i Q̄_i(x', a') − α log π(a'|x')); a time limit bootstraps (section V)."""
    return reward + gamma * (1.0 - terminated) * (pessimistic_reward(next_q) - next_alpha_logp)
