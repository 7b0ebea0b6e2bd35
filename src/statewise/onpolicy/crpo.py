"""CRPO: a trust-region step on reward while the cost keeps to its limit, else one against it (Xu et al. 2021)."""

from __future__ import annotations

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from statewise.config import CrpoConfig
from statewise.core.ops.surrogates import rewards_are_next
from statewise.core.types import Array, Key, Metrics
from statewise.onpolicy.improvement import GaussianPolicy, Improvement, Progress, Rollout, mean_kl, probability_ratio
from statewise.onpolicy.trust_region import trust_region_step


def build(config: CrpoConfig) -> Improvement:
    """The switch and one trust-region step a rollout; λ is 1 in a rollout spent on cost, else 0."""

    def init(policy: GaussianPolicy) -> tuple[()]:
        del policy
        return ()

    def improve(
        state: tuple[()], policy: GaussianPolicy, rollout: Rollout, progress: Progress, key: Key
    ) -> tuple[tuple[()], GaussianPolicy, Array, Metrics]:
        del key
        limit = progress.cost_limit
        on_reward = rewards_are_next(progress.episode_cost, limit, config.slack * limit)
        advantage = jnp.where(on_reward, rollout.advantage, -rollout.cost_advantage)
        flat, unflatten = ravel_pytree(policy)

        def gain(params: Array) -> Array:
            return jnp.mean(probability_ratio(unflatten(params), rollout) * advantage)

        def distance(params: Array) -> Array:
            return mean_kl(unflatten(params), rollout)

        flat, share = trust_region_step(
            gain,
            distance,
            flat,
            radius=config.target_kl,
            iterations=config.cg_iterations,
            damping=config.cg_damping,
            search_steps=config.line_search_steps,
            search_decay=config.line_search_decay,
        )
        lam = 1.0 - on_reward.astype(flat.dtype)
        steps = (share > 0.0).astype(jnp.int32)
        metrics = {"actor_loss": -gain(flat), "update_kl": distance(flat), "gradient_steps": steps}
        return state, unflatten(flat), lam, metrics

    return Improvement(init, improve)
