"""The randomness of one gradient step: its keys, and the noise of its actions."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from statewise.core.types import Array, Key


class StepNoise(NamedTuple):
    """The standard normal noise of one gradient step's actions.

    next [B, action]: of the critics' targets; actor [max(K, 1), B, action]: of the policy's loss.
    """

    next: Array
    actor: Array


class StepKeys(NamedTuple):
    """The independent randomness of one gradient step."""

    next: Key
    actor: Key
    dual: Key
    describe: Key

    @classmethod
    def of(cls, key: Key) -> StepKeys:
        """From the step's own key."""
        return cls(*jax.random.split(key, len(cls._fields)))


def sample_noise(key: Key, samples: int, batch: int, action: int) -> Array:
    """Standard normal [max(K, 1), B, action] for K samples; the first sample's key doesn't depend on K."""
    key_first, key_rest = jax.random.split(key)
    first = jax.random.normal(key_first, (1, batch, action))
    return jnp.concatenate([first, jax.random.normal(key_rest, (max(samples, 1) - 1, batch, action))])
