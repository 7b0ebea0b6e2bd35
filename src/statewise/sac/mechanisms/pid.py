"""SAC-PID: linear penalty λG, one multiplier for all states, set by a PID controller (Stooke et al. 2020)."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from statewise.config import PidConfig
from statewise.core.types import Array, Metrics
from statewise.sac.mechanism import Mechanism
from statewise.sac.mechanisms import scalar
from statewise.sac.mechanisms.scalar import Scalar
from statewise.sac.networks import SacNetworks


class Controller(NamedTuple):
    """I, the exponential means P of the error and C of F̂, and the last values of C [delay], the oldest first."""

    integral: Array
    error: Array
    cost: Array
    costs: Array


def build(config: PidConfig, networks: SacNetworks) -> Mechanism:
    """λ = max(0, K_p P + I + K_d D) with error e = mean G (Stooke et al. 2020, Algorithm 2)."""
    decay = config.pid_smoothing

    def start() -> Scalar:
        memory = Controller(jnp.zeros(()), jnp.zeros(()), jnp.zeros(()), jnp.zeros(config.pid_delay))
        return Scalar(jnp.zeros(()), jnp.ones(()), memory)

    def move(state: Scalar, g: Array, f: Array) -> tuple[Scalar, Metrics]:
        """I ← max(0, I + K_i e); D = max(0, C − C so many updates ago), so that falling costs are not resisted."""
        old: Controller = state.memory
        integral = jnp.maximum(old.integral + config.pid_ki * g, 0.0)
        error = decay * old.error + (1.0 - decay) * g
        cost = decay * old.cost + (1.0 - decay) * f
        rise = jnp.maximum(cost - old.costs[0], 0.0)
        lam = jnp.maximum(config.pid_kp * error + integral + config.pid_kd * rise, 0.0)
        costs = jnp.append(old.costs[1:], cost)
        return state._replace(lam=lam, memory=Controller(integral, error, cost, costs)), {}

    return scalar.build(config, start, scalar.linear_loss(config), move)
