"""When the dual is updated: every so many gradient steps, each time from so many fresh minibatches."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

from statewise.config import DualPart
from statewise.core.types import Array


class DualSchedule(NamedTuple):
    """A cycle follows gradient steps interval, 2·interval, … beyond `start`, and learns from `batches` minibatches."""

    interval: int
    batches: int
    start: int = 0

    def is_due(self, step: Array) -> Array:
        """Whether a cycle follows gradient step number `step`, counted from 1."""
        return jnp.logical_and(step % self.interval == 0, step > self.start)

    def is_due_within(self, before: int, after: int) -> bool:
        """Whether a cycle follows one of the gradient steps before + 1 to after."""
        last = after // self.interval * self.interval
        return last > max(before, self.start)

    def most_cycles(self, steps: int) -> int:
        """The most cycles that can fall into that many gradient steps in a row."""
        return -(-steps // self.interval)

    def place(self, step: Any, before: Any, cycles: int) -> Any:
        """Which of a block's `cycles` the one behind gradient step `step` is, the block starting behind `before`."""
        return jnp.clip(step // self.interval - (before // self.interval + 1), 0, cycles - 1)


def dual_schedule(config: DualPart) -> DualSchedule:
    """The schedule that a configuration asks for."""
    return DualSchedule(config.dual_interval, config.dual_steps, config.dual_start)
