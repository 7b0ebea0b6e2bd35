"""Matrix products of the gradient step, in float32 or with operands rounded to bfloat16."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from statewise.core.types import Array

Product = Callable[[Array, Array], Array]
"""(x [..., m], w [m, n]) -> [..., n], float32 in and out."""


def float32(x: Array, w: Array) -> Array:
    """The product as it is."""
    return x @ w


@jax.custom_vjp
def bfloat16(x: Array, w: Array) -> Array:
    """The product of both operands rounded to bfloat16 (8 bits of mantissa), summed in float32; gradients alike."""
    return _rounded(x, w.astype(jnp.bfloat16), 0)


def _rounded(x: Array, w: Array, axis: int) -> Array:
    contract = (((x.ndim - 1,), (axis,)), ((), ()))
    return lax.dot_general(x.astype(jnp.bfloat16), w, contract, preferred_element_type=jnp.float32)


def _forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    rounded = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    return _rounded(*rounded, 0), rounded


def _backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, w = saved
    g = g.astype(jnp.bfloat16)
    flat_x, flat_g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    return _rounded(g, w, 1), _rounded(_transposed(flat_x), flat_g, 0)


def _transposed(x: Array) -> Array:
    """x [n, m] rounded, as [m, n] in memory, too.

    XLA's CPU library has bfloat16 kernels only for sums over the last axis of the first operand, and without the
    barrier XLA would turn this into a sum over the first.
    """
    flat = lax.optimization_barrier(x.astype(jnp.bfloat16).T.reshape(-1))
    return flat.reshape(x.shape[::-1])


bfloat16.defvjp(_forward, _backward)

PRODUCTS: dict[str, Product] = {"float32": float32, "bfloat16": bfloat16}
