"""What the networks see of an observation: itself, its sensors spread out, all of it standardised.

A proximity sensor reads 1 − distance/reach. What decides a collision is the last tenth of its range, a fraction of its
standard deviation, which a network of some hundred units on the raw entry can't resolve. Powers of the sensor spread it
out, and so does a piecewise-linear encoding between quantiles, which has to know nothing of the entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from statewise.config import RunConfig
from statewise.core.normalizer import Normalizer, init_normalizer, normalize, observe
from statewise.core.types import Array

POWERS = (4, 16)
LEVELS = (0.0, 0.01, 0.05, 0.25, 0.75, 0.95, 0.99, 0.997, 1.0)
"""Levels of the quantiles between which entries are encoded.

Most pieces lie in the tails: danger is at one end of a sensor's range, and the safer a policy is, the rarer it gets
there. Between evenly spaced levels, what is near a hazard ends up in one piece with all that is not far away. The upper
tail, where sensors of nearness have theirs, has a piece more.
"""
BINS = len(LEVELS) - 1
"""Pieces of that encoding."""


class EmbeddingState(NamedTuple):
    """What an embedding learns from observations; it belongs to the policy.

    statistics: of the embedded observation [dim]; edges: running quantiles of each entry [obs, BINS + 1], or ().
    """

    statistics: Normalizer
    edges: Any = ()


@dataclass(frozen=True)
class Embedding:
    """The map from raw observations to the inputs of policy, critics and multiplier; what it learns is an argument.

    obs_dim: entries of an observation. kind: `none`; `powers` appends s⁴ and s¹⁶ of every proximity sensor;
    `quantiles` appends the position of every entry in each of eight pieces between its quantiles, clipped to [0, 1]
    (Gorishniy et al. 2022, "On embeddings for numerical features"). proximity: the entries that `powers` takes.
    standardize: by running statistics, else everything stays as it is.
    """

    obs_dim: int
    kind: str = "none"
    proximity: tuple[int, ...] = ()
    standardize: bool = False

    def __post_init__(self) -> None:
        beyond = [entry for entry in self.proximity if entry >= self.obs_dim]
        if beyond:
            raise ValueError(
                f"proximity: {beyond[0]} is not allowed; the observation has entries 0 to {self.obs_dim - 1}"
            )

    @property
    def dim(self) -> int:
        """Inputs of the networks."""
        added = {"none": 0, "powers": len(POWERS) * len(self.proximity), "quantiles": BINS * self.obs_dim}
        return self.obs_dim + added[self.kind]

    @property
    def learns(self) -> bool:
        """Whether there is anything to `observe`."""
        return self.standardize or self.kind == "quantiles"

    def init(self) -> EmbeddingState:
        """Statistics of nothing."""
        edges = jnp.zeros((self.obs_dim, BINS + 1)) if self.kind == "quantiles" else ()
        return EmbeddingState(init_normalizer(self.dim), edges)

    def observe(self, state: EmbeddingState, obs: Array) -> EmbeddingState:
        """Take in raw observations [B, obs]; quantiles are running means of those of the batches."""
        if not self.learns:
            return state
        if self.kind == "quantiles":
            share = obs.shape[0] / (state.statistics.seen + obs.shape[0])
            quantiles = jnp.quantile(obs, jnp.asarray(LEVELS), axis=0).T
            state = state._replace(edges=state.edges + share * (quantiles - state.edges))
        return state._replace(statistics=observe(state.statistics, self._expand(state, obs)))

    def __call__(self, state: EmbeddingState, obs: Array) -> Array:
        """Inputs of the networks: [..., obs] -> [..., dim]."""
        x = self._expand(state, obs)
        return normalize(state.statistics, x) if self.standardize else x

    def _expand(self, state: EmbeddingState, obs: Array) -> Array:
        if self.kind == "powers" and self.proximity:
            near = _entries(obs, self.proximity)
            return jnp.concatenate([obs, *(near**power for power in POWERS)], axis=-1)
        if self.kind == "quantiles":
            return jnp.concatenate([obs, positions(obs, state.edges)], axis=-1)
        return obs


def _entries(obs: Array, places: tuple[int, ...]) -> Array:
    """Those entries of [..., obs]; neighbours as a slice, which is faster than a gather."""
    first, after = places[0], places[-1] + 1
    return obs[..., first:after] if places == tuple(range(first, after)) else obs[..., np.asarray(places)]


def make_embedding(config: RunConfig, obs_dim: int, proximity: tuple[int, ...]) -> Embedding:
    """The embedding that a configuration asks for; `proximity` as the task has it."""
    return Embedding(obs_dim, config.embedding, proximity, config.observation_normalization)


def positions(obs: Array, edges: Array) -> Array:
    """Where each entry lies in each piece between its edges: [..., obs], [obs, BINS + 1] -> [..., obs · BINS].

    0 below the piece, 1 above it, linear inside; 0 for a piece without width.
    """
    low, width = edges[:, :-1], edges[:, 1:] - edges[:, :-1]
    share = (obs[..., None] - low) / jnp.where(width > 1e-6, width, jnp.inf)
    return jnp.clip(share, 0.0, 1.0).reshape(*obs.shape[:-1], -1)
