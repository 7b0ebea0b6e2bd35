"""A mean over actions with its slope, some of the states at a time, so that activations stay in a core's cache."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from statewise.core.types import Array

CACHE_FLOATS = 90_000
"""Most entries of one layer's activations in a piece: above, a core's cache (2 MB) no longer holds what it works on."""


def in_pieces(value: Callable[[Array, Array], Array], x: Array, actions: Array, width: int) -> Array:
    """value(x, actions) [B], whose only gradient is that in the actions: x [B, inputs], actions [K, B, action].

    The value of a state may depend on its own inputs and actions alone. width: units of its widest layer. Its slope is
    taken together with it, so that nothing of a piece is kept for the way back.
    """
    samples, batch, size = actions.shape
    count = pieces(samples, batch, width)
    if count == 1:
        return value(x, actions)

    def of_one(piece: tuple[Array, Array]) -> tuple[Array, Array]:
        f, pullback = jax.vjp(lambda actions: value(piece[0], actions), piece[1])
        return f, pullback(jnp.ones_like(f))[0]

    constant = jax.lax.stop_gradient(actions)
    apart = jnp.moveaxis(constant.reshape(samples, count, -1, size), 1, 0)
    f, slope = jax.lax.map(of_one, (x.reshape(count, -1, x.shape[1]), apart))
    slope = jnp.moveaxis(slope, 0, 1).reshape(actions.shape)
    return f.reshape(batch) + jnp.sum(slope * (actions - constant), axis=(0, 2))


def pieces(samples: int, batch: int, width: int) -> int:
    """How many equal pieces a batch is cut into: one where JAX has an accelerator, or where there is no such number."""
    if jax.default_backend() != "cpu":
        return 1
    least = max(1, -(-samples * batch * width // CACHE_FLOATS))
    return next((count for count in range(least, 4 * least) if batch % count == 0), 1)
