"""Surrogates of the on-policy methods: Gaussian densities, clipped objectives, P3O's hinge, CRPO's switch."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Scalar = Float[Array, ""] | float


def gaussian_log_prob(
    mean: Float[Array, "*B A"], log_std: Float[Array, "*B A"], action: Float[Array, "*B A"]
) -> Float[Array, "*B"]:
    """log π(a|x) of a diagonal Gaussian."""
    z = (action - mean) * jnp.exp(-log_std)
    return jnp.sum(-0.5 * jnp.square(z) - log_std - 0.5 * math.log(2.0 * math.pi), axis=-1)


def gaussian_kl(
    mean: Float[Array, "*B A"],
    log_std: Float[Array, "*B A"],
    new_mean: Float[Array, "*B A"],
    new_log_std: Float[Array, "*B A"],
) -> Float[Array, "*B"]:
    """KL(old ‖ new) of diagonal Gaussians; that of their tanh is the same, as tanh is one-to-one."""
    ratio = jnp.exp(2.0 * (log_std - new_log_std))
    shift = jnp.square((mean - new_mean) * jnp.exp(-new_log_std))
    return jnp.sum(new_log_std - log_std + 0.5 * (ratio + shift - 1.0), axis=-1)


def clipped_reward(ratio: Float[Array, " B"], advantage: Float[Array, " B"], clip: float) -> Float[Array, ""]:
    """E[min(rA, clip(r)A)], a pessimistic gain (Schulman et al. 2017, Eq. 7)."""
    bounded = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    return jnp.mean(jnp.minimum(ratio * advantage, bounded * advantage))


def clipped_cost(ratio: Float[Array, " B"], cost_advantage: Float[Array, " B"], clip: float) -> Float[Array, ""]:
    """E[max(rA_c, clip(r)A_c)], a pessimistic rise of the cost (P3O: Zhang et al. 2022)."""
    bounded = jnp.clip(ratio, 1.0 - clip, 1.0 + clip)
    return jnp.mean(jnp.maximum(ratio * cost_advantage, bounded * cost_advantage))


def exact_penalty(cost_rise: Scalar, excess: Scalar, kappa: float, gamma: float) -> Float[Array, ""]:
    """κ·relu(E[max(rA_c, clip(r)A_c)] + (1 − γ)(J_c − d_ep)), excess = J_c − d_ep (P3O: Zhang et al. 2022)."""
    return kappa * jax.nn.relu(cost_rise + (1.0 - gamma) * excess)


def rewards_are_next(episode_cost: Scalar, limit: float, slack: float) -> Bool[Array, ""]:
    """CRPO's switch: whether J_c ≤ d_ep + η, so that this step is one on reward (Xu et al. 2021, Algorithm 1)."""
    return jnp.asarray(episode_cost) <= limit + slack
