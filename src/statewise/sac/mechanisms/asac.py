"""ASAC: augmented Lagrangian with one multiplier for all states (APPO, Dai et al. 2023, on SAC)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from statewise.config import AsacConfig
from statewise.core.ops.lagrangian import dual_target, penalty_growth, slack_constraint
from statewise.core.types import Array, Metrics
from statewise.sac.mechanism import ActorTerms, Mechanism
from statewise.sac.mechanisms import scalar
from statewise.sac.mechanisms.scalar import Scalar
from statewise.sac.networks import SacNetworks


def build(config: AsacConfig, networks: SacNetworks) -> Mechanism:
    """The augmented Lagrangian of the mean constraint; the schedule of ρ is SAC-ALaM's."""

    def start() -> Scalar:
        return Scalar(jnp.zeros(()), jnp.asarray(config.rho_init, jnp.float32))

    def actor_loss(state: Scalar, terms: ActorTerms) -> Array:
        """(α log π − Q + kF̂)/(1 + k), k = relu(λ + ρ·mean G): the penalty's derivative in mean G, held constant."""
        k = jax.lax.stop_gradient(dual_target(state.lam, jnp.mean(terms.f) - config.threshold, state.rho))
        return (terms.alpha_logp - terms.q + k * terms.f) / (1.0 + k)

    def move(state: Scalar, g: Array, f: Array) -> tuple[Scalar, Metrics]:
        """λ ← relu(λ + ρ·mean G), and ρ grows where v = |max(mean G, −λ/ρ)| is beyond 1/ρ."""
        del f
        v = jnp.abs(slack_constraint(state.lam, g, state.rho))
        rho = penalty_growth(state.rho, v, config.rho_growth, config.rho_max)
        return Scalar(dual_target(state.lam, g, state.rho), rho), {"violation": v}

    def report(state: Scalar) -> Metrics:
        return {"rho": state.rho}

    return scalar.build(config, start, actor_loss, move, report)
