"""Array containers that cross module borders: one transition, one batch of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import jax

    Array = jax.Array
    Key = jax.Array
    """A raw uint32 PRNG key, shape [2]."""
else:
    Array = Any
    Key = Any

Metrics = dict[str, Any]
"""Scalars by name; the names are columns of the run's metrics (`statewise.methods.metric_columns`)."""


class Dims(NamedTuple):
    """Sizes of one observation and one action vector."""

    obs: int
    action: int


class TaskFacts(NamedTuple):
    """What a learner has to know of a task.

    Its sizes, the factor on training rewards, the steps of an episode, and the entries of the observation that sense
    nearness.
    """

    dims: Dims
    reward_scale: float = 1.0
    episode_steps: int = 1000
    proximity: tuple[int, ...] = ()


class Batch(NamedTuple):
    """Transitions with any number of leading axes, here written [B].

    obs, next_obs: [B, obs]; action: [B, action] in [-1, 1]; reward, cost, constraint, terminated, truncated: [B].
    `cost` is the cost of the transition itself, `constraint` the signed h(next_obs) (safe iff <= 0, NaN where the
    environment gives none), `terminated` is 1 at true terminals only, never at a time limit, `truncated` where an
    episode ended otherwise.
    """

    obs: Any
    action: Any
    reward: Any
    cost: Any
    constraint: Any
    terminated: Any
    truncated: Any
    next_obs: Any
