"""Behaviour of the backbone: what an update depends on and what it must not."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import (
    BATCH,
    DIMS,
    QUICK,
    assert_trees_close,
    dual_batch,
    jit_update,
    key,
    networks,
    random_batch,
    small_config,
    small_sac,
    trees_equal,
    without_multiplier,
)

from statewise.core.normalizer import normalize
from statewise.core.types import Batch, TaskFacts
from statewise.families import build_core
from statewise.sac.core import Sac, SacState
from statewise.sac.networks import make_networks


def updated(sac: Sac, batch: Batch, *, state: SacState | None = None, seed: int = 5) -> Any:
    """State and metrics after one update of a fresh learner."""
    state = sac.init(key(1)) if state is None else state
    return jit_update(sac)(state, batch, dual_batch(sac, 2), key(seed))


def test_a_time_limit_bootstraps_and_a_terminal_does_not() -> None:
    sac = small_sac("sac")
    batch = random_batch(0)
    elsewhere = batch.next_obs + 1.0
    for terminated, depends in ((0.0, True), (1.0, False)):
        batch = batch._replace(terminated=jnp.full(BATCH, terminated))
        here, there = updated(sac, batch)[0], updated(sac, batch._replace(next_obs=elsewhere))[0]
        assert trees_equal(here.q, there.q) is not depends
        assert trees_equal(here.qc, there.qc) is not depends


def test_reward_scale_multiplies_training_rewards_alone() -> None:
    batch = random_batch(0)
    scaled = updated(small_sac("sac", reward_scale=0.01), batch)
    by_hand = updated(small_sac("sac"), batch._replace(reward=0.01 * batch.reward))
    assert_trees_close(scaled, by_hand)
    assert not trees_equal(scaled[0].q, updated(small_sac("sac"), batch)[0].q)


def test_binary_cost_trains_on_whether_there_is_a_cost() -> None:
    batch = random_batch(0)
    raw = batch._replace(cost=7.0 * batch.cost)
    assert float(jnp.sum(batch.cost)) > 0.0
    assert trees_equal(updated(small_sac("sac"), raw), updated(small_sac("sac"), batch))
    by_value = small_sac("sac", binary_cost=False)
    assert_trees_close(updated(by_value, batch), updated(small_sac("sac"), batch))
    assert not trees_equal(updated(by_value, raw)[0].qc, updated(by_value, batch)[0].qc)


def test_observations_are_standardised_for_every_network_where_asked() -> None:
    plain, normal = small_sac("sac"), small_sac("sac", observation_normalization=True)
    raw = random_batch(0)
    raw = raw._replace(obs=5.0 + 3.0 * raw.obs, next_obs=5.0 + 3.0 * raw.next_obs)
    seen = normal.observe(normal.init(key(1)), raw.obs)
    statistics = seen.embedding.statistics
    ready = raw._replace(obs=normalize(statistics, raw.obs), next_obs=normalize(statistics, raw.next_obs))
    by_hand = updated(plain, ready)[0]
    inside = updated(normal, raw, state=seen)[0]
    assert_trees_close(networks(inside), networks(by_hand))
    act = normal.act(seen.policy, seen.embedding, raw.obs, key(3))
    assert_trees_close(act, plain.act(seen.policy, seen.embedding, ready.obs, key(3)))
    greedy = normal.act_greedily(seen.policy, seen.embedding, raw.obs)
    assert_trees_close(greedy, plain.act_greedily(seen.policy, seen.embedding, ready.obs))
    assert_trees_close(normal.risk(seen, raw.obs, key(4)), plain.risk(seen, ready.obs, key(4)))


def test_without_normalisation_observing_changes_nothing() -> None:
    sac = small_sac("sac")
    state = sac.init(key(1))
    assert trees_equal(sac.observe(state, random_batch(0).obs), state)


def test_targets_start_as_copies_and_follow_by_tau() -> None:
    sac = small_sac("sac")
    assert sac.config.tau == 0.1
    before = sac.init(key(1))
    assert trees_equal(before.q, before.q_target)
    assert trees_equal(before.qc, before.qc_target)
    after = updated(sac, random_batch(0))[0]
    for name in ("q", "qc"):
        old, new = getattr(before, f"{name}_target"), getattr(after, name)
        expected = jax.tree.map(lambda t, p: 0.9 * t + 0.1 * p, old, new)
        assert_trees_close(getattr(after, f"{name}_target"), expected)


def test_the_entropy_target_is_minus_the_action_dimension() -> None:
    assert small_sac("sac").target_entropy == -2.0
    assert small_sac("sac", target_entropy=0.5).target_entropy == 0.5


def test_actions_lie_in_the_box_even_for_large_networks() -> None:
    sac = small_sac("sac")
    state = sac.init(key(1))
    policy = jax.tree.map(lambda x: 50.0 * x, state.policy)
    obs = random_batch(0, 64).obs
    for action in (
        sac.act(policy, state.embedding, obs, key(2)),
        sac.act_greedily(policy, state.embedding, obs),
    ):
        assert action.shape == (64, DIMS.action)
        assert float(jnp.max(jnp.abs(action))) <= 1.0


def test_acting_depends_on_the_key_and_the_greedy_action_is_its_median() -> None:
    sac = small_sac("sac")
    state = sac.init(key(1))
    obs = jnp.zeros((4_000, DIMS.obs))
    action = sac.act(state.policy, state.embedding, obs, key(2))
    assert trees_equal(action, sac.act(state.policy, state.embedding, obs, key(2)))
    assert not trees_equal(action, sac.act(state.policy, state.embedding, obs, key(3)))
    greedy = sac.act_greedily(state.policy, state.embedding, obs[:1])[0]
    np.testing.assert_allclose(np.median(action, axis=0), greedy, atol=0.06)


def test_the_first_sampled_action_does_not_depend_on_their_number() -> None:
    """Policy and temperature see the first action alone where λ ≡ 0 and G < 0: they must not change with K."""
    batch, after, entropy = random_batch(0), [], []
    for method, samples in (("sac", 5), ("sac-alam", 1), ("sac-alam", 5)):
        sac = small_sac(method, cost_threshold=1e3, n_cost_samples=samples)
        state, metrics = updated(sac, batch, state=without_multiplier(sac.init(key(1))))
        after.append((state.policy, state.log_alpha))
        entropy.append(float(metrics["entropy"]))
    assert_trees_close(after[1], after[0])
    assert_trees_close(after[2], after[0])
    np.testing.assert_allclose(entropy, entropy[0], rtol=1e-6)


def test_f_is_a_mean_over_k_independent_actions() -> None:
    """Its spread over keys falls like 1/√K."""
    state = small_sac("sac-alam").init(key(1))
    obs = random_batch(0).obs
    spread = {}
    for samples in (1, 16):
        sac = small_sac("sac-alam", n_cost_samples=samples)
        f = jax.jit(jax.vmap(sac.risk, (None, None, 0)), compiler_options=QUICK)(
            state, obs, jax.random.split(key(3), 200)
        )[1]
        spread[samples] = float(jnp.mean(jnp.std(f, axis=0)))
    assert spread[1] / spread[16] == pytest.approx(4.0, rel=0.2)


def test_describe_gives_the_figures_of_the_batch() -> None:
    batch = random_batch(0, 64)
    sac = small_sac("sac-alam")
    state = sac.init(key(1))
    lam, f = (np.asarray(x) for x in sac.risk(state, batch.obs, key(2)))
    # With the threshold at the median of F̂, half of the states are beyond it, whatever the key of the K actions.
    sac = small_sac("sac-alam", cost_threshold=float(np.median(f)))
    figures = sac.describe(state, batch, key(2))
    expected = {"lam": lam.mean(), "lam_max": lam.max(), "lam_q50": np.median(lam), "lam_q10": np.quantile(lam, 0.1)}
    for name, value in expected.items():
        np.testing.assert_allclose(figures[name], value, rtol=1e-5)
    np.testing.assert_allclose(figures["f"], f.mean(), atol=0.05)
    np.testing.assert_allclose(figures["f_q90"], np.quantile(f, 0.9), atol=0.05)
    np.testing.assert_allclose(figures["unsafe_fraction"], 0.5, atol=0.2)
    assert lam.min() <= float(figures["lam_boundary"]) <= lam.max()
    assert float(figures["rho"]) == 1.0


def test_a_cold_learner_has_no_cycle_to_report() -> None:
    sac = small_sac("sac-alam")
    assert {float(value) for value in sac.init(key(1)).cycle.values()} == {0.0}
    assert small_sac("sac").init(key(1)).cycle == {}


def test_fields_that_an_update_does_not_need_may_be_missing() -> None:
    sac = small_sac("sac")
    batch = random_batch(0)
    unknown = batch._replace(constraint=jnp.full(BATCH, jnp.nan))
    assert trees_equal(updated(sac, unknown), updated(sac, batch))


@pytest.mark.parametrize("method", ["sac", "sac-alam", "asac"])
def test_the_unit_follows_the_range_of_the_reward_critic(method: str) -> None:
    sac = small_sac(method, penalty_unit="q_range")
    state, seen = sac.init(key(1)), []
    for step in range(3):
        state, _ = jit_update(sac)(state, random_batch(step), dual_batch(sac, step), key(step))
        seen.append(float(state.unit))
    assert 0.0 < seen[0] != 1.0
    assert abs(seen[1] / seen[0] - 1.0) < 0.5
    assert len(set(seen)) == 3
    figures = sac.describe(state, random_batch(9), key(9))
    assert float(figures["unit"]) == seen[-1]


def test_without_a_unit_it_stays_1() -> None:
    sac = small_sac("sac-alam")
    state, _ = jit_update(sac)(sac.init(key(1)), random_batch(0), dual_batch(sac, 0), key(0))
    assert float(state.unit) == 1.0


def test_another_architecture_is_another_set_of_networks() -> None:
    """Three critics, a policy that sees but the first entry, λ = 7 everywhere: without a change of the core."""
    config = small_config("sac-alam")
    usual = make_networks(config, critics=3)
    policy = usual.policy._replace(moments=lambda params, x: usual.policy.moments(params, x.at[..., 1:].set(0.0)))
    assert usual.multiplier is not None
    multiplier = usual.multiplier._replace(apply=lambda params, x: jnp.full(x.shape[:-1], 7.0))
    chosen = usual._replace(policy=policy, multiplier=multiplier)
    sac = build_core(config, TaskFacts(DIMS), chosen)
    batch, dual = random_batch(0), dual_batch(sac, 1)
    state, metrics = jit_update(sac)(sac.init(key(1)), batch, dual, key(2))
    assert state.qc.b.shape[0] == 3
    np.testing.assert_array_equal(sac.risk(state, batch.obs, key(3))[0], 7.0)
    assert all(np.isfinite(value) for value in metrics.values())
    elsewhere = batch.obs.at[:, 1:].add(1.0)
    one, other = (sac.act_greedily(state.policy, state.embedding, obs) for obs in (batch.obs, elsewhere))
    np.testing.assert_array_equal(one, other)
