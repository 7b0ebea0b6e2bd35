"""SAC-LagNet (FAC): linear penalty λ(x)G(x), multiplier network by dual gradient ascent (Ma et al. 2021; Eq. 3)."""

from __future__ import annotations

from statewise.config import LagNetConfig
from statewise.core.ops.lagrangian import linear_penalty
from statewise.core.types import Array, Metrics
from statewise.sac.mechanism import ActorTerms, DualInputs, Mechanism
from statewise.sac.mechanisms import multiplier as shared
from statewise.sac.mechanisms.multiplier import MultiplierState, ascent_loss
from statewise.sac.mechanisms.targets import cost_target
from statewise.sac.networks import SacNetworks
from statewise.sac.schedule import dual_schedule


def build(config: LagNetConfig, networks: SacNetworks) -> Mechanism:
    """The state-wise Lagrangian with plain dual ascent."""
    network = shared.multiplier_network(networks)
    multiplier = shared.evaluate(network)

    def actor_loss(state: MultiplierState, terms: ActorTerms) -> Array:
        """α log π − Q + λ(x)G(x) per state; λ is a constant of the actor."""
        lam = multiplier(state, terms.obs)
        penalty = linear_penalty(lam, terms.f - config.threshold)
        return terms.alpha_logp - terms.q + penalty

    def update(state: MultiplierState, inputs: DualInputs) -> tuple[MultiplierState, Metrics]:
        state, metrics, _ = shared.dual_cycle(config, network, ascent_loss, state, inputs)
        return state, metrics

    return Mechanism(
        init=shared.init_state(config, network, rho=1.0),
        cost_target=cost_target(config),
        actor_loss=actor_loss,
        multiplier=multiplier,
        update=update,
        n_cost_samples=config.n_cost_samples,
        dual=dual_schedule(config),
    )
