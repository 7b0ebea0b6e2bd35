"""Conjugate gradients and the trust-region step where the answer is known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.onpolicy_reference import Array

from statewise.onpolicy.trust_region import conjugate_gradient, trust_region_step

SIZE, RADIUS = 6, 0.01
SEARCH: dict[str, Any] = {"radius": RADIUS, "iterations": 12, "damping": 0.0, "search_steps": 15, "search_decay": 0.8}


def positive_definite(seed: int) -> tuple[Array, Array]:
    """A symmetric matrix with eigenvalues between 0.5 and some ten, and a vector."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(SIZE, SIZE))
    return a @ a.T + 0.5 * np.eye(SIZE), rng.normal(size=SIZE)


# --- conjugate gradients -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iterations", [SIZE + 2, 40])
def test_conjugate_gradients_solve_and_go_on_without_harm(seed: int, iterations: int) -> None:
    a, b = positive_definite(seed)
    matrix = jnp.asarray(a, jnp.float32)
    x = conjugate_gradient(lambda v: matrix @ v, jnp.asarray(b, jnp.float32), iterations)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=2e-3, atol=1e-4)


def test_one_iteration_is_steepest_descent() -> None:
    a, b = positive_definite(0)
    x = conjugate_gradient(lambda v: jnp.asarray(a) @ v, jnp.asarray(b), 1)
    np.testing.assert_allclose(x, (b @ b) / (b @ a @ b) * b, rtol=1e-5)


def test_nothing_to_solve_gives_0() -> None:
    np.testing.assert_array_equal(conjugate_gradient(lambda v: 2.0 * v, jnp.zeros(3), 10), np.zeros(3))


# --- the step ----------------------------------------------------------------------------------------------------


def quadratic_step(seed: int, bend: float, **changes: Any) -> tuple[Array, float, Array, Array, Array]:
    """A step from x₀ with gain gᵀ(x − x₀) − bend·|x − x₀|² and distance ½(x − x₀)ᵀH(x − x₀): step, share, x₀, H, g."""
    h, g = positive_definite(seed)
    x0 = np.random.default_rng(seed + 100).normal(size=SIZE)
    start, slope, matrix = (jnp.asarray(x, jnp.float32) for x in (x0, g, h))
    new, share = trust_region_step(
        lambda x: slope @ (x - start) - bend * jnp.sum((x - start) ** 2),
        lambda x: 0.5 * (x - start) @ matrix @ (x - start),
        start,
        **{**SEARCH, **changes},
    )
    return np.asarray(new - start, np.float64), float(share), x0, h, g


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bend", [0.0, 0.1], ids=["linear", "quadratic"])
def test_the_step_on_a_quadratic_is_the_natural_gradient_of_that_length(seed: int, bend: float) -> None:
    step, share, _, h, g = quadratic_step(seed, bend)
    direction = np.linalg.solve(h, g)
    # The whole step ends on the border itself, where rounding decides: it may be shortened once.
    assert share in (1.0, pytest.approx(0.8))
    np.testing.assert_allclose(step / share, np.sqrt(2.0 * RADIUS / (g @ direction)) * direction, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_damping_enters_direction_and_length_and_keeps_the_step_inside(seed: int) -> None:
    step, share, _, h, g = quadratic_step(seed, 0.0, damping=0.5)
    direction = np.linalg.solve(h + 0.5 * np.eye(SIZE), g)
    assert share == 1.0
    np.testing.assert_allclose(step, np.sqrt(2.0 * RADIUS / (g @ direction)) * direction, rtol=2e-3, atol=1e-5)
    assert 0.5 * step @ h @ step < RADIUS


def on_a_line(gain: Any, distance: Any = lambda x: 0.5 * x[0] ** 2, **changes: Any) -> tuple[float, float]:
    """A step from 0 in one dimension, where the whole step is 1 if the distance curves by 1."""
    new, share = trust_region_step(gain, distance, jnp.zeros(1), **{**SEARCH, "radius": 0.5, **changes})
    return float(new[0]), float(share)


def test_the_line_search_shortens_while_the_gain_falls() -> None:
    # x − 1.5x² is −0.5 at 1, −0.16 at 0.8, +0.0256 at 0.64
    new, share = on_a_line(lambda x: x[0] - 1.5 * x[0] ** 2)
    assert share == pytest.approx(0.64)
    assert new == pytest.approx(0.64)


def test_the_line_search_shortens_while_the_distance_is_too_large() -> None:
    # ½x² + x⁴ is 0.73 at 0.8, 0.37 at 0.64
    assert on_a_line(lambda x: x[0], lambda x: 0.5 * x[0] ** 2 + x[0] ** 4)[1] == pytest.approx(0.64)


HOPELESS = {
    "the gain falls everywhere": (lambda x: x[0] - 1e6 * x[0] ** 2, lambda x: 0.5 * x[0] ** 2),
    "the distance is too large everywhere": (lambda x: x[0], lambda x: 0.5 * x[0] ** 2 + 1e6 * x[0] ** 4),
    "the gain is NaN": (lambda x: x[0] + jnp.where(x[0] == 0.0, 0.0, jnp.nan), lambda x: 0.5 * x[0] ** 2),
}


@pytest.mark.parametrize(("gain", "distance"), HOPELESS.values(), ids=HOPELESS)
def test_where_nothing_works_nothing_moves(gain: Any, distance: Any) -> None:
    assert on_a_line(gain, distance, search_steps=4) == (0.0, 0.0)


def test_the_last_length_is_tried_as_well() -> None:
    assert on_a_line(lambda x: x[0] - 1.5 * x[0] ** 2, search_steps=3)[1] == pytest.approx(0.64)
    assert on_a_line(lambda x: x[0] - 1.5 * x[0] ** 2, search_steps=2) == (0.0, 0.0)


def test_without_a_slope_nothing_moves() -> None:
    assert on_a_line(lambda x: jnp.zeros(()) * x[0])[0] == 0.0


def test_the_distance_never_exceeds_the_radius_and_the_gain_never_falls() -> None:
    def gain(x: jax.Array, g: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(40.0 * x * g))

    def distance(x: jax.Array, h: jax.Array) -> jax.Array:
        return 0.5 * x @ h @ x + 50.0 * jnp.sum(x**4) + 5.0 * jnp.abs(jnp.sum(x**3))

    @jax.jit
    def outcome(h: jax.Array, g: jax.Array) -> tuple[jax.Array, ...]:
        new, share = trust_region_step(lambda x: gain(x, g), lambda x: distance(x, h), jnp.zeros(SIZE), **SEARCH)
        return share, gain(new, g), distance(new, h)

    shares = []
    for seed in range(40):
        share, reached, far = outcome(*(jnp.asarray(x, jnp.float32) for x in positive_definite(seed)))
        shares.append(float(share))
        assert float(far) <= RADIUS * (1.0 + 1e-5)
        assert float(reached) >= 0.0
    assert min(shares) < 0.5 < max(shares)
