"""Feasibility targets: numbers by hand, and Definition 1 on a small deterministic chain."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from support.shapes import checked

from statewise.core.ops import feasibility

cvf_target = checked(feasibility.cvf_target)
cdf_target = checked(feasibility.cdf_target)
hjr_target = checked(feasibility.hjr_target)

NEXT_QC = jnp.array([0.5, 2.0, -0.4, 0.9])


def test_cost_value_target_by_hand() -> None:
    cost, ends = jnp.array([0.0, 1.0, 0.0, 1.0]), jnp.array([0.0, 0.0, 0.0, 1.0])
    # 0 + 0.9·0.5 = 0.45;  1 + 0.9·2 = 2.8;  0 + 0.9·(−0.4) = −0.36;  a terminal: 1
    np.testing.assert_allclose(cvf_target(cost, ends, NEXT_QC, 0.9), [0.45, 2.8, -0.36, 1.0], rtol=1e-6)


def test_constraint_decay_target_by_hand() -> None:
    cost, ends = jnp.array([0.0, 0.0, 0.0, 0.0]), jnp.array([0.0, 0.0, 0.0, 1.0])
    # 0.9·0.5 = 0.45;  0.9·clip(2) = 0.9;  0.9·clip(−0.4) = 0;  a terminal without cost: 0
    np.testing.assert_allclose(cdf_target(cost, ends, NEXT_QC, 0.9), [0.45, 0.9, 0.0, 0.0], rtol=1e-6)
    # A violation is 1 whatever follows, and whether or not the episode ends with it.
    np.testing.assert_array_equal(cdf_target(jnp.ones(4), ends, NEXT_QC, 0.9), 1.0)


def test_reachability_target_by_hand() -> None:
    h, ends = jnp.array([-0.5, 3.0, -7.0, 0.4]), jnp.array([0.0, 0.0, 0.0, 1.0])
    # 0.1·(−0.5) + 0.9·max(−0.5, 0.5) = 0.4;  0.1·3 + 0.9·max(3, 2) = 3;
    # h clipped to −1: 0.1·(−1) + 0.9·max(−1, −0.4) = −0.46;  a terminal: h = 0.4
    np.testing.assert_allclose(hjr_target(h, ends, NEXT_QC, 0.9), [0.4, 3.0, -0.46, 0.4], rtol=1e-6)


def test_reachability_clips_the_constraint_of_terminals_too() -> None:
    target = hjr_target(jnp.array([-9.0]), jnp.ones(1), jnp.zeros(1), 0.9)
    np.testing.assert_array_equal(target, [-1.0])


# --- Definition 1 ------------------------------------------------------------------------------------------------
# 0 → 1 → 2 → 4 and 3 → 4 ⟲. State 2 violates, state 4 absorbs: 0, 1, 2 are unsafe in the long term, 3 and 4 safe.

NEXT = np.array([1, 2, 4, 4, 4])
H = np.array([-0.5, -0.2, 0.7, -0.3, -0.8])
COST = (H > 0.0).astype(np.float32)
UNSAFE = np.array([True, True, True, False, False])
GAMMA = 0.9

Values = NDArray[np.float32]


class Feasibility(NamedTuple):
    """A target as an operator on functions of the chain's states, and its fixed point in closed form."""

    operator: Callable[[Values], Values]
    fixed_point: list[float]


def on_chain(target: Callable[..., object], signal: NDArray[np.floating]) -> Callable[[Values], Values]:
    """F ↦ target(signal(x), no terminals, F(next x))."""

    def operator(f: Values) -> Values:
        following = jnp.asarray(f[NEXT], jnp.float32)
        return np.asarray(target(jnp.asarray(signal, jnp.float32), jnp.zeros(5), following, GAMMA))

    return operator


# 1, 0.9, 0.81 at zero, one and two steps before the violation, for both functions of the cost.
DECAY = [0.81, 0.9, 1.0, 0.0, 0.0]
# From the absorbing state backwards: F(4) = h(4) = −0.8; F(3) = 0.1·(−0.3) + 0.9·(−0.3) = −0.3; F(2) = 0.7;
# F(1) = 0.1·(−0.2) + 0.9·0.7 = 0.61; F(0) = 0.1·(−0.5) + 0.9·0.61 = 0.499.
REACH = [0.499, 0.61, 0.7, -0.3, -0.8]

FUNCTIONS = {
    "cvf": Feasibility(on_chain(cvf_target, COST), DECAY),
    "cdf": Feasibility(on_chain(cdf_target, COST), DECAY),
    "hjr": Feasibility(on_chain(hjr_target, H), REACH),
}

each_function = pytest.mark.parametrize("name", FUNCTIONS)
functions_of_states = arrays(np.float32, 5, elements=st.floats(-3.0, 3.0, width=32))


@each_function
def test_iterating_the_operator_reaches_the_closed_form(name: str) -> None:
    operator, fixed_point = FUNCTIONS[name]
    f = np.full(5, 2.0, np.float32)
    for _ in range(200):
        f = operator(f)
    np.testing.assert_allclose(f, fixed_point, atol=1e-6)
    np.testing.assert_allclose(operator(np.asarray(fixed_point, np.float32)), fixed_point, atol=1e-6)


@each_function
def test_the_fixed_point_is_positive_just_where_a_violation_lies_ahead(name: str) -> None:
    np.testing.assert_array_equal(np.asarray(FUNCTIONS[name].fixed_point) > 0.0, UNSAFE)


@each_function
@given(f=functions_of_states, raised=arrays(np.float32, 5, elements=st.floats(0.0, 2.0, width=32)))
def test_the_operator_is_monotone(name: str, f: Values, raised: Values) -> None:
    operator = FUNCTIONS[name].operator
    assert np.all(operator(f) <= operator(f + raised) + 1e-6)


@each_function
@given(one=functions_of_states, other=functions_of_states)
def test_the_operator_is_a_contraction_in_the_sup_norm(name: str, one: Values, other: Values) -> None:
    operator = FUNCTIONS[name].operator
    distance = np.max(np.abs(operator(one) - operator(other)))
    assert distance <= GAMMA * np.max(np.abs(one - other)) + 1e-6
