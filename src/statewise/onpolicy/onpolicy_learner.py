"""The learner of the on-policy methods: it learns from a rollout, and then forgets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np

from statewise.acting import Floats
from statewise.config import OnPolicyConfig
from statewise.core.types import TaskFacts
from statewise.learner import Learner, require_finite
from statewise.onpolicy.core import OnPolicy, OnPolicyState


class LastRows:
    """A memory of the rows that were added last; a run resumes between rollouts, when they have been learned from."""

    def __init__(self, width: int) -> None:
        self.count = 0
        self.rows = np.zeros((0, width), np.float32)

    def add(self, rows: Floats) -> None:
        """Forget what was there and keep `rows` [B, D]."""
        self.rows = rows
        self.count += len(rows)

    def flush(self) -> None:
        """Nothing has to outlive the process."""

    def rewind(self, count: int) -> None:
        """Take over the count of a checkpoint."""
        self.count = count


class OnPolicyLearner(Learner[OnPolicyConfig, LastRows]):
    """PPO and what is built on it, compiled: one call learns from a whole rollout."""

    state: OnPolicyState

    def __init__(self, config: OnPolicyConfig, task: TaskFacts, core: OnPolicy) -> None:
        self.core = core
        super().__init__(config, task, core)
        self._update = jax.jit(self._update_rows, donate_argnums=0)

    def make_memory(self, path: Path | None) -> LastRows:
        """A memory of one rollout, which needs no file."""
        del path
        return LastRows(self.layout.width)

    def forget_episodes(self) -> None:
        """Drop the costs of the episodes that were under way."""
        self.state = self.state._replace(running=jax.numpy.zeros_like(self.state.running))

    def learn(self, memory: LastRows) -> dict[str, float]:
        """All passes over the rollout in the memory; returns its figures by column of the metrics."""
        with self.turn:
            self.state, figures = self._update(self.state, memory.rows, self.keys.learn)
        host = jax.device_get(figures)
        require_finite(host, self.gradient_step)
        self.gradient_step = int(self.state.step)
        return {name: float(value) for name, value in host.items()}

    def _update_rows(self, state: OnPolicyState, rows: Any, key: Any) -> Any:
        steps = rows.reshape(-1, self.config.num_envs, self.layout.width)
        return self.core.update(state, self.layout.unpack(steps), key)
