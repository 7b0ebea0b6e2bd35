"""Penalties, dual target, violation and penalty growth: by hand, by identity and by derivative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from support.shapes import checked

from statewise.core.ops import lagrangian

augmented_penalty = checked(lagrangian.augmented_penalty)
dual_target = checked(lagrangian.dual_target)
penalty_growth = checked(lagrangian.penalty_growth)
violation = checked(lagrangian.violation)

LAM = jnp.array([0.0, 2.0, 2.0, 1.0])
G = jnp.array([-1.0, 0.5, -3.0, -0.2])
RHO = 2.0

Row = NDArray[np.float64]
multipliers = arrays(np.float64, 6, elements=st.floats(0.0, 10.0))
constraints = arrays(np.float64, 6, elements=st.floats(-10.0, 10.0))
factors = st.floats(0.1, 5.0)


def test_the_linear_penalty_by_hand() -> None:
    np.testing.assert_allclose(checked(lagrangian.linear_penalty)(LAM, G), [0.0, 1.0, -6.0, -0.2])


def test_the_constraint_with_its_slack_by_hand() -> None:
    # −λ/ρ = 0, −1, −1, −0.5: max with G
    np.testing.assert_allclose(checked(lagrangian.slack_constraint)(LAM, G, RHO), [0.0, 0.5, -1.0, -0.2], rtol=1e-6)


def test_the_augmented_penalty_by_hand() -> None:
    # 0;  2·0.5 + 0.5² = 1.25;  2·(−1) + (−1)² = −1;  1·(−0.2) + 0.2² = −0.16
    np.testing.assert_allclose(augmented_penalty(LAM, G, RHO), [0.0, 1.25, -1.0, -0.16], rtol=1e-6)


def test_the_dual_target_by_hand() -> None:
    # relu of 0 − 2, 2 + 1, 2 − 6, 1 − 0.4
    np.testing.assert_allclose(dual_target(LAM, G, RHO), [0.0, 3.0, 0.0, 0.6], rtol=1e-6)


def test_the_violation_by_hand() -> None:
    # √((0² + 0.5² + 1² + 0.2²)/4) = √0.3225
    np.testing.assert_allclose(violation(LAM, G, RHO), np.sqrt(0.3225), rtol=1e-6)


def test_the_violation_is_zero_where_all_is_safe_and_unpenalised() -> None:
    assert float(violation(jnp.zeros(4), -jnp.ones(4), RHO)) == 0.0


def test_the_weighted_mean_by_hand() -> None:
    mean = checked(lagrangian.weighted_mean)
    x = jnp.array([1.0, 4.0, -2.0])
    np.testing.assert_allclose(mean(x, jnp.ones(3)), 1.0, rtol=1e-6)
    np.testing.assert_allclose(mean(x, jnp.array([1.0, 0.5, 0.0])), 2.0, rtol=1e-6)  # (1 + 2)/1.5
    assert float(mean(x, jnp.zeros(3))) == 0.0


@pytest.mark.parametrize(
    ("rho", "v", "expected"),
    [
        (1.0, 1.5, 1.01),  # v above 1/ρ = 1: grows by σ
        (1.0, 1.0, 1.0),  # v = 1/ρ is not above it
        (1.0, 0.9, 1.0),
        (2.0, 0.6, 2.02),  # 1/ρ is 0.5 by now
        (4.99, 9.0, 5.0),  # 5.0399 is capped
        (5.0, 9.0, 5.0),
    ],
)
def test_the_penalty_factor_grows_where_the_violation_exceeds_its_inverse(
    rho: float, v: float, expected: float
) -> None:
    grown = penalty_growth(jnp.asarray(rho), jnp.asarray(v), 1.01, 5.0)
    np.testing.assert_allclose(grown, expected, rtol=1e-6)


@given(lam=multipliers, g=constraints, rho=factors)
def test_both_forms_of_the_augmented_penalty_agree(lam: Row, g: Row, rho: float) -> None:
    penalty = augmented_penalty(jnp.asarray(lam, jnp.float32), jnp.asarray(g, jnp.float32), rho)
    other_form = (np.maximum(lam + rho * g, 0.0) ** 2 - lam**2) / (2.0 * rho)
    np.testing.assert_allclose(penalty, other_form, rtol=1e-5, atol=1e-4)


@given(lam=multipliers, g=constraints, rho=factors)
def test_the_penaltys_slope_is_the_dual_target(lam: Row, g: Row, rho: float) -> None:
    lam32, g32 = jnp.asarray(lam, jnp.float32), jnp.asarray(g, jnp.float32)
    slope = jax.grad(lambda x: jnp.sum(augmented_penalty(lam32, x, rho)))(g32)
    # At the kink the slope of a maximum is a matter of convention; both sides are 0 there, so a tolerance is enough.
    np.testing.assert_allclose(slope, dual_target(lam32, g32, rho), rtol=1e-5, atol=1e-4)


@given(lam=multipliers, g=constraints, rho=factors)
def test_the_dual_target_is_the_multiplier_plus_the_slack_step(lam: Row, g: Row, rho: float) -> None:
    lam32, g32 = jnp.asarray(lam, jnp.float32), jnp.asarray(g, jnp.float32)
    step = rho * checked(lagrangian.slack_constraint)(lam32, g32, rho)
    np.testing.assert_allclose(lam32 + step, dual_target(lam32, g32, rho), rtol=1e-5, atol=1e-4)
    assert float(jnp.min(dual_target(lam32, g32, rho))) >= 0.0


def test_arguments_in_the_wrong_order_are_noticed() -> None:
    with pytest.raises(AssertionError, match="g: "):
        dual_target(LAM, jnp.asarray(RHO), G)
