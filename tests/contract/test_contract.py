"""What every method on SAC owes the training loop; a new method is covered by being registered."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import (
    QUICK,
    SAC_METHODS,
    assert_trees_close,
    dual_batch,
    jit_update,
    key,
    networks,
    random_batch,
    small_sac,
    trees_equal,
    without_multiplier,
)

from statewise.config import SacConfig
from statewise.core.types import Batch, Metrics
from statewise.methods import METHODS, metric_columns
from statewise.sac.core import Sac, SacState

BLOCK = 4

each_method = pytest.mark.parametrize("method", SAC_METHODS)


class Compiled:
    """A method's update and block of updates, compiled once, and how often each has been traced."""

    def __init__(self, sac: Sac) -> None:
        self.sac = sac
        self.traces = {"update": 0, "block": 0}
        self.update = self._jit("update", sac.update)
        self.block = self._jit("block", sac.update_block, donate_argnums=0)

    def _jit(self, name: str, function: Any, **options: Any) -> Any:
        @functools.wraps(function)
        def traced(*args: Any) -> Any:
            self.traces[name] += 1
            return function(*args)

        return jax.jit(traced, compiler_options=QUICK, **options)

    def start(self, seed: int = 1) -> SacState:
        return self.sac.init(key(seed))

    def step(self, state: SacState | None = None, *, seed: int = 5) -> tuple[SacState, Metrics]:
        """The compiled update on fixed data, from a fresh state where none is given."""
        state = self.start() if state is None else state
        return self.update(state, random_batch(0), dual_batch(self.sac, 2), key(seed))

    def block_data(self, seed: int) -> tuple[Batch, Batch]:
        """Minibatches [n, B] of a block and [C, M, B] of its cycles: at most one every second step."""
        return random_batch(seed, BLOCK, 8), dual_batch(self.sac, seed + 1, BLOCK // 2)


@pytest.fixture(scope="session")
def compiled() -> Any:
    """`Compiled` by method; the same object throughout the session."""
    made: dict[str, Compiled] = {}

    def of(method: str) -> Compiled:
        if method not in made:
            made[method] = Compiled(small_sac(method))
        return made[method]

    return of


def structure(tree: Any) -> tuple[Any, list[tuple[Any, ...]]]:
    """Tree, shapes, dtypes."""
    return jax.tree.structure(tree), [(x.shape, x.dtype) for x in jax.tree.leaves(tree)]


@each_method
def test_an_update_keeps_tree_shapes_and_dtypes_and_is_traced_once(method: str, compiled: Any) -> None:
    learner = compiled(method)
    first = learner.start()
    state, _ = learner.step(first)
    assert structure(state) == structure(first)
    assert {x.dtype for x in jax.tree.leaves(first)} <= {jnp.dtype(jnp.float32), jnp.dtype(jnp.int32)}
    for seed in range(2):
        state, _ = learner.step(state, seed=seed)
    assert int(state.step) == 3
    assert learner.traces["update"] == 1


@each_method
def test_the_same_key_gives_the_same_bits_and_another_key_others(method: str, compiled: Any) -> None:
    learner = compiled(method)
    one, again, other = learner.step(), learner.step(), learner.step(seed=6)
    assert trees_equal(one, again)
    for name, network in networks(one[0]).items():
        assert not trees_equal(network, networks(other[0])[name]), name


@each_method
def test_every_network_learns_and_nothing_is_lost_to_infinity(method: str, compiled: Any) -> None:
    learner = compiled(method)
    state, metrics = learner.step()
    for name, network in networks(learner.start()).items():
        assert not trees_equal(network, networks(state)[name]), name
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((state, metrics)))


@each_method
def test_a_block_is_its_updates_one_by_one(method: str, compiled: Any) -> None:
    """Over two blocks, so that the counter, the cycles' minibatches and the keys go on where the first block ended."""
    learner = compiled(method)
    run_key, singles, whole = key(9), learner.start(), learner.start()
    schedule = learner.sac.mechanism.dual
    for block in range(2):
        batches, dual = learner.block_data(10 + 2 * block)
        each = []
        for i in range(BLOCK):
            batch = jax.tree.map(lambda x, i=i: x[i], batches)
            cycle = 0 if schedule is None else i // schedule.interval
            minibatches = jax.tree.map(lambda x, c=cycle: x[c], dual)
            step_key = jax.random.fold_in(run_key, singles.step)
            singles, metrics = learner.update(singles, batch, minibatches, step_key)
            each.append(metrics)
        whole, figures = learner.block(whole, batches, dual, run_key)
        assert_trees_close(whole, singles, rtol=1e-4, atol=1e-5)
        stacked = jax.tree.map(lambda *values: jnp.stack(values), *each)
        assert_trees_close(figures["steps"], stacked, rtol=1e-4, atol=1e-5)
    assert learner.traces["block"] == 1


@each_method
def test_a_blocks_figures_are_columns_of_the_metrics(method: str, compiled: Any) -> None:
    learner = compiled(method)
    start = learner.start()
    state, figures = learner.block(start, *learner.block_data(20), key(3))
    assert set(figures["steps"]) | set(figures["state"]) <= {column.name for column in metric_columns(method)}
    assert set(figures["steps"]).isdisjoint(figures["state"])
    assert {x.shape for x in figures["steps"].values()} == {(BLOCK,)}
    assert {x.shape for x in figures["state"].values()} == {()}
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((state, figures)))


@each_method
def test_a_block_takes_over_the_memory_of_its_state(method: str, compiled: Any) -> None:
    learner = compiled(method)
    start = learner.start()
    state, _ = learner.block(start, *learner.block_data(20), key(3))
    assert start.policy[0].w.is_deleted()
    state, _ = learner.block(state, *learner.block_data(22), key(3))
    assert int(state.step) == 2 * BLOCK


@each_method
def test_seeds_start_and_learn_apart(method: str, compiled: Any) -> None:
    """No weight of one seed's networks is another seed's, and one seed's update leaves the other's as it was."""
    learner = compiled(method)
    one, other = learner.start(1), learner.start(2)
    alone, _ = learner.step(learner.start(2))
    learner.step(one)
    assert trees_equal(learner.step(other)[0], alone)
    random = [(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True) if np.ptp(a) > 0.0]
    assert len(random) >= 20
    assert all(np.mean(np.asarray(a) == np.asarray(b)) < 0.05 for a, b in random)


@each_method
def test_risk_is_a_multiplier_of_no_less_than_0_and_a_feasibility(method: str, compiled: Any) -> None:
    learner = compiled(method)
    lam, f = learner.sac.risk(learner.start(), random_batch(0, 5).obs, key(4))
    assert lam.shape == f.shape == (5,)
    assert float(jnp.min(lam)) >= 0.0
    assert bool(jnp.all(jnp.isfinite(f)))


@pytest.mark.slow
@each_method
def test_compiled_and_uncompiled_agree(method: str, compiled: Any) -> None:
    learner = compiled(method)
    data = random_batch(0), dual_batch(learner.sac, 2)
    state = learner.start()
    for seed in range(2):  # the second step is one of a dual cycle
        fast = learner.update(state, *data, key(seed))
        slow = learner.sac.update(state, *data, key(seed))
        assert_trees_close(fast, slow, rtol=1e-4, atol=1e-5)
        state = fast[0]


LAGRANGIAN = [name for name in SAC_METHODS if name not in ("sac", "sac-fpi")]


@pytest.mark.parametrize("method", LAGRANGIAN)
def test_without_a_multiplier_and_with_no_constraint_in_reach_a_method_is_plain_sac(method: str) -> None:
    """The isolation rule: λ ≡ 0 and G < 0 everywhere leave SAC's update, over steps with and without a dual cycle."""
    plain, sac = small_sac("sac"), small_sac(method, cost_threshold=1e3)
    expected, state = plain.init(key(1)), without_multiplier(sac.init(key(1)))
    for step in range(3):
        batch, step_key = random_batch(step), key(10 + step)
        expected, _ = jit_update(plain)(expected, batch, dual_batch(plain, step), step_key)
        state, _ = jit_update(sac)(state, batch, dual_batch(sac, step), step_key)
    lam, f = sac.risk(state, random_batch(0).obs, key(4))
    assert float(jnp.max(lam)) == 0.0
    assert float(jnp.max(f)) < 1e3
    assert_trees_close(networks(state), networks(expected), rtol=1e-4, atol=1e-5)


@each_method
def test_a_method_shares_every_default_of_the_backbone(method: str) -> None:
    """The isolation rule for configurations: no field of plain SAC has another default."""
    config = METHODS[method].config()
    own = {"feasibility"} if method == "sac-fpi" else set()  # the function that the method is defined on
    for field in (f for f in dataclasses.fields(SacConfig) if f.name not in own):
        assert getattr(config, field.name) == getattr(SacConfig(), field.name), field.name
