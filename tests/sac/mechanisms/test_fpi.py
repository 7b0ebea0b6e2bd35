"""SAC-FPI by hand: regions, the loss of each, the recovery target, the objective of ℓ, λ₁ and λ₂."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import (
    BATCH,
    DIMS,
    assert_trees_close,
    dual_batch,
    jit_update,
    key,
    networks,
    random_batch,
    small_config,
    small_sac,
    trees_equal,
)

from statewise.config import FpiConfig
from statewise.core.networks import apply_critic
from statewise.core.ops.feasibility import recovery_target
from statewise.methods import build_method
from statewise.sac.mechanism import ActorTerms, StepInputs
from statewise.sac.mechanisms.fpi import FpiState, Levels, Regions, levels_objective, regions

P, MARGIN = 0.1, 0.02
LOG_MARGIN = jnp.asarray(math.log(MARGIN))
# Feasible, critical (from p − e^ℓ = 0.08 on), infeasible (from p on), violating whatever g says.
COST = jnp.array([0.0, 0.0, 0.0, 1.0, 1.0])
G = jnp.array([0.05, 0.09, 0.3, 0.05, 0.3])


def test_the_four_regions() -> None:
    where = regions(COST, G, P, LOG_MARGIN)
    np.testing.assert_array_equal(where.violating, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(where.feasible, [1, 1, 0, 0, 0])
    np.testing.assert_array_equal(where.critical, [0, 1, 0, 0, 0])
    np.testing.assert_array_equal(where.infeasible, [0, 0, 1, 0, 0])


def test_a_border_belongs_to_the_worse_region() -> None:
    where = regions(jnp.zeros(2), jnp.array([P - MARGIN, P]), P, LOG_MARGIN)
    np.testing.assert_array_equal(where.critical, [1, 0])
    np.testing.assert_array_equal(where.infeasible, [0, 1])


def at_levels(critical: float, infeasible: float) -> tuple[FpiState, FpiConfig]:
    config = small_config("sac-fpi", cost_threshold=P)
    assert isinstance(config, FpiConfig)
    state: FpiState = build_method(config).init(key(0), DIMS)
    return state._replace(levels=Levels(LOG_MARGIN, jnp.asarray(critical), jnp.asarray(infeasible))), config


def test_the_loss_of_each_region() -> None:
    """(−Q + λg)/(1 + λ) with λ = 0, 3 and 1 at Q = 2, and −gr where the step was a violation; α log π = 0.5 on top."""
    state, config = at_levels(3.0, 1.0)
    obs, action = random_batch(0, 5).obs, random_batch(0, 5).action
    terms = ActorTerms(obs, action, jnp.full(5, 0.5), jnp.full(5, 2.0), G, COST)
    loss = build_method(config).actor_loss(state, terms)
    recovery = jnp.min(apply_critic(state.recovery, obs, action), axis=0)
    expected = [-2.0, (-2.0 + 3.0 * 0.09) / 4.0, (-2.0 + 0.3) / 2.0, -recovery[3], -recovery[4]]
    np.testing.assert_allclose(loss, np.array(expected) + 0.5, rtol=1e-5)


def test_the_multiplier_is_that_of_the_region() -> None:
    state, config = at_levels(3.0, 1.0)
    lam = build_method(config).lam(state, random_batch(0, 3).obs, G[:3])
    np.testing.assert_allclose(lam, [0.0, 3.0, 1.0])


def test_the_recovery_target() -> None:
    """1 outside of a violation; within it γ times the next value, clipped to [0, 1], and 0 behind a terminal."""
    cost, terminated = jnp.array([0.0, 1.0, 1.0, 1.0, 1.0]), jnp.array([0.0, 0.0, 0.0, 0.0, 1.0])
    following = jnp.array([0.2, 0.5, 1.2, -0.3, 0.9])
    np.testing.assert_allclose(recovery_target(cost, terminated, following, 0.9), [1.0, 0.45, 0.9, 0.0, 0.0], rtol=1e-6)


def slopes(levels: Levels, where: Regions, g: jax.Array, g_new: jax.Array) -> Levels:
    inputs = StepInputs(jnp.zeros((len(g), DIMS.obs)), jnp.zeros(len(g)), g, g_new)
    return jax.grad(levels_objective)(levels, where, inputs, P, 0.01)


def test_the_levels_climb_what_the_policy_step_did() -> None:
    """Feasible g = 0.05, 0.09 (critical), infeasible 0.3; the step took them to 0.12, 0.07 and 0.25."""
    where = regions(jnp.zeros(3), G[:3], P, LOG_MARGIN)
    up = slopes(Levels(LOG_MARGIN, jnp.ones(()), jnp.ones(())), where, G[:3], jnp.array([0.12, 0.07, 0.25]))
    # The first was lost: d/dℓ φ(0.1 − 0.05 − 0.02) = −0.02, its argument being positive.
    np.testing.assert_allclose(up.log_margin, -MARGIN, rtol=1e-5)
    np.testing.assert_allclose(up.critical, 0.01 * (0.07 - P), rtol=1e-4)
    np.testing.assert_allclose(up.infeasible, 0.01 * (0.25 - 0.3), rtol=1e-4)


def test_the_margin_shrinks_where_no_feasible_state_was_lost_and_rests_where_there_is_none() -> None:
    levels = Levels(LOG_MARGIN, jnp.ones(()), jnp.ones(()))
    kept = slopes(levels, regions(jnp.zeros(1), G[:1], P, LOG_MARGIN), G[:1], jnp.array([0.06]))
    np.testing.assert_allclose(kept.log_margin, -0.01 * MARGIN, rtol=1e-5)
    none = slopes(levels, regions(jnp.ones(1), G[:1], P, LOG_MARGIN), G[:1], jnp.array([0.5]))
    assert float(none.log_margin) == 0.0
    assert float(none.critical) == 0.0
    np.testing.assert_allclose(none.infeasible, 0.5 - 0.05, rtol=1e-5)  # a violation is not feasible


def test_the_multipliers_stay_at_0_or_above() -> None:
    state, config = at_levels(0.0, 0.0)
    follow = build_method(config).follow
    assert follow is not None
    better = StepInputs(jnp.zeros((3, DIMS.obs)), jnp.zeros(3), G[:3], jnp.zeros(3))
    moved, _ = follow(state, better)
    assert float(moved.levels.critical) == float(moved.levels.infeasible) == 0.0
    worse = better._replace(f_new=jnp.ones(3))
    moved, _ = follow(state, worse)
    assert float(moved.levels.critical) > 0.0
    assert float(moved.levels.infeasible) > 0.0


def test_with_no_violation_and_all_states_feasible_it_is_plain_sac() -> None:
    plain, fpi = small_sac("sac", feasibility="cdf"), small_sac("sac-fpi", cost_threshold=1e3)
    expected, state = plain.init(key(1)), fpi.init(key(1))
    for step in range(2):
        batch = random_batch(step)._replace(cost=jnp.zeros(BATCH))
        expected, _ = jit_update(plain)(expected, batch, dual_batch(plain, 0), key(10 + step))
        state, _ = jit_update(fpi)(state, batch, dual_batch(fpi, 0), key(10 + step))
    assert_trees_close(networks(state), networks(expected), rtol=1e-4, atol=1e-5)


def test_recovery_critics_learn_and_their_targets_follow() -> None:
    sac = small_sac("sac-fpi")
    start = sac.init(key(1))
    state, metrics = jit_update(sac)(start, random_batch(0), dual_batch(sac, 0), key(2))
    assert not trees_equal(state.mechanism.recovery, start.mechanism.recovery)
    tau = sac.config.tau
    critics = (state.mechanism.recovery, start.mechanism.recovery, state.mechanism.recovery_target)
    new, old, target = (critic.rest[0].w for critic in critics)
    np.testing.assert_allclose(target, tau * new + (1.0 - tau) * old, rtol=1e-5)
    assert float(metrics["recovery_loss"]) > 0.0


def test_another_feasibility_function_is_refused() -> None:
    with pytest.raises(ValueError, match="feasibility: 'hjr' is not allowed; it must be one of cdf"):
        FpiConfig(feasibility="hjr")  # pyright: ignore[reportArgumentType]
