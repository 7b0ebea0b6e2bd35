"""From a configuration to the learner that trains it."""

from __future__ import annotations

from typing import Any

from statewise.config import OnPolicyConfig, RunConfig, SacConfig
from statewise.core.types import Dims, TaskFacts
from statewise.envs import SafeVectorEnv
from statewise.families import build_core
from statewise.learner import Learner
from statewise.onpolicy.onpolicy_learner import OnPolicyLearner
from statewise.sac.sac_learner import SacLearner


def task_facts(config: RunConfig, env: SafeVectorEnv) -> TaskFacts:
    """What a learner has to know of an environment; ValueError where that can't serve the configuration."""
    if isinstance(config, SacConfig) and config.feasibility == "hjr" and not env.has_constraint:
        raise ValueError(
            f"feasibility: 'hjr' needs info[\"constraint\"], the signed h(x), which {env.task} doesn't give;"
            " choose cvf or cdf, or pass a constraint function"
        )
    dims = Dims(env.single_observation_space.shape[0], env.single_action_space.shape[0])
    scale = config.reward_scale if isinstance(config, SacConfig) else None
    scale = env.training_reward_scale if scale is None else scale
    episode_steps = min(env.max_episode_steps, config.episode_steps or env.max_episode_steps)
    proximity = env.proximity if config.proximity is None else config.proximity
    return TaskFacts(dims, scale, episode_steps, proximity)


def build_learner(config: RunConfig, task: TaskFacts) -> Learner[Any, Any]:
    """A fresh learner of the family that a configuration belongs to."""
    if isinstance(config, SacConfig):
        return SacLearner(config, task, build_core(config, task))
    if isinstance(config, OnPolicyConfig):
        return OnPolicyLearner(config, task, build_core(config, task))
    raise TypeError(f"no learner for a {type(config).__name__}")
