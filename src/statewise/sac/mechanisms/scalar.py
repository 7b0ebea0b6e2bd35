"""What the methods with one multiplier for all states share: the linear penalty, λ as a field, a cycle's metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from statewise.config import ScalarConfig
from statewise.core.ops.lagrangian import linear_penalty
from statewise.core.types import Array, Dims, Key, Metrics
from statewise.sac.mechanism import ActorTerms, DualInputs, Mechanism
from statewise.sac.mechanisms.multiplier import cycle_metrics
from statewise.sac.mechanisms.targets import cost_target
from statewise.sac.schedule import dual_schedule


class Scalar(NamedTuple):
    """λ, the penalty factor ρ (1 where the method has none), and whatever else the method remembers."""

    lam: Array
    rho: Array
    memory: Any = ()


def linear_loss(config: ScalarConfig) -> Callable[[Scalar, ActorTerms], Array]:
    """(α log π − Q + λG)/(1 + λ) per state; λ is a constant of the actor."""

    def actor_loss(state: Scalar, terms: ActorTerms) -> Array:
        penalty = linear_penalty(state.lam, terms.f - config.threshold)
        return (terms.alpha_logp - terms.q + penalty) / (1.0 + state.lam)

    return actor_loss


def evaluate(state: Scalar, obs: Array, f: Array) -> Array:
    """The same λ at every state: [..., obs] -> [...]."""
    del f
    return jnp.broadcast_to(state.lam, obs.shape[:-1])


def build(
    config: ScalarConfig,
    start: Callable[[], Scalar],
    actor_loss: Callable[[Scalar, ActorTerms], Array],
    move: Callable[[Scalar, Array, Array], tuple[Scalar, Metrics]],
    report: Callable[[Scalar], Metrics] | None = None,
) -> Mechanism:
    """A mechanism whose dual update sees means: move(state, mean G, mean F̂) -> (state, metrics of its own)."""

    def init(key: Key, dims: Dims) -> Scalar:
        del key, dims
        return start()

    def update(state: Scalar, inputs: DualInputs) -> tuple[Scalar, Metrics]:
        f = jnp.mean(inputs.f)
        g = f - config.threshold
        new, metrics = move(state, g, f)
        # One state stands for all, as the update knows nothing but means.
        one = (state.lam[None], new.lam[None], jnp.maximum(state.lam + state.rho * g, 0.0)[None], g[None])
        return new, {**cycle_metrics(*one, state.rho), "dual_loss": -state.lam * g, **metrics}

    return Mechanism(
        init=init,
        cost_target=cost_target(config),
        actor_loss=actor_loss,
        multiplier=evaluate,
        update=update,
        report=report,
        n_cost_samples=config.n_cost_samples,
        dual=dual_schedule(config),
    )
