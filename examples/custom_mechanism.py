"""A method of one's own: SAC with a fixed quadratic penalty on F̂ beyond the threshold, no multiplier to learn.

Run from this folder: `statewise train custom_mechanism:sac-penalty SafetyPointCircle1-v0 --stiffness 20`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from statewise.config import Positive, SacConfig
from statewise.core.columns import Column
from statewise.methods import Method, register
from statewise.sac.mechanism import Mechanism
from statewise.sac.mechanisms.targets import cost_target
from statewise.sac.networks import SacNetworks


@dataclass(frozen=True, kw_only=True)
class PenaltyConfig(SacConfig):
    """SAC with a quadratic penalty."""

    method: ClassVar[str] = "sac-penalty"

    stiffness: Positive = 10.0
    """Weight κ of the penalty κ·relu(F̂ − d)²/2."""


def build(config: PenaltyConfig, networks: SacNetworks) -> Mechanism:
    """α log π − Q + κ·relu(G)²/2 per state; what stands for a multiplier is the penalty's slope κ·relu(G)."""

    def slope(f):
        return config.stiffness * jax.nn.relu(f - config.threshold)

    return Mechanism(
        cost_target=cost_target(config),
        actor_loss=lambda state, terms: terms.alpha_logp - terms.q + slope(terms.f) ** 2 / (2.0 * config.stiffness),
        n_cost_samples=config.n_cost_samples,
        multiplier=lambda state, obs, f: slope(f),
        report=lambda state: {"stiffness": jnp.asarray(config.stiffness)},
    )


register(
    Method(
        PenaltyConfig,
        "quadratic penalty, no multiplier",
        build,
        columns=(Column("stiffness", "weight of the quadratic penalty"),),
    )
)
