"""Products of rounded operands against NumPy on the same roundings, forwards and backwards."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from support.learners import key

from statewise.core.networks import Layer, apply_mlp
from statewise.core.products import ARITHMETIC, bfloat16, narrow, rectified


def rounded(x: jax.Array) -> NDArray[np.float64]:
    return np.asarray(x).astype(ml_dtypes.bfloat16).astype(np.float64)


def operands(*lead: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    x = jax.random.normal(key(0), (*lead, 24))
    return x, jax.random.normal(key(1), (24, 6)), jax.random.normal(key(2), (*lead, 6))


@pytest.mark.parametrize("lead", [(5,), (3, 5)])
def test_both_operands_are_rounded_and_the_sum_is_not(lead: tuple[int, ...]) -> None:
    x, w, _ = operands(*lead)
    product = bfloat16(x, w)
    assert product.dtype == jnp.float32
    np.testing.assert_allclose(product, rounded(x) @ rounded(w), rtol=1e-5, atol=1e-5)
    assert np.abs(product - np.asarray(x, np.float64) @ np.asarray(w, np.float64)).max() > 1e-3


@pytest.mark.parametrize("lead", [(5,), (3, 5)])
def test_gradients_are_of_rounded_operands(lead: tuple[int, ...]) -> None:
    x, w, g = operands(*lead)
    to_x, to_w = jax.vjp(bfloat16, x, w)[1](g)
    np.testing.assert_allclose(to_x, rounded(g) @ rounded(w).T, rtol=1e-5, atol=1e-5)
    to_w_by_hand = rounded(x).reshape(-1, 24).T @ rounded(g).reshape(-1, 6)
    np.testing.assert_allclose(to_w, to_w_by_hand, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lead", [(5,), (3, 5)])
def test_a_product_with_few_columns_has_the_gradients_of_a_product(lead: tuple[int, ...]) -> None:
    x, w, g = operands(*lead)
    product, pull = jax.vjp(narrow, x, w)
    np.testing.assert_array_equal(product, x @ w)
    wide, narrowed = (np.asarray(a, np.float64) for a in (x.reshape(-1, 24), g.reshape(-1, 6)))
    to_x, to_w = pull(g)
    np.testing.assert_allclose(to_x.reshape(-1, 24), narrowed @ np.asarray(w, np.float64).T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_w, wide.T @ narrowed, rtol=1e-5, atol=1e-5)


def test_members_of_an_ensemble_at_once_are_as_one_by_one() -> None:
    x, _, g = operands(5)
    w = jax.random.normal(key(3), (2, 24, 6))
    together, pull = jax.vjp(jax.vmap(bfloat16, in_axes=(None, 0)), x, w)
    to_x, to_w = pull(jnp.stack([g, 2.0 * g]))
    for e in range(2):
        np.testing.assert_allclose(together[e], bfloat16(x, w[e]), rtol=1e-6)
    alone = [jax.vjp(bfloat16, x, w[e])[1]((e + 1.0) * g) for e in range(2)]
    np.testing.assert_allclose(to_x, alone[0][0] + alone[1][0], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_w, jnp.stack([alone[0][1], alone[1][1]]), rtol=1e-5, atol=1e-5)


def test_a_last_layer_is_always_in_float32() -> None:
    x, w, _ = operands(5)
    last = (Layer(w, jnp.ones(6)),)
    np.testing.assert_array_equal(apply_mlp(last, x, arithmetic=ARITHMETIC["bfloat16"]), apply_mlp(last, x))
    first = (Layer(jax.random.normal(key(4), (24, 24)), jnp.zeros(24)), *last)
    body = jax.nn.relu(jnp.asarray(rounded(x) @ rounded(first[0].w), jnp.float32))
    np.testing.assert_allclose(
        apply_mlp(first, x, arithmetic=ARITHMETIC["bfloat16"]), body @ w + 1.0, rtol=1e-4, atol=1e-4
    )


def test_what_goes_into_another_product_is_rectified_and_rounded_with_the_gradient_of_both() -> None:
    x = jnp.asarray([-2.0, -0.0, 0.0, 1.0 + 2.0**-9, 3.0])
    y, pull = jax.vjp(rectified, x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y.astype(jnp.float32), [0.0, 0.0, 0.0, 1.0, 3.0])
    (to_x,) = pull(jnp.asarray([5.0, 6.0, 7.0, 8.0, 9.0], jnp.bfloat16))
    assert to_x.dtype == jnp.float32
    np.testing.assert_array_equal(to_x, [0.0, 0.0, 0.0, 8.0, 9.0])


def test_a_product_of_rounded_activations_is_that_of_what_they_were() -> None:
    """Rounded twice is rounded once, and their gradient is rounded as that of the product before rounds it anyway."""
    x, w, g = operands(5)
    (early, pull), (late, pull_late) = jax.vjp(bfloat16, x.astype(jnp.bfloat16), w), jax.vjp(bfloat16, x, w)
    np.testing.assert_array_equal(early, late)
    (to_x, to_w), (to_x_late, to_w_late) = pull(g), pull_late(g)
    assert to_x.dtype == jnp.bfloat16
    np.testing.assert_array_equal(to_x, to_x_late.astype(jnp.bfloat16))
    np.testing.assert_array_equal(to_w, to_w_late)


def test_only_the_layer_before_the_last_hands_over_float32() -> None:
    """Three layers by hand: the first two in bfloat16, what the last one takes not rounded."""
    sizes = (24, 16, 8, 2)
    layers = tuple(
        Layer(jax.random.normal(key(i), (m, n)) / 4, jnp.full(n, 0.1)) for i, (m, n) in enumerate(pairwise(sizes))
    )
    x, *_ = operands(5)
    first = np.maximum(rounded(x) @ rounded(layers[0].w) + 0.1, 0.0)
    second = np.maximum(rounded(jnp.asarray(first, jnp.float32)) @ rounded(layers[1].w) + 0.1, 0.0)
    found = apply_mlp(layers, x, arithmetic=ARITHMETIC["bfloat16"])
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, second @ np.asarray(layers[2].w, np.float64) + 0.1, rtol=1e-4, atol=1e-4)
