"""The compiled side of a run: a learner's state on the device, and the few functions that are called from the host."""

from __future__ import annotations

from statewise.config import OnPolicyConfig, RunConfig, SacConfig
from statewise.learner.base import Learner
from statewise.learner.onpolicy import OnPolicyLearner
from statewise.learner.sac import SacLearner
from statewise.types import TaskFacts

__all__ = ["Learner", "OnPolicyLearner", "SacLearner", "build_learner"]


def build_learner(config: RunConfig, task: TaskFacts) -> Learner:
    """A fresh learner of the family that a configuration belongs to."""
    if isinstance(config, SacConfig):
        return SacLearner(config, task)
    if isinstance(config, OnPolicyConfig):
        return OnPolicyLearner(config, task)
    raise TypeError(f"no learner for a {type(config).__name__}")
