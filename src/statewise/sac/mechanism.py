"""The interface between the soft actor-critic backbone and a safety mechanism."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from statewise.core.types import Array, Batch, Dims, Key, Metrics
from statewise.sac.schedule import DualSchedule


class ActorTerms(NamedTuple):
    """What the actor's loss may depend on, at the states of one minibatch.

    obs [B, obs]; action [B, action], the first of the K; alpha_logp [B] = α log π(a₁|x); q [B] = Q(x, a₁);
    f [B] = F̂(x), zeros where the mechanism asks for no cost samples; cost [B], of the replayed transition.
    alpha_logp and q come divided by the run's unit of reward (`penalty_unit`), so λ and ρ are multiples of it.
    """

    obs: Array
    action: Array
    alpha_logp: Array
    q: Array
    f: Array
    cost: Array


class DualInputs(NamedTuple):
    """M minibatches of a dual cycle under the current policy and cost critics.

    obs [M, B, obs]; f [M, B] = F̂(x).
    """

    obs: Array
    f: Array


class CostTargetInputs(NamedTuple):
    """What the cost critics' target may depend on: each [B]; next_qc is the target networks', combined."""

    cost: Array
    constraint: Array
    terminated: Array
    next_qc: Array


class StepInputs(NamedTuple):
    """What a mechanism may learn from behind every policy step, at the states of its minibatch.

    obs [B, obs]; cost [B], of the replayed transition; f, f_new [B]: F̂(x) as the actor's loss saw it, and with fresh
    actions of the policy that came out.
    """

    obs: Array
    cost: Array
    f: Array
    f_new: Array


def no_state(key: Key, dims: Dims) -> tuple[()]:
    """The state of a mechanism that has none."""
    del key, dims
    return ()


class Mechanism(NamedTuple):
    """A safety mechanism: everything in which one method differs from another. All but the first two may be left out.

    cost_target(inputs) -> [B]: target of the cost critics.
    actor_loss(state, terms) -> [B]: the whole loss per state, α log π − Q and penalty.
    n_cost_samples: K of F̂ in the actor's loss; 0 leaves F̂ out.
    init(key, dims) -> state: any pytree of arrays; dims are sizes as the networks see them.
    multiplier(state, obs [B, obs], f [B] = F̂(x)) -> [B]: λ(x), a constant field where the multiplier is a scalar.
    report(state) -> metrics: scalars of the state itself, such as ρ.
    dual, update(state, inputs) -> (state, metrics): when dual cycles run, and one of them.
    critic_step(state, batch, next_action) -> (state, metrics): one gradient step of critics of its own, beside the
        others' and from the same next action.
    follow(state, inputs) -> (state, metrics): what it learns behind every policy step.

    Metrics' names are columns of the run's metrics, the shared ones or the method's own (`Method.columns`).
    """

    cost_target: Callable[[CostTargetInputs], Array]
    actor_loss: Callable[[Any, ActorTerms], Array]
    n_cost_samples: int = 0
    init: Callable[[Key, Dims], Any] = no_state
    multiplier: Callable[[Any, Array, Array], Array] | None = None
    report: Callable[[Any], Metrics] | None = None
    dual: DualSchedule | None = None
    update: Callable[[Any, DualInputs], tuple[Any, Metrics]] | None = None
    critic_step: Callable[[Any, Batch, Array], tuple[Any, Metrics]] | None = None
    follow: Callable[[Any, StepInputs], tuple[Any, Metrics]] | None = None

    def lam(self, state: Any, obs: Array, f: Array) -> Array:
        """λ(x) [B]; 0 without a multiplier."""
        return jnp.zeros_like(f) if self.multiplier is None else self.multiplier(state, obs, f)
