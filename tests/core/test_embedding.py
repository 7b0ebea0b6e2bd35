"""What the networks see of an observation, by hand; and that everything that acts or judges sees it."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import assert_trees_close, jit_update, key, networks, random_batch, small_config, trees_equal

from statewise.core.embedding import BINS, LEVELS, Embedding, positions
from statewise.core.types import Dims
from statewise.methods import build_method
from statewise.sac.core import Sac

ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(200, 3)), jnp.float32)


def test_nothing_is_added_where_nothing_is_asked_for() -> None:
    embed = Embedding(3)
    assert embed.dim == 3
    state = embed.observe(embed.init(), ROWS)
    assert trees_equal(state, embed.init())
    np.testing.assert_array_equal(embed(state, ROWS), ROWS)


def test_powers_of_the_proximity_sensors_are_appended() -> None:
    embed = Embedding(3, "powers", (0, 2))
    assert embed.dim == 7
    out = embed(embed.init(), jnp.array([[0.5, -3.0, 0.9]]))
    expected = [[0.5, -3.0, 0.9, 0.5**4, 0.9**4, 0.5**16, 0.9**16]]
    np.testing.assert_allclose(out, expected, rtol=1e-5)


def test_sensors_side_by_side_are_taken_as_those_apart() -> None:
    obs = jnp.asarray(np.random.default_rng(2).uniform(size=(4, 5)), jnp.float32)
    for places in ((1, 2, 3), (3, 1, 2), (4,), (0, 4)):
        embed = Embedding(5, "powers", places)
        near = np.asarray(obs)[:, list(places)]
        expected = np.concatenate([obs, near**4, near**16], axis=1)
        np.testing.assert_allclose(embed(embed.init(), obs), expected, rtol=1e-5)


def test_powers_without_a_proximity_sensor_are_nothing() -> None:
    embed = Embedding(3, "powers")
    np.testing.assert_array_equal(embed(embed.init(), ROWS), ROWS)


def test_powers_are_standardised_as_everything_is() -> None:
    embed = Embedding(3, "powers", (1,), standardize=True)
    near = jnp.asarray(np.random.default_rng(1).uniform(size=(500, 3)), jnp.float32)
    out = np.asarray(embed(embed.observe(embed.init(), near), near))
    np.testing.assert_allclose(out.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=0), 1.0, atol=1e-3)


def test_positions_between_edges_by_hand() -> None:
    edges = jnp.array([[0.0, 1.0, 3.0], [2.0, 2.0, 4.0]])
    out = positions(jnp.array([[0.25, 3.0], [2.0, -1.0], [9.0, 9.0]]), edges)
    # A quarter of the first piece; a whole one and half of the second; beyond both. A piece without width is 0.
    np.testing.assert_allclose(out, [[0.25, 0.0, 0.0, 0.5], [1.0, 0.5, 0.0, 0.0], [1.0, 1.0, 0.0, 1.0]])


def test_edges_are_the_mean_of_the_batches_quantiles() -> None:
    embed = Embedding(3, "quantiles")
    assert embed.dim == 3 * (1 + BINS)
    state = embed.init()
    for batch in (ROWS[:50], ROWS[50:]):
        state = embed.observe(state, batch)
    quantiles = [np.quantile(np.asarray(batch), LEVELS, axis=0).T for batch in (ROWS[:50], ROWS[50:])]
    np.testing.assert_allclose(state.edges, 0.25 * quantiles[0] + 0.75 * quantiles[1], rtol=1e-4, atol=1e-6)


def test_before_anything_is_seen_the_pieces_are_0() -> None:
    embed = Embedding(3, "quantiles")
    np.testing.assert_array_equal(embed(embed.init(), ROWS)[:, 3:], 0.0)


def test_a_sensor_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="proximity: 3 is not allowed; the observation has entries 0 to 2"):
        Embedding(3, "powers", (0, 3))


@pytest.mark.parametrize("kind", ["powers", "quantiles"])
@pytest.mark.parametrize("method", ["sac-alam", "sac-fpi"])
def test_a_gradient_step_is_that_of_the_embedded_observations(method: str, kind: str) -> None:
    config = small_config(method, embedding=kind)
    sac = Sac(config, Dims(3, 2), build_method(config), proximity=(0, 1))
    state = sac.observe(sac.init(key(1)), ROWS)
    raw = random_batch(0)
    seen = raw._replace(obs=sac.embed(state.embedding, raw.obs), next_obs=sac.embed(state.embedding, raw.next_obs))
    plain_config = config.replace(embedding="none")
    plain = Sac(plain_config, sac.inputs, build_method(plain_config))
    dual = random_batch(5, 1 if sac.mechanism.dual is None else sac.mechanism.dual.batches, 8)
    dual_seen = dual._replace(
        obs=sac.embed(state.embedding, dual.obs), next_obs=sac.embed(state.embedding, dual.next_obs)
    )
    inside, _ = jit_update(sac)(state, raw, dual, key(2))
    by_hand, _ = jit_update(plain)(state._replace(embedding=plain.embed.init()), seen, dual_seen, key(2))
    assert_trees_close(networks(inside), networks(by_hand))
    assert_trees_close(sac.risk(state, raw.obs, key(4)), plain.risk(state, seen.obs, key(4)))


def test_pieces_lie_in_both_tails() -> None:
    """Of a sensor that is near something in one reading of two hundred, two of the eight pieces lie there."""
    sensor = np.zeros((1000, 1), np.float32)
    sensor[:5, 0] = (0.8, 0.85, 0.9, 0.93, 0.97)
    embed = Embedding(1, "quantiles")
    edges = np.asarray(embed.observe(embed.init(), jnp.asarray(sensor)).edges)[0]
    np.testing.assert_allclose(np.quantile(sensor[:, 0], 0.997), edges[7], atol=1e-6)
    assert edges[6] == 0.0 < 0.85 < edges[7] < edges[8] == np.float32(0.97)
    assert (np.diff(LEVELS) > 0.0).all()
    assert (LEVELS[0], LEVELS[-1]) == (0.0, 1.0)
