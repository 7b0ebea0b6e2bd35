"""The running range of action values, by hand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from support.shapes import checked

from statewise.core.ops import units

value_range = checked(units.value_range)
running_range = checked(units.running_range)

Q = jnp.linspace(-2.0, 8.0, 101)


def test_the_range_lies_between_two_quantiles() -> None:
    # 101 values a tenth apart: the 5 % quantile is −1.5, the 95 % quantile 7.5
    np.testing.assert_allclose(value_range(Q), 9.0, rtol=1e-5)


def test_outliers_do_not_move_it() -> None:
    np.testing.assert_allclose(value_range(Q.at[0].set(-1e6)), 9.0, rtol=1e-5)


def test_equal_values_leave_something_to_divide_by() -> None:
    assert float(value_range(jnp.ones(8))) > 0.0


def test_it_starts_at_the_first_and_then_follows_slowly() -> None:
    np.testing.assert_allclose(running_range(jnp.asarray(1.0), Q, jnp.asarray(1.0)), 9.0, rtol=1e-5)
    np.testing.assert_allclose(running_range(jnp.asarray(1.0), Q, jnp.asarray(0.0)), 1.08, rtol=1e-5)


def test_it_scales_with_the_rewards() -> None:
    np.testing.assert_allclose(value_range(0.01 * Q), 0.01 * value_range(Q), rtol=1e-5)
