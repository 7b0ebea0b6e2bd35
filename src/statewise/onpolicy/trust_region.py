"""The natural gradient and its line search (TRPO: Schulman et al. 2015), on flat vectors."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from statewise.core.types import Array


def conjugate_gradient(product: Callable[[Array], Array], b: Array, iterations: int) -> Array:
    """x with Ax ≈ b for a symmetric positive definite A that is known by its products: [P] -> [P]."""

    def step(_: int, carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        x, residual, direction, size = carry
        image = product(direction)
        # Once the residual is gone, further steps are nought over nought.
        length = size / jnp.maximum(direction @ image, 1e-20)
        x, residual = x + length * direction, residual - length * image
        new_size = residual @ residual
        return x, residual, residual + new_size / jnp.maximum(size, 1e-20) * direction, new_size

    return jax.lax.fori_loop(0, iterations, step, (jnp.zeros_like(b), b, b, b @ b))[0]


def trust_region_step(
    gain: Callable[[Array], Array],
    distance: Callable[[Array], Array],
    params: Array,
    *,
    radius: float,
    iterations: int,
    damping: float,
    search_steps: int,
    search_decay: float,
) -> tuple[Array, Array]:
    """Parameters [P] that raise `gain` within `distance` ≤ radius of `params`, and the share of the full step taken.

    The direction solves (H + damping·I)s = ∇gain, H the Hessian of `distance` at `params`. The full step, s times
    √(2·radius/sᵀ(H + damping·I)s), is shortened until gain doesn't fall and the distance keeps within the radius. Where
    no length does, the share is 0.
    """
    slope = jax.grad(gain)(params)

    def fisher(v: Array) -> Array:
        return jax.jvp(jax.grad(distance), (params,), (v,))[1] + damping * v

    direction = conjugate_gradient(fisher, slope, iterations)
    full = jnp.sqrt(2.0 * radius / jnp.maximum(direction @ fisher(direction), 1e-20)) * direction
    before = gain(params)

    def fails(share: Array) -> Array:
        new = params + share * full
        return ~((gain(new) >= before) & (distance(new) <= radius))

    def shorter(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        return carry[0] + 1, carry[1] * search_decay

    def goes_on(carry: tuple[Array, Array]) -> Array:
        return jnp.logical_and(carry[0] < search_steps, fails(carry[1]))

    tries, share = jax.lax.while_loop(goes_on, shorter, (jnp.zeros((), jnp.int32), jnp.ones(())))
    share = jnp.where(tries < search_steps, share, 0.0)
    return params + share * full, share
