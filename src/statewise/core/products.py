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
    """The product of both operands rounded to bfloat16 (8 bits of mantissa), summed in float32.

    So is the gradient of x; that of w is a float32 product of unrounded operands: XLA's CPU library has bfloat16
    kernels for sums over the last axis of x alone, and weights move by sums of small steps that shouldn't lose digits.
    """
    return _rounded(x, w.astype(jnp.bfloat16), 0)


def _rounded(x: Array, w: Array, axis: int) -> Array:
    contract = (((x.ndim - 1,), (axis,)), ((), ()))
    return lax.dot_general(x.astype(jnp.bfloat16), w, contract, preferred_element_type=jnp.float32)


def _forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    rounded = w.astype(jnp.bfloat16)
    return _rounded(x, rounded, 0), (x, rounded)


def _backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, w = saved
    rows = (((0,), (0,)), ((), ()))
    flat_x, flat_g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    return _rounded(g, w, 1), lax.dot_general(flat_x, flat_g, rows)


bfloat16.defvjp(_forward, _backward)

PRODUCTS: dict[str, Product] = {"float32": float32, "bfloat16": bfloat16}
