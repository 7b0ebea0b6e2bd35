"""The cost critics' target by name of feasibility function, for every mechanism that uses F̂."""

from __future__ import annotations

from collections.abc import Callable

from statewise.config import SacConfig
from statewise.core.ops import feasibility
from statewise.core.types import Array
from statewise.sac.mechanism import CostTargetInputs


def cost_target(config: SacConfig) -> Callable[[CostTargetInputs], Array]:
    """The operator that `config.feasibility` names, its discounts closed over."""

    def cvf(x: CostTargetInputs) -> Array:
        return feasibility.cvf_target(x.cost, x.terminated, x.next_qc, config.gamma)

    def cdf(x: CostTargetInputs) -> Array:
        return feasibility.cdf_target(x.cost, x.terminated, x.next_qc, config.feasibility_gamma)

    def hjr(x: CostTargetInputs) -> Array:
        return feasibility.hjr_target(x.constraint, x.terminated, x.next_qc, config.gamma)

    return {"cvf": cvf, "cdf": cdf, "hjr": hjr}[config.feasibility]
