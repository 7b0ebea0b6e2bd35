"""A mean of costs taken in pieces is the mean of costs: its value, its slope in the actions, and nothing else's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import QUICK, dual_batch, key, random_batch, small_sac, trees_equal

from statewise.sac import pieces as module
from statewise.sac.pieces import in_pieces, pieces

SAMPLES, BATCH, SIZE = 3, 12, 2


def value(x: jax.Array, actions: jax.Array) -> jax.Array:
    """Σ_k x₀ a₀² + x₁ a₁ over K, [B]: 2 x₀ a₀ and x₁ are its slopes."""
    return jnp.mean(x[:, 0] * actions[..., 0] ** 2 + x[:, 1] * actions[..., 1], axis=0)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_value_and_slope_are_those_of_the_whole(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "pieces", lambda *_: count)
    x, actions = jax.random.normal(key(0), (BATCH, 2)), jax.random.normal(key(1), (SAMPLES, BATCH, SIZE))
    weights = jnp.arange(1.0, BATCH + 1.0)
    loss, slope = jax.value_and_grad(lambda a: jnp.sum(weights * in_pieces(value, x, a, 8)))(actions)
    np.testing.assert_allclose(loss, jnp.sum(weights * value(x, actions)), rtol=1e-6)
    by_hand = jnp.stack([2.0 * x[:, 0] * actions[..., 0], jnp.broadcast_to(x[:, 1], (SAMPLES, BATCH))], axis=-1)
    np.testing.assert_allclose(slope, weights[:, None] * by_hand / SAMPLES, rtol=1e-5)


def test_pieces_are_equal_and_only_of_what_is_too_large_for_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pieces(5, 256, 128) == 2
    assert pieces(5, 256, 256) == 4
    assert pieces(1, 256, 128) == 1
    assert pieces(5, 251, 256) == 1  # a prime number of states has no equal pieces
    assert all(256 % pieces(5, 256, width) == 0 for width in range(1, 512))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert pieces(5, 256, 1024) == 1


@pytest.mark.parametrize("method", ["sac-alam", "sac-fpi"])
def test_a_gradient_step_in_pieces_is_the_same_step(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sac = small_sac(method)
    state, batch = sac.init(key(1)), random_batch(0, 8)
    dual = dual_batch(sac, 1)

    def step() -> tuple[Any, Any, int]:
        # a function of its own each time, as JAX knows one again that it has traced
        compiled = jax.jit(lambda *inputs: sac.update(*inputs), compiler_options=QUICK)
        inputs = (state, batch, dual, key(2))
        return *compiled(*inputs), compiled.lower(*inputs).as_text().count("stablehlo.while")

    whole, figures, loops = step()
    monkeypatch.setattr(module, "CACHE_FLOATS", sac.mechanism.n_cost_samples * max(sac.config.hidden) * 2)
    assert pieces(sac.mechanism.n_cost_samples, 8, max(sac.config.hidden)) == 4
    apart, figures_apart, loops_apart = step()
    assert loops_apart == loops + 1
    assert not trees_equal(whole.policy, state.policy)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(apart), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    for name, figure in figures.items():
        np.testing.assert_allclose(figures_apart[name], figure, rtol=1e-4, atol=1e-6, err_msg=name)
