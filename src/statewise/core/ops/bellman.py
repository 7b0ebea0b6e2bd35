"""Bellman targets of the soft action values, and how an ensemble's values become one."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float


def combine(values: Float[Array, "E *B"], how: str) -> Float[Array, "*B"]:
    """One value from an ensemble's.

    min: a lower bound on the return (Fujimoto et al. 2018). max: an upper bound on the cost (the SAC-ALaM paper,
    section V); where the members disagree by δ, a bootstrapped value drifts up to δ/(1 − γ) above the truth. mean: no
    bound, and no drift.
    """
    return {"min": jnp.min, "max": jnp.max, "mean": jnp.mean}[how](values, axis=0)


def soft_q_target(
    reward: Float[Array, " B"],
    terminated: Float[Array, " B"],
    next_q: Float[Array, " B"],
    next_alpha_logp: Float[Array, " B"],
    gamma: float,
) -> Float[Array, " B"]:
    """y = r + γ(1 − term)(Q̄(x', a') − α log π(a'|x')); a time limit bootstraps (section V)."""
    return reward + gamma * (1.0 - terminated) * (next_q - next_alpha_logp)
