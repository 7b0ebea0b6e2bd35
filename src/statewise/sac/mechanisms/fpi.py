"""SAC-FPI: a loss of its own for each region that a feasibility function marks out (Yang et al. 2023)."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax

from statewise.config import FpiConfig
from statewise.core.ops.bellman import combine
from statewise.core.ops.feasibility import recovery_target
from statewise.core.ops.lagrangian import weighted_mean
from statewise.core.optimizer import make_optimizer
from statewise.core.types import Array, Batch, Dims, Key, Metrics
from statewise.sac.mechanism import ActorTerms, Mechanism, StepInputs
from statewise.sac.mechanisms.targets import cost_target
from statewise.sac.networks import SacNetworks


class Levels(NamedTuple):
    """ℓ, the logarithm of the critical region's margin; λ₁ of that region, λ₂ of the infeasible one."""

    log_margin: Array
    critical: Array
    infeasible: Array


class FpiState(NamedTuple):
    """Recovery critics, their targets and optimizer; the levels and theirs."""

    recovery: Any
    recovery_target: Any
    recovery_opt: Any
    levels: Levels
    levels_opt: Any


class Regions(NamedTuple):
    """Which states are violating, feasible, critical (a part of the feasible ones), infeasible: [B], of 0 and 1."""

    violating: Array
    feasible: Array
    critical: Array
    infeasible: Array


def regions(cost: Array, g: Array, threshold: float, log_margin: Array) -> Regions:
    """vio: c > 0; fea: g < p and not vio; cri: those of fea with g ≥ p − e^ℓ; inf: the rest."""
    violating = cost > 0.0
    feasible = ~violating & (g < threshold)
    critical = feasible & (g >= threshold - jnp.exp(log_margin))
    return Regions(*(r.astype(g.dtype) for r in (violating, feasible, critical, ~violating & ~feasible)))


def levels_objective(levels: Levels, where: Regions, inputs: StepInputs, threshold: float, leak: float) -> Array:
    """What ℓ, λ₁ and λ₂ climb, φ the leaky ReLU.

    ℓ: the mean of φ(p − g − e^ℓ) over feasible states that the policy step made infeasible, φ(−e^ℓ) where there are
    none but feasible ones; λ₁: times the mean of φ(g_new − p) over the critical; λ₂: of φ(g_new − g) over the rest.
    """

    def phi(x: Array) -> Array:
        return jax.nn.leaky_relu(x, leak)

    g, g_new, margin = inputs.f, inputs.f_new, jnp.exp(levels.log_margin)
    lost = where.feasible * (g_new > threshold)
    any_feasible, any_lost = jnp.sum(where.feasible) > 0.0, jnp.sum(lost) > 0.0
    grow = weighted_mean(phi(threshold - g - margin), lost)
    shrink = jnp.where(any_feasible & ~any_lost, phi(-margin), 0.0)
    critical = levels.critical * weighted_mean(phi(g_new - threshold), where.critical)
    infeasible = levels.infeasible * weighted_mean(phi(g_new - g), 1.0 - where.feasible)
    return grow + shrink + critical + infeasible


def build(config: FpiConfig, networks: SacNetworks) -> Mechanism:
    """Feasible policy iteration with the constraint decay function and a recovery value."""
    threshold, gamma, critic = config.threshold, config.feasibility_gamma, networks.q
    optimizer = make_optimizer(
        config.optimizer, config.learning_rate, config.total_updates, zeta=config.zeta, max_norm=config.grad_clip
    )

    def init(key: Key, dims: Dims) -> FpiState:
        recovery = critic.init(key, dims)
        start = (config.log_margin_init, config.region_multiplier_init, config.region_multiplier_init)
        levels = Levels(*(jnp.asarray(x, jnp.float32) for x in start))
        target = jax.tree.map(jnp.copy, recovery)
        return FpiState(recovery, target, optimizer.init(recovery), levels, optimizer.init(levels))

    def actor_loss(state: FpiState, terms: ActorTerms) -> Array:
        """α log π and, by region: −Q; critical (−Q + λ₁g)/(1 + λ₁); infeasible (−Q + λ₂g)/(1 + λ₂); violating −gr."""
        where = regions(terms.cost, terms.f, threshold, state.levels.log_margin)
        lam = where.critical * state.levels.critical + where.infeasible * state.levels.infeasible
        recovery = combine(critic.at(state.recovery, terms.obs, terms.action), config.reward_twins)
        weighed = (lam * terms.f - terms.q) / (1.0 + lam)
        return terms.alpha_logp + jnp.where(where.violating > 0.0, -recovery, weighed)

    def multiplier(state: FpiState, obs: Array, f: Array) -> Array:
        """λ₁ or λ₂ of the region that F̂ puts a state into, 0 in the rest of the feasible one."""
        del obs
        where = regions(jnp.zeros_like(f), f, threshold, state.levels.log_margin)
        return where.critical * state.levels.critical + where.infeasible * state.levels.infeasible

    def critic_step(state: FpiState, batch: Batch, next_action: Array) -> tuple[FpiState, Metrics]:
        """Recovery critics towards their targets, and these after them."""
        next_values = combine(critic.at(state.recovery_target, batch.next_obs, next_action), config.reward_twins)
        y = recovery_target(batch.cost, batch.terminated, next_values, gamma)

        def loss(params: Any) -> Array:
            values = critic.at(params, batch.obs, batch.action)
            return jnp.sum(jnp.mean(jnp.square(values - y), axis=-1))

        value, grads = jax.value_and_grad(loss)(state.recovery)
        updates, opt = optimizer.update(grads, state.recovery_opt, state.recovery)
        recovery = optax.apply_updates(state.recovery, updates)
        target = optax.incremental_update(recovery, state.recovery_target, config.tau)
        state = state._replace(recovery=recovery, recovery_target=target, recovery_opt=opt)
        return state, {"recovery_loss": value}

    def follow(state: FpiState, inputs: StepInputs) -> tuple[FpiState, Metrics]:
        """One step up the objective of ℓ, λ₁ and λ₂; the multipliers stay at 0 or above."""
        where = regions(inputs.cost, inputs.f, threshold, state.levels.log_margin)
        grads = jax.grad(levels_objective)(state.levels, where, inputs, threshold, config.leak)
        updates, opt = optimizer.update(jax.tree.map(jnp.negative, grads), state.levels_opt, state.levels)
        moved = cast("Levels", optax.apply_updates(state.levels, updates))
        levels = Levels(moved.log_margin, jnp.maximum(moved.critical, 0.0), jnp.maximum(moved.infeasible, 0.0))
        return state._replace(levels=levels, levels_opt=opt), {"critical_fraction": jnp.mean(where.critical)}

    def report(state: FpiState) -> Metrics:
        log_margin, critical, infeasible = state.levels
        return {"margin": jnp.exp(log_margin), "lam_critical": critical, "lam_infeasible": infeasible}

    return Mechanism(
        init=init,
        cost_target=cost_target(config),
        actor_loss=actor_loss,
        multiplier=multiplier,
        report=report,
        n_cost_samples=1,
        critic_step=critic_step,
        follow=follow,
    )
