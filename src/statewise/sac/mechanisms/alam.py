"""SAC-ALaM: augmented Lagrangian, multiplier network by regression towards the dual target (sections III, V)."""

from __future__ import annotations

import jax.numpy as jnp

from statewise.config import AlamConfig
from statewise.core.ops.lagrangian import augmented_penalty, linear_penalty, penalty_growth, violation
from statewise.core.types import Array, Metrics
from statewise.sac.mechanism import ActorTerms, DualInputs, Mechanism
from statewise.sac.mechanisms import multiplier as shared
from statewise.sac.mechanisms.multiplier import InnerLoss, MultiplierState, ascent_loss
from statewise.sac.mechanisms.targets import cost_target
from statewise.sac.networks import SacNetworks
from statewise.sac.schedule import dual_schedule


def regression_loss(lam: Array, rho_g: Array, target: Array) -> Array:
    """(λ_w(x) − y)², y the dual target frozen at the start of the cycle (Eq. 9)."""
    del rho_g
    return jnp.square(lam - target)


INNER_LOSSES: dict[str, InnerLoss] = {"regression": regression_loss, "ascent": ascent_loss}


def build(config: AlamConfig, networks: SacNetworks) -> Mechanism:
    """The augmented Lagrangian multiplier network, or what its configuration leaves of it."""
    network, inner_loss = shared.multiplier_network(networks), INNER_LOSSES[config.multiplier_update]
    multiplier = shared.evaluate(network)

    def actor_loss(state: MultiplierState, terms: ActorTerms) -> Array:
        """α log π − Q + λu + ρu²/2 per state, Eq. (16); λ is a constant of the actor."""
        lam, g = multiplier(state, terms.obs), terms.f - config.threshold
        linear = config.penalty == "linear"
        penalty = linear_penalty(lam, g) if linear else augmented_penalty(lam, g, state.rho)
        return terms.alpha_logp - terms.q + penalty

    def update(state: MultiplierState, inputs: DualInputs) -> tuple[MultiplierState, Metrics]:
        """v of λ_k, the inner steps, and the growth of ρ where v > 1/ρ (Algorithm 1, lines 12-19)."""
        state, metrics, lam_k = shared.dual_cycle(config, network, inner_loss, state, inputs)
        v = violation(lam_k, inputs.f - config.threshold, state.rho)
        rho = penalty_growth(state.rho, v, config.rho_growth, config.rho_max)
        return state._replace(rho=rho), {**metrics, "violation": v}

    def report(state: MultiplierState) -> Metrics:
        return {"rho": state.rho}

    return Mechanism(
        init=shared.init_state(config, network, config.rho_init),
        cost_target=cost_target(config),
        actor_loss=actor_loss,
        multiplier=multiplier,
        update=update,
        report=report,
        n_cost_samples=config.n_cost_samples,
        dual=dual_schedule(config),
    )
