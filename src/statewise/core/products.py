"""Hidden layers of the gradient step, in float32 or with the operands of their products rounded to bfloat16."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from statewise.core.types import Array

Product = Callable[[Array, Array], Array]
"""(x [..., m], w [m, n]) -> [..., n] in float32."""


class Arithmetic(NamedTuple):
    """How a hidden layer is computed."""

    product: Product
    rectify: Callable[[Array], Array]
    """max(x, 0) of what goes into another product."""
    last: Product
    """The product of the last layer, always of float32."""


def float32(x: Array, w: Array) -> Array:
    """The product as it is."""
    return x @ w


@jax.custom_vjp
def narrow(x: Array, w: Array) -> Array:
    """The product with a w of few columns, whose gradient XLA's CPU libraries sum faster as gᵀx."""
    return x @ w


def _narrow(x: Array, w: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ w, (x, w)


def _narrow_back(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, w = saved
    rows = math.prod(x.shape[:-1])  # not -1: x of a multiplier that sees nothing has no columns
    transposed = g.reshape(rows, g.shape[-1]).T @ x.reshape(rows, x.shape[-1])
    # Behind the barrier, as XLA would turn the product round again.
    return g @ w.T, lax.optimization_barrier(transposed).T


narrow.defvjp(_narrow, _narrow_back)


@jax.custom_vjp
def bfloat16(x: Array, w: Array) -> Array:
    """The product of both operands rounded to bfloat16 (8 bits of mantissa), summed in float32; gradients alike."""
    return _rounded(x, w.astype(jnp.bfloat16), 0)


def _rounded(x: Array, w: Array, axis: int) -> Array:
    contract = (((x.ndim - 1,), (axis,)), ((), ()))
    return lax.dot_general(x.astype(jnp.bfloat16), w, contract, preferred_element_type=jnp.float32)


def _forward(x: Array, w: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    rounded = x.astype(jnp.bfloat16), w.astype(jnp.bfloat16)
    return _rounded(*rounded, 0), (*rounded, jnp.zeros(0, x.dtype))


def _backward(saved: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array]:
    x, w, like_x = saved
    g = g.astype(jnp.bfloat16)
    flat_x, flat_g = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
    return _rounded(g, w, 1).astype(like_x.dtype), _rounded(_transposed(flat_x), flat_g, 0)


def _transposed(x: Array) -> Array:
    """x [n, m] rounded, as [m, n] in memory, too.

    XLA's CPU library has bfloat16 kernels only for sums over the last axis of the first operand, and without the
    barrier XLA would turn this into a sum over the first.
    """
    flat = lax.optimization_barrier(x.astype(jnp.bfloat16).T.reshape(-1))
    return flat.reshape(x.shape[::-1])


bfloat16.defvjp(_forward, _backward)


@jax.custom_vjp
def rectified(x: Array) -> Array:
    """max(x, 0) rounded to bfloat16, as the next product takes it: nothing in float32 is kept, backwards neither."""
    return jnp.maximum(x, 0.0).astype(jnp.bfloat16)


def _rectify(x: Array) -> tuple[Array, Array]:
    y = rectified(x)
    return y, y


def _rectify_back(y: Array, g: Array) -> tuple[Array]:
    return (jnp.where(y > 0, g, jnp.zeros_like(g)).astype(jnp.float32),)


rectified.defvjp(_rectify, _rectify_back)

FLOAT32 = Arithmetic(float32, jax.nn.relu, float32)
"""Plain products, which have derivatives of every kind."""
ARITHMETIC = {"float32": Arithmetic(float32, jax.nn.relu, narrow), "bfloat16": Arithmetic(bfloat16, rectified, narrow)}
"""By the precision of gradient steps; differentiable backwards alone."""
