"""Plain SAC: no mechanism. Cost critics are trained all the same, so that F̂ can be logged; the actor ignores them."""

from __future__ import annotations

from statewise.config import SacConfig
from statewise.core.types import Array
from statewise.sac.mechanism import ActorTerms, Mechanism
from statewise.sac.mechanisms.targets import cost_target
from statewise.sac.networks import SacNetworks


def build(config: SacConfig, networks: SacNetworks) -> Mechanism:
    """Soft actor-critic without constraints (Haarnoja et al. 2018)."""

    def actor_loss(state: tuple[()], terms: ActorTerms) -> Array:
        del state
        return terms.alpha_logp - terms.q

    return Mechanism(cost_target=cost_target(config), actor_loss=actor_loss)
