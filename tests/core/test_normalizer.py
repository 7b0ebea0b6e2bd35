"""Running statistics of observations against NumPy's."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from statewise.core.normalizer import Normalizer, init_normalizer, normalize, observe

ROWS = np.random.default_rng(0).normal(3.0, 2.0, size=(40, 3)).astype(np.float32)


def seen(*batches: np.ndarray) -> Normalizer:
    """Statistics of the batches, one after another."""
    state = init_normalizer(3)
    for batch in batches:
        state = observe(state, jnp.asarray(batch))
    return state


@pytest.mark.parametrize("cut", [1, 15])
def test_statistics_do_not_depend_on_how_rows_are_batched(cut: int) -> None:
    state = seen(ROWS[:cut], ROWS[cut:])
    assert float(state.seen) == 40.0
    np.testing.assert_allclose(state.mean, ROWS.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(state.m2, 40.0 * ROWS.var(axis=0), rtol=1e-4)


def test_seen_rows_come_out_standardised() -> None:
    out = np.asarray(normalize(seen(ROWS), jnp.asarray(ROWS)))
    np.testing.assert_allclose(out, (ROWS - ROWS.mean(axis=0)) / ROWS.std(axis=0), rtol=1e-4, atol=1e-5)


def test_a_constant_entry_is_centred_and_not_blown_up() -> None:
    rows = ROWS.copy()
    rows[:, 1] = 9.81
    out = np.asarray(normalize(seen(rows), jnp.asarray(rows)))
    np.testing.assert_allclose(out[:, 1], 0.0, atol=1e-4)


def test_outliers_are_clipped() -> None:
    out = normalize(seen(ROWS), jnp.array([[1e6, -1e6, 3.0]]))
    np.testing.assert_array_equal(out[0, :2], [10.0, -10.0])


def test_before_anything_is_seen_observations_pass_through() -> None:
    np.testing.assert_array_equal(normalize(init_normalizer(3), jnp.asarray(ROWS[:4])), ROWS[:4])


def test_leading_axes_are_kept() -> None:
    assert normalize(seen(ROWS), jnp.zeros((5, 2, 3))).shape == (5, 2, 3)
