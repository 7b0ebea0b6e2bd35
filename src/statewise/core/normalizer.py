"""Running statistics of observations (Welford 1962, in batches), a plain pytree that belongs to the policy."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp

from statewise.core.types import Array

CLIP = 10.0


class Normalizer(NamedTuple):
    """seen []; mean, m2 (summed squared deviations) [obs]."""

    seen: Array
    mean: Array
    m2: Array


def init_normalizer(obs_dim: int) -> Normalizer:
    """Statistics of nothing: `normalize` then is the identity but for its clip."""
    return Normalizer(jnp.zeros(()), jnp.zeros(obs_dim), jnp.zeros(obs_dim))


def observe(state: Normalizer, obs: Array) -> Normalizer:
    """Take in observations [B, obs]."""
    seen = state.seen + obs.shape[0]
    batch_mean = jnp.mean(obs, axis=0)
    delta = batch_mean - state.mean
    mean = state.mean + delta * (obs.shape[0] / seen)
    m2 = state.m2 + jnp.sum(jnp.square(obs - batch_mean), axis=0)
    m2 = m2 + jnp.square(delta) * (state.seen * obs.shape[0] / seen)
    return Normalizer(seen, mean, m2)


def normalize(state: Normalizer, obs: Array) -> Array:
    """(obs − mean)/std, clipped to ±10; std is 1 where nothing has been seen or nothing varies: [..., obs]."""
    variance = state.m2 / jnp.maximum(state.seen, 1.0)
    std = jnp.where(variance > 1e-8, jnp.sqrt(variance), 1.0)
    return jnp.clip((obs - state.mean) / std, -CLIP, CLIP)
