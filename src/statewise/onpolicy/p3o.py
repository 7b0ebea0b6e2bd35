"""P3O: PPO with an exact penalty, κ times the positive part of the clipped cost constraint (Zhang et al. 2022)."""

from __future__ import annotations

from statewise.config import P3oConfig
from statewise.core.ops.surrogates import clipped_cost, clipped_reward, exact_penalty
from statewise.core.types import Array
from statewise.onpolicy.improvement import Improvement, Progress, Rollout
from statewise.onpolicy.ppo import proximal


def build(config: P3oConfig) -> Improvement:
    """−clipped reward + κ·relu(clipped cost + (1 − γ)(J_c − d_ep)); λ is κ where the hinge is open, else 0."""

    def loss(ratio: Array, rollout: Rollout, progress: Progress) -> tuple[Array, Array]:
        rise = clipped_cost(ratio, rollout.cost_advantage, config.clip)
        penalty = exact_penalty(rise, progress.episode_cost - progress.cost_limit, config.kappa, config.gamma)
        return penalty - clipped_reward(ratio, rollout.advantage, config.clip), config.kappa * (penalty > 0.0)

    return proximal(config, loss)
