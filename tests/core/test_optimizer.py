"""RAD against Adam and against its recursion in NumPy; clipping and counting."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from statewise.core.optimizer import annealed_zeta, make_optimizer, rad

STEPS = 50
RATE = 0.01

GRADIENTS = np.random.default_rng(0).normal(size=(STEPS, 4)).astype(np.float32)


def run(optimizer: optax.GradientTransformation, gradients: Any = GRADIENTS) -> tuple[Any, Any]:
    """Parameters after each gradient, from zero, and the last state."""
    params = jnp.zeros(gradients.shape[1:])
    state, path = optimizer.init(params), []
    for gradient in gradients:
        updates, state = optimizer.update(jnp.asarray(gradient), state, params)
        params = optax.apply_updates(params, updates)
        path.append(np.asarray(params))
    return np.array(path), state


def test_with_a_negligible_zeta_rad_is_adam() -> None:
    ours, _ = run(rad(RATE, STEPS, zeta=1e-16))
    adam, _ = run(optax.adam(RATE, eps=1e-16))
    np.testing.assert_allclose(ours, adam, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("delta", [1.0, 2.0])
def test_annealed_rad_follows_its_recursion(delta: float) -> None:
    m, v, theta = np.zeros(4), np.zeros(4), np.zeros(4)
    expected = []
    for k, g in enumerate(GRADIENTS.astype(np.float64), start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        zeta = np.clip(np.exp(40.0 * (k / STEPS - 1.0)), 1e-16, 1.0)
        rate = RATE * np.sqrt(1.0 - 0.999**k) / (1.0 - 0.9**k)
        theta = theta - rate * m / np.sqrt(delta**2 * v + zeta)
        expected.append(theta)
    ours, _ = run(rad(RATE, STEPS, delta=delta))
    np.testing.assert_allclose(ours, expected, rtol=2e-5, atol=1e-7)


def test_zeta_rises_from_its_floor_to_1_and_stays_there() -> None:
    zeta = [float(annealed_zeta(jnp.asarray(k), 100)) for k in (0, 1, 50, 99, 100, 150)]
    # e^(−40) = 4·10⁻¹⁸ lies below the floor; e^(−20) and e^(−0.4) do not.
    np.testing.assert_allclose(zeta, [1e-16, 1e-16, np.exp(-20.0), np.exp(-0.4), 1.0, 1.0], rtol=1e-5)


def test_a_large_zeta_makes_the_step_proportional_to_the_gradient() -> None:
    small, _ = run(rad(RATE, STEPS, zeta=1.0), 1e-3 * GRADIENTS)
    smaller, _ = run(rad(RATE, STEPS, zeta=1.0), 5e-4 * GRADIENTS)
    np.testing.assert_allclose(small, 2.0 * smaller, rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("name", ["rad", "adam"])
def test_steps_are_counted(name: str) -> None:
    _, state = run(make_optimizer(name, RATE, STEPS, zeta=None, max_norm=1.0))
    assert [int(x) for x in jax.tree.leaves(state) if x.dtype == jnp.int32] == [STEPS]


@pytest.mark.parametrize("name", ["rad", "adam"])
def test_the_gradients_norm_is_clipped_over_the_whole_tree(name: str) -> None:
    optimizer = make_optimizer(name, RATE, STEPS, zeta=1.0, max_norm=1.0)
    params = {"w": jnp.zeros(2), "b": jnp.zeros(2)}
    # Norm √(2·3² + 2·4²) = √50; a gradient of norm 1 in the same direction must give the same moments.
    long = {"w": jnp.full(2, 3.0), "b": jnp.full(2, 4.0)}
    unit = {"w": jnp.full(2, 3.0 / 50**0.5), "b": jnp.full(2, 4.0 / 50**0.5)}
    steps: list[Any] = [optimizer.update(g, optimizer.init(params), params)[0] for g in (long, unit)]
    for leaf in ("w", "b"):
        np.testing.assert_allclose(steps[0][leaf], steps[1][leaf], rtol=1e-5)


def test_a_short_gradient_is_left_alone() -> None:
    behind_clip, _ = run(make_optimizer("rad", RATE, STEPS, zeta=None, max_norm=1e6))
    np.testing.assert_allclose(behind_clip, run(rad(RATE, STEPS))[0], rtol=1e-6)


def test_zeta_is_of_rad_alone() -> None:
    settings = {"zeta": 1.0, "max_norm": 1e6}
    adam, _ = run(make_optimizer("adam", RATE, STEPS, **settings))
    np.testing.assert_allclose(adam, run(optax.adam(RATE))[0], rtol=1e-6)
    assert not np.allclose(adam, run(make_optimizer("rad", RATE, STEPS, **settings))[0], rtol=0.1)


def test_no_gradient_means_no_step() -> None:
    path, _ = run(rad(RATE, STEPS), np.zeros((3, 4), np.float32))
    np.testing.assert_array_equal(path, 0.0)
