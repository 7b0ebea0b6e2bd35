"""The interface between the soft actor-critic backbone and a safety mechanism."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from statewise.core.types import Array, Batch, Dims, Key, Metrics


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


class Mechanism(NamedTuple):
    """A safety mechanism: everything in which one method differs from another.

    init(key, dims) -> state: any pytree of arrays.
    cost_target(inputs) -> [B]: target of the cost critics.
    actor_loss(state, terms) -> [B]: the whole loss per state, α log π − Q and penalty.
    multiplier(state, obs [B, obs], f [B] = F̂(x)) -> [B]: λ(x), a constant field where the multiplier is a scalar.
    update(state, inputs, key) -> (state, metrics): one dual cycle; its metrics' names are columns of the run's metrics.
    report(state) -> metrics: scalars of the state itself, such as ρ.
    n_cost_samples: K of F̂ in the actor's loss; 0 leaves F̂ out.
    dual_interval: gradient steps between two cycles, 0 for none; dual_start: gradient steps before the first.
    dual_batches: fresh minibatches M of a cycle.
    critic_step(state, batch, next_action) -> (state, metrics): one gradient step of critics of its own, beside the
        others' and from the same next action; None where it has none.
    follow(state, inputs) -> (state, metrics): what it learns behind every policy step; None for nothing.
    """

    init: Callable[[Key, Dims], Any]
    cost_target: Callable[[CostTargetInputs], Array]
    actor_loss: Callable[[Any, ActorTerms], Array]
    multiplier: Callable[[Any, Array, Array], Array]
    update: Callable[[Any, DualInputs, Key], tuple[Any, Metrics]]
    report: Callable[[Any], Metrics]
    n_cost_samples: int
    dual_interval: int = 0
    dual_start: int = 0
    dual_batches: int = 0
    critic_step: Callable[[Any, Batch, Array], tuple[Any, Metrics]] | None = None
    follow: Callable[[Any, StepInputs], tuple[Any, Metrics]] | None = None
