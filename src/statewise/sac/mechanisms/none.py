"""Plain SAC: no mechanism. Cost critics are trained all the same, so that F̂ can be logged; the actor ignores them."""

from __future__ import annotations

import jax.numpy as jnp

from statewise.config import SacConfig
from statewise.core.types import Array, Dims, Key, Metrics
from statewise.sac.mechanism import ActorTerms, DualInputs, Mechanism
from statewise.sac.mechanisms.targets import cost_target


def build(config: SacConfig) -> Mechanism:
    """Soft actor-critic without constraints (Haarnoja et al. 2018)."""

    def init(key: Key, dims: Dims) -> tuple[()]:
        del key, dims
        return ()

    def actor_loss(state: tuple[()], terms: ActorTerms) -> Array:
        del state
        return terms.alpha_logp - terms.q

    def multiplier(state: tuple[()], obs: Array, f: Array) -> Array:
        del state, obs
        return jnp.zeros_like(f)

    def update(state: tuple[()], inputs: DualInputs, key: Key) -> tuple[tuple[()], Metrics]:
        del inputs, key
        return state, {}

    def report(state: tuple[()]) -> Metrics:
        del state
        return {}

    return Mechanism(init, cost_target(config), actor_loss, multiplier, update, report, n_cost_samples=0)
