"""RAD, the optimizer of the paper (Lyu et al., "Conformal symplectic optimization for stable RL", 2025), for optax."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax

ZETA_MIN = 1e-16
Tree = TypeVar("Tree")


class RadState(NamedTuple):
    """steps: int32, taken so far; mu, nu: first and second moments, trees like the parameters."""

    steps: jax.Array
    mu: Any
    nu: Any


def annealed_zeta(step: jax.Array, total_steps: int) -> jax.Array:
    """ζ_k = clip(exp(40(k/N − 1)), 10⁻¹⁶, 1) at step k of N."""
    return jnp.clip(jnp.exp(40.0 * (step / total_steps - 1.0)), ZETA_MIN, 1.0)


def rad(
    learning_rate: float,
    total_steps: int,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    delta: float = 1.0,
    zeta: float | None = None,
) -> optax.GradientTransformation:
    """Relativistic adaptive gradient descent.

    θ ← θ − lr·√(1−β₂ᵏ)/(1−β₁ᵏ)·m/√(δ²v + ζ_k). With ζ → 0 this is Adam; with ζ → 1 the denominator saturates and it
    becomes gradient descent with momentum. `total_steps` is N, the updates of this parameter group over the whole run;
    a number for `zeta` fixes ζ instead of annealing it.
    """

    def init(params: Any) -> RadState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return RadState(jnp.zeros((), jnp.int32), zeros, jax.tree.map(jnp.zeros_like, params))

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        assert isinstance(state, RadState)
        k = state.steps + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1.0 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1.0 - b2) * g * g, state.nu, updates)
        zeta_k = annealed_zeta(k, total_steps) if zeta is None else zeta
        rate = learning_rate * jnp.sqrt(1.0 - b2**k) / (1.0 - b1**k)
        steps = jax.tree.map(lambda m, v: -rate * m / jnp.sqrt(delta**2 * v + zeta_k), mu, nu)
        return steps, RadState(k, mu, nu)

    return optax.GradientTransformation(init, update)


def make_optimizer(
    name: str, learning_rate: float, total_steps: int, *, zeta: float | None, max_norm: float
) -> optax.GradientTransformation:
    """`rad` or `adam` behind a clip of the gradient's global norm."""
    clip = optax.clip_by_global_norm(max_norm)
    if name == "adam":
        return optax.chain(clip, optax.adam(learning_rate))
    return optax.chain(clip, rad(learning_rate, total_steps, zeta=zeta))


def clipped_adam(max_norm: float) -> optax.GradientTransformation:
    """Adam's direction behind a clip of the gradient's global norm, to be scaled by a rate: see `descend`."""
    return optax.chain(optax.clip_by_global_norm(max_norm), optax.scale_by_adam())


def descend(params: Tree, direction: Any, rate: Any) -> Tree:
    """params − rate · direction."""
    return jax.tree.map(lambda p, d: p - rate * d, params, direction)


def linear_to_zero(learning_rate: float, step: Any, total_steps: int) -> jax.Array:
    """The learning rate at a step, counted from 0, of a run over which it falls linearly to 0."""
    return learning_rate * jnp.maximum(1.0 - step / total_steps, 0.0)
