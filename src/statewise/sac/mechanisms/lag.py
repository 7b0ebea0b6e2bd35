"""SAC-Lag: linear penalty λG, one multiplier for all states, by dual gradient ascent (Ray et al. 2019)."""

from __future__ import annotations

from typing import cast

import jax.numpy as jnp
import optax

from statewise.config import LagConfig
from statewise.core.types import Array, Metrics
from statewise.sac.mechanism import Mechanism
from statewise.sac.mechanisms import scalar
from statewise.sac.mechanisms.scalar import Scalar
from statewise.sac.networks import SacNetworks


def build(config: LagConfig, networks: SacNetworks) -> Mechanism:
    """The Lagrangian of the mean constraint, its multiplier kept at 0 or above by projection."""
    optimizer = optax.adam(config.lambda_learning_rate)

    def start() -> Scalar:
        lam = jnp.asarray(config.lambda_init, jnp.float32)
        return Scalar(lam, jnp.ones(()), optimizer.init(lam))

    def move(state: Scalar, g: Array, f: Array) -> tuple[Scalar, Metrics]:
        """λ ← max(0, λ + step), the step Adam's, up the mean of G."""
        del f
        step, memory = optimizer.update(-g, state.memory)
        return state._replace(lam=jnp.maximum(state.lam + cast("Array", step), 0.0), memory=memory), {}

    return scalar.build(config, start, scalar.linear_loss(config), move)
