"""Generalised advantage estimates (Schulman et al. 2016)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def gae(
    reward: Float[Array, "T N"],
    value: Float[Array, "T N"],
    next_value: Float[Array, "T N"],
    terminated: Float[Array, "T N"],
    truncated: Float[Array, "T N"],
    gamma: float,
    lam: float,
) -> Float[Array, "T N"]:
    """A_t = Σ_k (γλ)^k δ_{t+k} up to the end of the episode, δ = r + γ(1 − term)V(x') − V(x), [T, N].

    next_value is V at the true next observation, the last one of an episode included: a time limit bootstraps, and so
    does the end of the T steps; neither lets the next episode's errors in.
    """
    delta = reward + gamma * (1.0 - terminated) * next_value - value
    decay = gamma * lam * (1.0 - jnp.maximum(terminated, truncated))

    def back(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        advantage = now[0] + now[1] * later
        return advantage, advantage

    _, advantages = jax.lax.scan(back, jnp.zeros_like(delta[0]), (delta, decay), reverse=True)
    return advantages
