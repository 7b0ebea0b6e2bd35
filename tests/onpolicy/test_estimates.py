"""What the core makes of a rollout before a method improves its policy: J_c, advantages, targets, statistics."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from support.core_bridge import mlp_net, reference_batch
from support.learners import DIMS, key, random_batch
from support.onpolicy_learners import STEPS, WORLDS, costly_epoch, jit_epoch, on_policy_core, random_epoch, recording
from support.onpolicy_reference import advantages, standardised, values

from statewise.core.types import Batch
from statewise.onpolicy.core import OnPolicy, OnPolicyState
from statewise.onpolicy.improvement import Progress, Rollout, mean_kl, probability_ratio, shuffled

COUNT = WORLDS * STEPS


@pytest.fixture(scope="module")
def core() -> OnPolicy:
    """PPO with one gradient step on the whole rollout, which tells what its improvement was given."""
    return recording(on_policy_core("ppo", minibatch_size=COUNT, update_epochs=1))


def learn(core: OnPolicy, state: OnPolicyState, batch: Batch) -> tuple[OnPolicyState, dict[str, Any]]:
    return jit_epoch(core)(state, batch, key(2))


def given(core: OnPolicy, state: OnPolicyState, batch: Batch) -> tuple[Rollout, Progress]:
    return learn(core, state, batch)[1]["given"][1:]


def later(core: OnPolicy) -> OnPolicyState:
    """A state whose statistics have seen a rollout."""
    return learn(core, core.init(key(1)), random_epoch(7))[0]


# --- J_c ---------------------------------------------------------------------------------------------------------


def costs_and_ends(costs: list[tuple[int, int]], ends: list[tuple[int, int]], cut: list[tuple[int, int]]) -> Batch:
    """A rollout with costs of 2.5 at some (step, world), terminals at others and time limits at yet others."""
    cost, terminated, truncated = np.zeros((3, STEPS, WORLDS), np.float32)
    for array, places, value in ((cost, costs, 2.5), (terminated, ends, 1.0), (truncated, cut, 1.0)):
        for place in places:
            array[place] = value
    return random_epoch(0)._replace(
        cost=jnp.asarray(cost), terminated=jnp.asarray(terminated), truncated=jnp.asarray(truncated)
    )


def test_the_episode_cost_follows_episodes_over_epochs(core: OnPolicy) -> None:
    state = core.init(key(1))

    def episode_cost(*places: list[tuple[int, int]]) -> float:
        nonlocal state
        state, figures = learn(core, state, costs_and_ends(*places))
        assert figures["episode_cost"] == state.episode_cost == figures["given"][2].episode_cost
        return float(state.episode_cost)

    # None ends: the start's 0 stands. World 0 goes on with 2, world 1 with 1.
    assert episode_cost([(3, 0), (15, 0), (0, 1)], [], []) == 0.0
    np.testing.assert_array_equal(state.running, [2.0, 1.0, 0.0])
    # World 0 ends with 3, the cost of the last step included; it then goes on with 2 of the next episode.
    assert episode_cost([(4, 0), (5, 0), (6, 0)], [(4, 0)], []) == 3.0
    np.testing.assert_array_equal(state.running, [2.0, 1.0, 0.0])
    # World 0 ends with 2 at once and with 1 later, world 1 with 1 at the last step, world 2 with 0: both kinds count.
    assert episode_cost([(9, 0)], [(0, 0), (15, 1)], [(9, 0), (8, 2)]) == pytest.approx((2 + 1 + 1 + 0) / 4)
    np.testing.assert_array_equal(state.running, [0.0, 0.0, 0.0])
    # None ends: the last value stands, however dear the rollout is.
    assert episode_cost([(t, 2) for t in range(STEPS)], [], []) == 1.0
    assert episode_cost([], [], [(0, 2)]) == 16.0


def test_the_limit_is_that_of_the_configuration(core: OnPolicy) -> None:
    _, progress = given(core, core.init(key(1)), random_epoch(0))
    assert progress.cost_limit == pytest.approx(0.1)  # 0.1·(1 − 0.99)·100
    assert int(progress.epoch) == 0


# --- advantages and targets --------------------------------------------------------------------------------------


def test_advantages_are_standardised_and_those_of_cost_centred(core: OnPolicy) -> None:
    state, batch = later(core), costly_epoch(1)
    batch = batch._replace(cost=batch.cost.at[:, 1:].set(0.0))
    rollout, _ = given(core, state, batch)
    x, seen = reference_batch(batch), [reference_batch(random_epoch(7)).obs.reshape(COUNT, -1)]

    def expected(net: Any, signal: Any) -> Any:
        v, v_next = (values(mlp_net(net), standardised(obs, seen)) for obs in (x.obs, x.next_obs))
        return advantages(signal, v, v_next, x.terminated, x.truncated, 0.99, 0.95).ravel()

    reward, cost = expected(state.value, x.reward), expected(state.cost_value, x.cost > 0.0)
    np.testing.assert_allclose(rollout.advantage, (reward - reward.mean()) / reward.std(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(rollout.cost_advantage, cost - cost.mean(), rtol=1e-3, atol=1e-4)
    assert float(jnp.std(rollout.advantage)) == pytest.approx(1.0, abs=1e-4)
    assert float(jnp.std(rollout.cost_advantage)) < 0.9


def test_the_error_before_the_first_step_is_the_advantage(core: OnPolicy) -> None:
    """The targets are value + advantage, so that the first loss on the whole rollout is the mean squared advantage."""
    state, batch = core.init(key(1)), random_epoch(1)
    _, figures = learn(core, state, batch)
    x = reference_batch(batch)
    for net, signal, name in ((state.value, x.reward, "q_loss"), (state.cost_value, x.cost, "qc_loss")):
        v, v_next = (values(mlp_net(net), obs) for obs in (x.obs, x.next_obs))
        error = advantages(signal, v, v_next, x.terminated, x.truncated, 0.99, 0.95)
        assert float(figures[name]) == pytest.approx(np.mean(error**2), rel=1e-3)


# --- the policy that played --------------------------------------------------------------------------------------


def test_what_was_played_is_what_is_learned_from(core: OnPolicy) -> None:
    """Densities are those of the actions as sampled, unclipped, under the statistics that stood when they were."""
    state = later(core)
    obs = random_batch(5, STEPS, WORLDS).obs * 3.0 + 1.0
    action = core.act(state.policy, state.embedding, obs, key(4))
    assert float(jnp.max(jnp.abs(action))) > 1.0
    mean, log_std = core.moments(state.policy, state.embedding, obs)
    _, figures = learn(core, state, random_epoch(5)._replace(obs=obs, action=action))
    policy, rollout, _ = figures["given"]
    density = stats.norm.logpdf(np.asarray(action), np.asarray(mean), np.exp(np.asarray(log_std))).sum(axis=-1)
    np.testing.assert_allclose(rollout.log_prob, density.ravel(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(probability_ratio(policy, rollout), 1.0, atol=1e-5)
    np.testing.assert_allclose(mean_kl(policy, rollout), 0.0, atol=1e-6)
    np.testing.assert_array_equal(rollout.action, action.reshape(-1, DIMS.action))


def test_an_epochs_own_observations_count_from_the_next_one_on(core: OnPolicy) -> None:
    batch = random_epoch(3)
    raw = np.asarray(batch.obs).reshape(-1, DIMS.obs)
    first = core.init(key(1))
    rollout, _ = given(core, first, batch)
    np.testing.assert_allclose(rollout.obs, raw, rtol=1e-6)
    state, _ = learn(core, first, batch)
    rollout, _ = given(core, state, batch)
    np.testing.assert_allclose(rollout.obs, (raw - raw.mean(axis=0)) / raw.std(axis=0), rtol=1e-4, atol=1e-5)


def test_without_normalisation_observations_stay_as_they_are() -> None:
    raw, standard = on_policy_core("ppo", observation_normalization=False), on_policy_core("ppo")
    state = raw.init(key(1))
    moved = standard.embed.observe(state.embedding, random_batch(3).obs + 5.0)
    obs = random_batch(5, 4).obs
    expected = raw.act_greedily(state.policy, state.embedding, obs)
    np.testing.assert_array_equal(raw.act_greedily(state.policy, moved, obs), expected)
    assert (standard.act_greedily(state.policy, moved, obs) != expected).any()


# --- minibatches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size", "batches"), [(48, 16, 3), (50, 16, 3), (16, 16, 1)])
def test_a_pass_takes_every_step_at_most_once(count: int, size: int, batches: int) -> None:
    indices = np.asarray(shuffled(key(0), count, size))
    assert indices.shape == (batches, size)
    assert len(np.unique(indices)) == batches * size
    assert indices.min() >= 0
    assert indices.max() < count
    assert (indices != np.asarray(shuffled(key(1), count, size))).any()
