"""From a configuration to its core: the backbone of its family, with what sets the method apart passed in."""

from __future__ import annotations

from typing import overload

from statewise.config import OnPolicyConfig, RunConfig, SacConfig
from statewise.core.types import TaskFacts
from statewise.methods import build_method
from statewise.onpolicy.core import OnPolicy
from statewise.sac.core import Sac
from statewise.sac.networks import SacNetworks


@overload
def build_core(config: SacConfig, task: TaskFacts, networks: SacNetworks | None = None) -> Sac: ...
@overload
def build_core(config: OnPolicyConfig, task: TaskFacts) -> OnPolicy: ...
@overload
def build_core(config: RunConfig, task: TaskFacts) -> Sac | OnPolicy: ...
def build_core(config: RunConfig, task: TaskFacts, networks: SacNetworks | None = None) -> Sac | OnPolicy:
    """The pure functions of a configuration's family; TypeError where it belongs to none.

    networks: another architecture than the configuration's, `make_networks`, for methods on SAC.
    """
    if isinstance(config, SacConfig):
        mechanism = build_method(config, networks)
        return Sac(config, task.dims, mechanism, task.reward_scale, task.proximity, networks)
    if isinstance(config, OnPolicyConfig):
        limit = config.cost_limit(task.episode_steps)
        return OnPolicy(config, task.dims, build_method(config), limit, task.proximity)
    raise TypeError(f"no core for a {type(config).__name__}")
