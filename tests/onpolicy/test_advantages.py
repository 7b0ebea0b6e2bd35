"""Generalised advantages by hand, at their limits, and against the sum that defines them."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.onpolicy_reference import Array, advantages

from statewise.core.ops import advantages as ops

gae: Any = ops.gae
compiled = jax.jit(ops.gae)
T, N = 9, 3


def column(*values: float) -> Array:
    return np.array(values, np.float64)[:, None]


def steps(seed: int, ends: float = 0.2) -> dict[str, Any]:
    """Random arguments of `gae` [T, N], an episode ending at a step with that chance, by either kind."""
    rng = np.random.default_rng(seed)
    over, kind = rng.random((T, N)) < ends, rng.random((T, N)) < 0.5
    names = ("reward", "value", "next_value")
    signals = {name: rng.normal(size=(T, N)) for name in names}
    return {**signals, "terminated": (over & kind).astype(float), "truncated": (over & ~kind).astype(float)}


def test_a_time_limit_a_terminal_and_the_end_of_the_block_by_hand() -> None:
    # Errors at γ = ½: 1 + 4/2 − 2 = 1; 2 + 6/2 − 4 = 1, at the time limit; 3 + 3/2 − 1 = 3.5; 4 − 3 = 1, at the
    # terminal; 5 + 10/2 − 2 = 8, at the end. Later errors count a quarter each.
    actual = gae(
        column(1, 2, 3, 4, 5),
        column(2, 4, 1, 3, 2),
        column(4, 6, 3, 8, 10),
        terminated=column(0, 0, 0, 1, 0),
        truncated=column(0, 1, 0, 0, 0),
        gamma=0.5,
        lam=0.5,
    )
    np.testing.assert_allclose(actual, column(1.25, 1, 3.75, 1, 8), rtol=1e-6)


def test_a_single_step() -> None:
    zero = column(0)
    assert gae(column(1), column(2), column(4), zero, zero, 0.5, 0.5) == 1.0
    assert gae(column(1), column(2), column(4), zero, column(1), 0.5, 0.5) == 1.0
    assert gae(column(1), column(2), column(4), column(1), zero, 0.5, 0.5) == -1.0


def test_without_lambda_advantages_are_one_step_errors() -> None:
    x = steps(1)
    expected = x["reward"] + 0.9 * (1 - x["terminated"]) * x["next_value"] - x["value"]
    np.testing.assert_allclose(compiled(**x, gamma=0.9, lam=0.0), expected, rtol=1e-5, atol=1e-6)


def test_with_lambda_1_advantages_are_discounted_sums_less_the_value() -> None:
    """In one episode that goes on behind the block, so that only the last step bootstraps."""
    x = steps(2, ends=0.0)
    x["next_value"][:-1] = x["value"][1:]
    total, expected = x["next_value"][-1], []
    for reward, value in zip(x["reward"][::-1], x["value"][::-1], strict=True):
        total = reward + 0.9 * total
        expected.insert(0, total - value)
    np.testing.assert_allclose(compiled(**x, gamma=0.9, lam=1.0), expected, rtol=1e-5, atol=1e-5)


def test_worlds_are_independent() -> None:
    one, other = steps(3), steps(4)
    mixed = {name: np.where(np.arange(N) == 1, one[name], other[name]) for name in one}
    expected = np.asarray(compiled(**one, gamma=0.9, lam=0.8))
    actual = np.asarray(compiled(**mixed, gamma=0.9, lam=0.8))
    np.testing.assert_array_equal(actual[:, 1], expected[:, 1])
    assert (actual[:, 0] != expected[:, 0]).any()


@given(
    seed=st.integers(0, 2**16),
    ends=st.floats(0.0, 1.0),
    gamma=st.floats(0.0, 1.0, width=32),
    lam=st.floats(0.0, 1.0, width=32),
)
def test_the_recursion_is_the_sum_that_defines_it(seed: int, ends: float, gamma: float, lam: float) -> None:
    x = steps(seed, ends)
    np.testing.assert_allclose(compiled(**x, gamma=gamma, lam=lam), advantages(**x, gamma=gamma, lam=lam), atol=1e-4)
