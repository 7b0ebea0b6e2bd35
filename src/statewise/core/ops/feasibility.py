"""Targets of the feasibility functions: cost value, constraint decay, Hamilton–Jacobi reachability (Definition 1).

And of the recovery value, which looks the other way: how soon a violation ends.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

CONSTRAINT_MIN = -1.0


def cvf_target(
    cost: Float[Array, " B"],
    terminated: Float[Array, " B"],
    next_qc: Float[Array, " B"],
    gamma: float,
) -> Float[Array, " B"]:
    """Cost value: y = c + γ(1 − term)·Q̄c(x', a')."""
    return cost + gamma * (1.0 - terminated) * next_qc


def cdf_target(
    cost: Float[Array, " B"],
    terminated: Float[Array, " B"],
    next_qc: Float[Array, " B"],
    gamma: float,
) -> Float[Array, " B"]:
    """Constraint decay: y = c + (1 − c)(1 − term)·γ_c·clip(ḡ, 0, 1), which is γ_c^(steps to a violation)."""
    decayed = gamma * jnp.clip(next_qc, 0.0, 1.0)
    return cost + (1.0 - cost) * (1.0 - terminated) * decayed


def hjr_target(
    constraint: Float[Array, " B"],
    terminated: Float[Array, " B"],
    next_qc: Float[Array, " B"],
    gamma: float,
) -> Float[Array, " B"]:
    """Reachability: y = (1 − γ)h + γ·max(h, ḡ), y = h at terminals, h clipped below at −1."""
    h = jnp.maximum(constraint, CONSTRAINT_MIN)
    worst = jnp.maximum(h, next_qc)
    return jnp.where(terminated > 0.0, h, (1.0 - gamma) * h + gamma * worst)


def recovery_target(
    cost: Float[Array, " B"],
    terminated: Float[Array, " B"],
    next_recovery: Float[Array, " B"],
    gamma: float,
) -> Float[Array, " B"]:
    """Recovery: y = (1 − c) + c(1 − term)·γ_c·clip(ḡr, 0, 1), which is γ_c^(steps until the violation ends)."""
    decayed = gamma * jnp.clip(next_recovery, 0.0, 1.0)
    return (1.0 - cost) + cost * (1.0 - terminated) * decayed
