"""What every on-policy method of the registry owes the training loop; a new method is covered by being registered."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import DIMS, QUICK, assert_trees_close, key, random_batch, trees_equal
from support.onpolicy_learners import (
    EPISODE_STEPS,
    EPOCHS,
    ON_POLICY,
    STEPS,
    WORLDS,
    core_of,
    learned_networks,
    on_policy_config,
    random_epoch,
    recording,
)

from statewise.config import OnPolicyConfig, PpoConfig
from statewise.core.types import Key, Metrics, TaskFacts
from statewise.errors import CheckpointError, DivergenceError
from statewise.methods import METHODS, metric_columns
from statewise.onpolicy.core import OnPolicy, OnPolicyState
from statewise.onpolicy.improvement import mean_kl, probability_ratio
from statewise.onpolicy.onpolicy_learner import LastRows, OnPolicyLearner
from statewise.storage.checkpoint import flatten
from statewise.training.learners import build_learner

PROXIMAL = [name for name in ON_POLICY if issubclass(METHODS[name].config, PpoConfig)]

each_method = pytest.mark.parametrize("method", ON_POLICY)


def contract_config(method: str) -> OnPolicyConfig:
    """A small configuration; passes of gradient steps on the policy end after the first one, if it moves at all."""
    return on_policy_config(method, **({"target_kl": 1e-4} if method in PROXIMAL else {}))


class CompiledEpoch:
    """A method's update, compiled once, how often it has been traced, and what its improvement was given."""

    def __init__(self, core: OnPolicy) -> None:
        self.core = recording(core)
        self.traces = 0
        self.given: Any = None
        self._update = jax.jit(self._traced, compiler_options=QUICK)

    def _traced(self, *args: Any) -> Any:
        self.traces += 1
        return self.core.update(*args)

    def start(self, seed: int = 1) -> OnPolicyState:
        return self.core.init(key(seed))

    def step(
        self, state: OnPolicyState | None = None, *, data: int = 0, run_key: Key | None = None
    ) -> tuple[OnPolicyState, Metrics]:
        """The compiled update on fixed data, from a fresh state where none is given."""
        first = self.start() if state is None else state
        learned, figures = self._update(first, random_epoch(data), key(5) if run_key is None else run_key)
        self.given = figures.pop("given")
        return learned, figures

    def run(self, seed: int = 5) -> tuple[OnPolicyState, Metrics]:
        """Two rollouts of learning."""
        return self.step(self.step(run_key=key(seed))[0], data=1, run_key=key(seed))


@pytest.fixture(scope="session")
def compiled() -> Any:
    """`CompiledEpoch` by method; the same object throughout the session."""
    return functools.cache(lambda method: CompiledEpoch(core_of(contract_config(method))))


def structure(tree: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    """Tree, shapes, dtypes."""
    return jax.tree.structure(tree), [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]


# --- the update --------------------------------------------------------------------------------------------------


@each_method
def test_an_epoch_keeps_tree_shapes_and_dtypes_and_is_traced_once(method: str, compiled: Any) -> None:
    learner = compiled(method)
    first = learner.start()
    assert {x.dtype for x in jax.tree.leaves(first)} <= {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)}
    state = first
    for number in range(3):
        state, _ = learner.step(state, data=number, run_key=key(number))
        assert structure(state) == structure(first)
    assert int(state.epoch) == 3
    assert learner.traces == 1


@each_method
def test_the_same_key_gives_the_same_bits_and_another_key_others(method: str, compiled: Any) -> None:
    """Over two rollouts: a method that draws nothing itself follows its critics, which do."""
    learner = compiled(method)
    one, again, other = learner.run(), learner.run(), learner.run(6)
    assert trees_equal(one, again)
    for name, network in learned_networks(one[0]).items():
        assert not trees_equal(network, learned_networks(other[0])[name]), name


@each_method
def test_every_network_learns_and_nothing_is_lost_to_infinity(method: str, compiled: Any) -> None:
    learner = compiled(method)
    state, figures = learner.step()
    for name, network in learned_networks(learner.start()).items():
        assert not trees_equal(network, learned_networks(state)[name]), name
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((state, figures)))


@each_method
def test_an_epochs_figures_are_columns_of_the_metrics(method: str, compiled: Any) -> None:
    _, figures = compiled(method).step()
    assert set(figures) <= {column.name for column in metric_columns(method)}
    assert {"actor_loss", "update_kl", "episode_cost", "lam", "q_loss", "qc_loss", "entropy"} <= set(figures)
    assert {x.shape for x in figures.values()} == {()}
    assert figures["lam"] >= 0.0


@each_method
def test_a_method_learns_from_the_policy_that_played(method: str, compiled: Any) -> None:
    learner = compiled(method)
    state, _ = learner.step()
    learner.step(state, data=1)
    policy, rollout, progress = learner.given
    assert trees_equal(policy, state.policy)
    np.testing.assert_allclose(probability_ratio(policy, rollout), 1.0, atol=1e-5)
    assert float(mean_kl(policy, rollout)) == pytest.approx(0.0, abs=1e-6)
    assert progress.cost_limit == pytest.approx(learner.core.config.cost_limit(EPISODE_STEPS))


@each_method
def test_the_kl_that_is_told_is_that_of_the_new_policy(method: str, compiled: Any) -> None:
    learner = compiled(method)
    state, figures = learner.step()
    assert float(figures["update_kl"]) == pytest.approx(float(mean_kl(state.policy, learner.given[1])), rel=1e-4)
    assert float(figures["update_kl"]) > 0.0


@each_method
def test_statistics_move_after_learning_alone(method: str, compiled: Any) -> None:
    learner = compiled(method)
    first = learner.start()
    assert float(first.embedding.statistics.seen) == 0.0
    state, _ = learner.step(first)
    obs = np.asarray(random_epoch(0).obs).reshape(-1, DIMS.obs)
    np.testing.assert_allclose(learner.given[1].obs, obs, rtol=1e-6)
    assert float(state.embedding.statistics.seen) == STEPS * WORLDS
    np.testing.assert_allclose(state.embedding.statistics.mean, obs.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.embedding.statistics.m2 / len(obs), obs.var(axis=0), rtol=1e-4)


@each_method
def test_seeds_start_apart(method: str, compiled: Any) -> None:
    learner = compiled(method)
    one, other = learner.start(1), learner.start(2)
    random = [(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True) if np.ptp(a) > 0.0]
    assert len(random) >= 16
    assert all(np.mean(np.asarray(a) == np.asarray(b)) < 0.05 for a, b in random)


@each_method
def test_risk_is_a_weight_of_no_less_than_0_and_the_value_of_cost(method: str, compiled: Any) -> None:
    learner = compiled(method)
    state, _ = learner.run()
    obs = random_batch(0, 5).obs
    lam, f = learner.core.risk(state, obs, key(4))
    np.testing.assert_array_equal(lam, np.full(5, float(state.lam)))
    np.testing.assert_array_equal(f, learner.core.values(state, obs, key(4))[1])
    assert float(lam[0]) >= 0.0


@each_method
def test_rates_fall_to_0_over_the_run(method: str, compiled: Any) -> None:
    """The critics' and, where a rate moves it, the policy's."""
    learner = compiled(method)
    config = learner.core.config

    def moved(rollout: int) -> dict[str, float]:
        first = learner.start()._replace(epoch=jnp.asarray(rollout, jnp.int32))
        before, after = (learned_networks(s) for s in (first, learner.step(first)[0]))
        return {name: largest_change(before[name], after[name]) for name in before}

    early, last, beyond = moved(0), moved(EPOCHS - 1), moved(EPOCHS)
    names = list(early) if method in PROXIMAL else ["value", "cost_value"]
    for name in names:
        assert 0.0 < last[name] <= 1.5 * config.update_epochs * config.minibatches * config.learning_rate / EPOCHS, name
        assert beyond[name] == 0.0, name
    assert early["value"] > 2.0 * last["value"]
    assert learner.traces == 1


def largest_change(one: Any, other: Any) -> float:
    return max(float(jnp.max(jnp.abs(x))) for x in jax.tree.leaves(jax.tree.map(jnp.subtract, one, other)))


@pytest.mark.parametrize("method", PROXIMAL)
def test_passes_end_beyond_the_target_and_steps_are_counted(method: str, compiled: Any) -> None:
    learner = compiled(method)
    config = learner.core.config
    one_pass, figures = learner.step()
    assert float(figures["update_kl"]) > config.target_kl
    assert int(one_pass.step) == config.minibatches
    assert int(learner.step(one_pass)[0].step) == 2 * config.minibatches
    # At a rate of 0 the policy stays where it is, so that every pass is made.
    whole, figures = learner.step(learner.start()._replace(epoch=jnp.asarray(EPOCHS, jnp.int32)))
    assert float(figures["update_kl"]) == pytest.approx(0.0, abs=1e-6)
    assert int(whole.step) == config.update_epochs * config.minibatches


@pytest.mark.slow
@each_method
def test_compiled_and_uncompiled_epochs_agree(method: str, compiled: Any) -> None:
    learner = compiled(method)
    state = learner.start()
    for number in range(2):
        fast = learner.step(state, data=number)
        slow, figures = learner.core.update(state, random_epoch(number), key(5))
        del figures["given"]
        assert_trees_close(fast, (slow, figures), rtol=1e-4, atol=1e-5)
        state = fast[0]


# --- the learner -------------------------------------------------------------------------------------------------


@functools.cache
def small_learner(method: str) -> OnPolicyLearner:
    """A learner at its start; the same object for the same method, for tests that leave it as they need it."""
    learner = build_learner(contract_config(method), TaskFacts(DIMS, episode_steps=EPISODE_STEPS))
    assert isinstance(learner, OnPolicyLearner)
    learner.reset()
    return learner


def remembered(learner: OnPolicyLearner, data: int) -> LastRows:
    """A memory that holds a rollout, its rows in the order in which worlds are stepped."""
    batch = jax.tree.map(lambda x: np.asarray(x).reshape(STEPS * WORLDS, *x.shape[2:]), random_epoch(data))
    memory = learner.make_memory(None)
    learner.remember(memory, learner.layout.pack(*batch))
    assert memory.count == STEPS * WORLDS
    return memory


def test_the_learner_learns_what_its_core_does_and_names_what_diverges(compiled: Any) -> None:
    learner, core = small_learner("ppo"), compiled("ppo")
    learner.reset()
    state, expected = core.step(jax.tree.map(jnp.copy, learner.state), run_key=learner.keys.learn)
    memory = remembered(learner, 0)
    figures = learner.learn(memory)
    assert_trees_close(learner.state, state, rtol=1e-4, atol=1e-5)
    assert figures == pytest.approx({name: float(x) for name, x in expected.items()}, rel=1e-3, abs=1e-4)
    steps = learner.gradient_step
    assert steps == int(learner.state.step) > 0
    learner.layout.unpack(memory.rows).reward[5] = np.nan
    with pytest.raises(DivergenceError, match=f"became nan in the gradient steps from {steps + 1} on"):
        learner.learn(memory)


@each_method
def test_arrays_hold_the_whole_policy_with_its_statistics(method: str, compiled: Any) -> None:
    learner = small_learner(method)
    learner.reset()
    obs = np.random.default_rng(3).normal(size=(5, DIMS.obs))

    def shown() -> list[Any]:
        return [learner.greedy(obs), learner.explore(obs, 4), *learner.risk(obs), *learner.values(obs)]

    fresh = shown()
    trained, _ = compiled(method).run()
    learner.load(flatten(trained))
    before, arrays = shown(), learner.arrays()
    assert learner.gradient_step == int(trained.step) > 0
    assert arrays["embedding/statistics/seen"] == 2 * STEPS * WORLDS
    assert arrays["embedding/statistics/mean"].shape == arrays["embedding/statistics/m2"].shape == (DIMS.obs,)
    learner.reset()
    assert learner.gradient_step == 0
    assert trees_equal(shown(), fresh)
    learner.load(arrays)
    assert trees_equal(shown(), before)
    without = {name: array for name, array in arrays.items() if not name.startswith("embedding")}
    with pytest.raises(CheckpointError, match="embedding/statistics/seen is missing"):
        learner.load(without)


@each_method
def test_sampled_actions_are_unbounded_and_greedy_ones_are_clipped(method: str) -> None:
    learner = small_learner(method)
    learner.reset()
    last = learner.state.policy.mean[-1]
    wide = (*learner.state.policy.mean[:-1], last._replace(w=4.0 * last.w))
    learner.state = learner.state._replace(policy=learner.state.policy._replace(mean=wide))
    obs = np.random.default_rng(0).normal(size=(200, DIMS.obs))
    assert np.abs(learner.explore(obs, 0)).max() > 1.0
    np.testing.assert_array_equal(learner.explore(obs, 0), learner.explore(obs, 0))
    assert (learner.explore(obs, 0) != learner.explore(obs, 1)).all()
    mean, log_std = learner.moments(obs)
    assert np.abs(mean).max() > 1.0
    np.testing.assert_array_equal(log_std, np.zeros((200, DIMS.action)))
    np.testing.assert_array_equal(learner.greedy(obs), np.clip(mean, -1.0, 1.0))
