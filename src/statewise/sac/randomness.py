"""The randomness of one gradient step: its keys, and the noise of its actions."""

from __future__ import annotations

from typing import NamedTuple

import jax

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
