"""What the learners of both families share: the networks they act with, warm-up, and the contract of learning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from statewise.acting import Acting, Core, Floats
from statewise.config import RunConfig
from statewise.core.types import TaskFacts
from statewise.errors import DivergenceError
from statewise.storage.replay import RowLayout

ConfigT = TypeVar("ConfigT", bound=RunConfig)
MemoryT = TypeVar("MemoryT", bound="Memory")

_WARMUP_STREAM = 0x5761726D7570
"""Second word of the Philox key of warm-up actions: sets them apart from other uses of the run's seed."""


class Memory(Protocol):
    """Where a run keeps the transitions that it learns from; `count`, the rows ever added, says where it stands."""

    count: int

    def add(self, rows: Floats) -> None:
        """Append rows [B, D]."""
        ...

    def flush(self) -> None:
        """Make all rows added so far durable, as far as a resumed run needs them."""
        ...

    def digests(self) -> list[str]:
        """What a checkpoint keeps to know the rows again."""
        ...

    def rewind(self, count: int, digests: Sequence[str] | None = None) -> None:
        """Go back to where the memory stood at that count, 0 empties it; CheckpointError for other rows than then."""
        ...


class Learner(Acting, ABC, Generic[ConfigT, MemoryT]):
    """A method on one task: acts, learns a block at a time, and is saved as flat arrays."""

    def __init__(self, config: ConfigT, task: TaskFacts, core: Core) -> None:
        self.config = config
        self.task = task
        self.layout = RowLayout(task.dims.obs, task.dims.action)
        super().__init__(core, config.seed)

    def warm_up(self, num_envs: int, tick: int) -> Floats:
        """Uniformly random actions at vector step `tick`: [N, action] in [−1, 1]."""
        philox = np.random.Philox(key=[self.config.seed, _WARMUP_STREAM], counter=[0, 0, 0, tick])
        shape = (num_envs, self.layout.act_dim)
        return np.random.Generator(philox).uniform(-1.0, 1.0, shape).astype(np.float32)

    @abstractmethod
    def make_memory(self, path: Path | None) -> MemoryT:
        """A memory for this configuration, in a file at `path` where it has to outlive the process."""

    def remember(self, memory: MemoryT, rows: Floats) -> None:
        """Take in the rows [B, D] of a block."""
        memory.add(rows)

    def forget_episodes(self) -> None:
        """The running episodes are lost and start afresh; what has been counted of them goes too."""

    @abstractmethod
    def learn(self, memory: MemoryT) -> dict[str, float]:
        """One block of gradient steps; returns its metrics by column.

        Raises DivergenceError naming the first quantity that wasn't finite.
        """


def require_finite(metrics: dict[str, NDArray[Any]], first_step: int) -> None:
    """Raise DivergenceError naming the first of a block's metrics that isn't finite."""
    for name, value in metrics.items():
        if not np.isfinite(value):
            raise DivergenceError(f"{name} became {value} in the gradient steps from {first_step + 1} on")
