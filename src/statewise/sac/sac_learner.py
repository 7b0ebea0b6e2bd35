"""The learner of soft actor-critic and the methods on it: blocks of gradient steps from a replay."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from statewise.acting import Floats
from statewise.config import SacConfig
from statewise.core.types import TaskFacts
from statewise.errors import DivergenceError
from statewise.learner import Learner, require_finite
from statewise.runtime import compiler_options, release_unused_memory
from statewise.sac import device_rows
from statewise.sac.core import Sac, SacState
from statewise.sac.device_rows import DeviceRows
from statewise.storage.replay import Replay


class SacLearner(Learner[SacConfig, Replay]):
    """Soft actor-critic with a mechanism, compiled: one call makes a block of gradient steps."""

    state: SacState

    def __init__(self, config: SacConfig, task: TaskFacts, sac: Sac) -> None:
        self.sac = sac
        super().__init__(config, task, sac)
        self._compiled = False
        self._observe = jax.jit(self.sac.observe, donate_argnums=0)
        options = compiler_options(config.precision)
        self.compiled_update = jax.jit(self._update_rows, donate_argnums=0, compiler_options=options)
        self.make_block: Callable[..., tuple[SacState, Any]] = self.compiled_update
        """(state, rows, dual, key) -> state and metrics of a block; `Together` puts itself in between."""
        schedule = sac.mechanism.dual
        cycles, batches = (1, 1) if schedule is None else (schedule.most_cycles(config.block_updates), schedule.batches)
        self._dual_shape = (cycles, batches, config.batch_size)
        self._no_dual: Any = np.zeros((*self._dual_shape, self.layout.width), np.float32)
        self._source: Replay | DeviceRows | None = None

    # --- learning ------------------------------------------------------------------------------------------------

    def make_memory(self, path: Path | None) -> Replay:
        """The replay buffer, with slack for all rows that may follow a kept checkpoint."""
        c = self.config
        slack = c.checkpoints_kept * (c.checkpoint_interval + c.block_env_steps)
        return Replay(self.layout, c.replay_capacity, slack=slack, path=path)

    def remember(self, memory: Replay, rows: Floats) -> None:
        """Add rows to the replay, and their observations to what the embedding learns from."""
        super().remember(memory, rows)
        if self.sac.embed.learns:
            with self.turn:
                self.state = self._observe(self.state, self.layout.unpack(rows).obs)

    def learn(self, memory: Replay) -> dict[str, float]:
        """One block of gradient steps from the replay; returns the block's metrics by column.

        Raises DivergenceError naming the first quantity and gradient step that wasn't finite.
        """
        rows, dual = self.draw(memory)
        with self.turn:
            self.state, metrics = self.make_block(self.state, rows, dual, self.keys.learn)
        host = jax.device_get(metrics)
        if not self._compiled:
            release_unused_memory()
            self._compiled = True
        first_step = self.gradient_step
        self.gradient_step += self.config.block_updates
        _require_finite_steps(host["steps"], first_step)
        require_finite(host["state"], first_step)
        means = {name: float(np.mean(values)) for name, values in host["steps"].items()}
        return means | {name: float(value) for name, value in host["state"].items()}

    def draw(self, replay: Replay) -> tuple[Any, Any]:
        """The block's minibatches [n, B, D] and those of its dual cycles [C, M, B, D] (zeros where none is due).

        They are gathered on the device where an accelerator has room for a copy of the replay's rows.
        """
        c, block = self.config, self.gradient_step // self.config.block_updates
        source = self._source_of(replay)
        rows = source.sample(c.seed, 2 * block, (c.block_updates, c.batch_size))
        schedule = self.sac.mechanism.dual
        if schedule is None or not schedule.is_due_within(self.gradient_step, self.gradient_step + c.block_updates):
            return rows, self._no_dual
        return rows, source.sample(c.seed, 2 * block + 1, self._dual_shape)

    def _source_of(self, replay: Replay) -> Replay | DeviceRows:
        known = self._source.replay if isinstance(self._source, DeviceRows) else self._source
        if self._source is None or known is not replay:
            on_device = device_rows.fit(replay)
            self._source = DeviceRows(replay) if on_device else replay
            # of the kind that the source draws: of two kinds, JAX would look the compiled block up anew at each change
            self._no_dual = (jnp if on_device else np).asarray(self._no_dual)
        return self._source

    # --- what is compiled ----------------------------------------------------------------------------------------

    def _update_rows(self, state: SacState, rows: Any, dual: Any, key: Any) -> Any:
        unpack = partial(self.layout.unpack)
        return self.sac.update_block(state, unpack(rows), unpack(dual), key)


def _require_finite_steps(steps: dict[str, NDArray[Any]], first_step: int) -> None:
    broken = [
        (int(np.flatnonzero(~np.isfinite(values))[0]), order, name)
        for order, (name, values) in enumerate(steps.items())
        if not np.isfinite(values).all()
    ]
    if broken:
        index, _, name = min(broken)
        raise DivergenceError(f"{name} became {steps[name][index]} at gradient step {first_step + index + 1}")
