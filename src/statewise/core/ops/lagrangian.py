"""State-wise Lagrangians: penalties on the actor loss, dual target, violation, growth of the penalty factor.

Throughout, G = F̂ − d stands where the paper writes F, so that the threshold d reaches every term.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""] | float


def linear_penalty(lam: Float[Array, "*B"], g: Float[Array, "*B"]) -> Float[Array, "*B"]:
    """λG, the plain Lagrangian's term (section II-C)."""
    return lam * g


def slack_constraint(lam: Float[Array, "*B"], g: Float[Array, "*B"], rho: Scalar) -> Float[Array, "*B"]:
    """u = max(−λ/ρ, G): the constraint after the optimal slack has been put in (section III-B)."""
    return jnp.maximum(-lam / rho, g)


def augmented_penalty(lam: Float[Array, "*B"], g: Float[Array, "*B"], rho: Scalar) -> Float[Array, "*B"]:
    """λu + ρu²/2 with u = max(−λ/ρ, G), Eq. (16); its derivative in G is relu(λ + ρG)."""
    u = slack_constraint(lam, g, rho)
    return lam * u + 0.5 * rho * jnp.square(u)


def dual_target(lam: Float[Array, "*B"], g: Float[Array, "*B"], rho: Scalar) -> Float[Array, "*B"]:
    """relu(λ + ρG), what the next multiplier should be (section III-C)."""
    return jax.nn.relu(lam + rho * g)


def violation(lam: Float[Array, "*B"], g: Float[Array, "*B"], rho: Scalar) -> Float[Array, ""]:
    """v = √E[max(G, −λ/ρ)²] (section III-D)."""
    return jnp.sqrt(jnp.mean(jnp.square(slack_constraint(lam, g, rho))))


def weighted_mean(x: Float[Array, "*B"], weight: Float[Array, "*B"]) -> Float[Array, ""]:
    """Σ w·x / Σ w, and 0 where all weights are 0."""
    total = jnp.sum(weight)
    return jnp.sum(weight * x) / jnp.where(total > 0.0, total, 1.0)


def penalty_growth(rho: Scalar, v: Scalar, growth: float, rho_max: float) -> Float[Array, ""]:
    """ρ ← min(σρ, ρ_max) where v > 1/ρ, else ρ unchanged (section III-D)."""
    return jnp.where(v > 1.0 / rho, jnp.minimum(growth * rho, rho_max), rho)
