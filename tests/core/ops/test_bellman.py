"""Bellman targets against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from support.shapes import checked

from statewise.core.ops import bellman

combine = checked(bellman.combine)
soft_q_target = checked(bellman.soft_q_target)


@pytest.mark.parametrize(
    ("how", "expected"), [("min", [0.0, -2.0, 0.5]), ("max", [1.0, -1.0, 0.5]), ("mean", [0.5, -1.5, 0.5])]
)
def test_twins_become_one_value(how: Any, expected: list[float]) -> None:
    twins = jnp.array([[1.0, -2.0, 0.5], [0.0, -1.0, 0.5]])
    np.testing.assert_array_equal(combine(twins, how), expected)


def test_combining_keeps_further_axes() -> None:
    twins = jnp.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(combine(twins, "min"), twins[0])
    np.testing.assert_array_equal(combine(twins, "mean"), twins[0] + 6.0)


def test_soft_q_target_by_hand() -> None:
    target = soft_q_target(
        jnp.array([1.0, 1.0, -0.5]),
        jnp.array([0.0, 1.0, 0.0]),
        jnp.array([3.0, 9.0, -2.0]),
        jnp.array([0.5, 0.5, -1.0]),
        0.9,
    )
    # 1 + 0.9·(3 − 0.5) = 3.25;  a terminal: 1;  −0.5 + 0.9·(−2 + 1) = −1.4
    np.testing.assert_allclose(target, [3.25, 1.0, -1.4], rtol=1e-6)


def test_a_terminal_hides_whatever_follows() -> None:
    reward, ends = jnp.array([2.0, 3.0]), jnp.ones(2)
    for value in (-1e6, 0.0, 1e6):
        target = soft_q_target(reward, ends, jnp.full(2, value), jnp.array([value, 1.0]), 0.99)
        np.testing.assert_array_equal(target, reward)


def test_an_array_of_another_shape_is_noticed() -> None:
    row = jnp.zeros(3)
    with pytest.raises(AssertionError, match="next_alpha_logp"):
        soft_q_target(row, row, row, jnp.zeros(4), 0.9)
