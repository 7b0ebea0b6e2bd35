"""SAC-LagNet (FAC): linear penalty λ(x)G(x), multiplier network by dual gradient ascent (Ma et al. 2021; Eq. 3)."""

from __future__ import annotations

from statewise.config import LagNetConfig
from statewise.core.ops.lagrangian import linear_penalty
from statewise.core.types import Array, Key, Metrics
from statewise.sac.mechanism import ActorTerms, DualInputs, Mechanism
from statewise.sac.mechanisms import multiplier as shared
from statewise.sac.mechanisms.multiplier import MultiplierState, ascent_loss
from statewise.sac.mechanisms.targets import cost_target


def build(config: LagNetConfig) -> Mechanism:
    """The state-wise Lagrangian with plain dual ascent."""

    def actor_loss(state: MultiplierState, terms: ActorTerms) -> Array:
        """α log π − Q + λ(x)G(x) per state; λ is a constant of the actor."""
        lam = shared.evaluate(state, terms.obs)
        penalty = linear_penalty(lam, terms.f - config.tolerance)
        return terms.alpha_logp - terms.q + penalty

    def update(state: MultiplierState, inputs: DualInputs, key: Key) -> tuple[MultiplierState, Metrics]:
        del key
        return shared.dual_cycle(config, ascent_loss, state, inputs)

    def report(state: MultiplierState) -> Metrics:
        del state
        return {}

    return Mechanism(
        init=shared.init_state(config, rho=1.0),
        cost_target=cost_target(config),
        actor_loss=actor_loss,
        multiplier=shared.evaluate,
        update=update,
        report=report,
        n_cost_samples=config.n_cost_samples,
        dual_interval=config.dual_interval,
        dual_start=config.dual_start,
        dual_batches=config.dual_steps,
    )
