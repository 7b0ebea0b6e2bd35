"""What the learners of both families share: acting, reading values, being saved and loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import jax
import numpy as np
from numpy.typing import NDArray

from statewise.checkpoint import flatten, restore
from statewise.config import RunConfig
from statewise.errors import DivergenceError
from statewise.replay import RowLayout
from statewise.runtime import use_compilation_cache
from statewise.types import TaskFacts

Floats = NDArray[np.float32]
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

    def rewind(self, count: int) -> None:
        """Go back to where the memory stood at that count; 0 empties it."""
        ...


class Core(Protocol):
    """The pure functions behind a learner; a state has at least policy, embedding and step."""

    def init(self, key: Any) -> Any:
        """A fresh state."""
        ...

    def act(self, policy: Any, embedding: Any, obs: Any, key: Any) -> Any:
        """Sample actions: [N, obs] -> [N, action]."""
        ...

    def act_greedily(self, policy: Any, embedding: Any, obs: Any) -> Any:
        """The deterministic policy: [N, obs] -> [N, action] in [−1, 1]."""
        ...

    def moments(self, policy: Any, embedding: Any, obs: Any) -> Any:
        """Mean and log-std of the policy's Gaussian: [N, obs] -> [N, action] each."""
        ...

    def risk(self, state: Any, obs: Any, key: Any) -> Any:
        """λ(x) and F̂(x): [B, obs] -> [B], [B]."""
        ...

    def values(self, state: Any, obs: Any, key: Any) -> Any:
        """Values of reward and cost under the deterministic policy: [B, obs] -> [B], [B]."""
        ...

    def backup(self, reward: Any, cost: Any, constraint: Any, terminated: Any, value: Any, f: Any) -> Any:
        """Both values one step earlier, by the critics' own targets without entropy: each [N]."""
        ...


class Learner(ABC, Generic[ConfigT, MemoryT]):
    """A method on one task: acts, learns a block at a time, and is saved as flat arrays.

    Randomness is a function of the seed and of counters (vector steps, gradient steps), so the state has no generator.
    """

    def __init__(self, config: ConfigT, task: TaskFacts, core: Core) -> None:
        use_compilation_cache()
        self.config = config
        self.task = task
        self.layout = RowLayout(task.dims.obs, task.dims.action)
        self._init_key, self._act_key, self._learn_key, self._risk_key = jax.random.split(
            jax.random.PRNGKey(config.seed), 4
        )
        self._core = core
        self._init = jax.jit(core.init)
        self._act = jax.jit(self._act_at_tick)
        self._greedy = jax.jit(core.act_greedily)
        self._moments = jax.jit(core.moments)
        self._risk = jax.jit(core.risk)
        self._values = jax.jit(core.values)
        self._backup = jax.jit(core.backup)
        self.reset()

    def reset(self) -> None:
        """Start from the seed again."""
        self.state: Any = self._init(self._init_key)
        self.gradient_step = 0

    # --- acting --------------------------------------------------------------------------------------------------

    def explore(self, obs: NDArray[Any], tick: int) -> Floats:
        """Actions of the stochastic policy at vector step `tick`: [N, obs] -> [N, action].

        They may lie outside of [−1, 1] where the policy isn't bounded; environments take them clipped.
        """
        action = self._act(self.state.policy, self.state.embedding, np.asarray(obs, np.float32), tick)
        return np.asarray(action)

    def warm_up(self, worlds: int, tick: int) -> Floats:
        """Uniformly random actions at vector step `tick`: [N, action] in [−1, 1]."""
        philox = np.random.Philox(key=[self.config.seed, _WARMUP_STREAM], counter=[0, 0, 0, tick])
        shape = (worlds, self.layout.act_dim)
        return np.random.Generator(philox).uniform(-1.0, 1.0, shape).astype(np.float32)

    def greedy(self, obs: NDArray[Any]) -> Floats:
        """Actions of the deterministic policy: [N, obs] -> [N, action] in [−1, 1]."""
        action = self._greedy(self.state.policy, self.state.embedding, np.asarray(obs, np.float32))
        return np.asarray(action)

    # --- reading -------------------------------------------------------------------------------------------------

    def moments(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """Mean and log-std of the policy's Gaussian, before any tanh: [B, obs] -> [B, action] each."""
        mean, log_std = self._moments(self.state.policy, self.state.embedding, np.asarray(obs, np.float32))
        return np.asarray(mean), np.asarray(log_std)

    def risk(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """λ(x) and F̂(x), the same bits at every call: [B, obs] -> [B], [B]."""
        lam, f = self._risk(self.state, np.asarray(obs, np.float32), self._risk_key)
        return np.asarray(lam), np.asarray(f)

    def values(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """What the critics expect of reward and of cost under the deterministic policy: [B, obs] -> [B], [B]."""
        value, f = self._values(self.state, np.asarray(obs, np.float32), self._risk_key)
        return np.asarray(value), np.asarray(f)

    def backup(
        self, reward: Floats, cost: Floats, constraint: Floats, terminated: Floats, value: Floats, f: Floats
    ) -> tuple[Floats, Floats]:
        """Values of reward and cost one step before `value` and `f`, as the critics' targets have it: each [N].

        reward and cost are the environment's; the result is in the units of training.
        """
        steps = (np.asarray(x, np.float32) for x in (reward, cost, constraint, terminated, value, f))
        earlier, f_earlier = self._backup(*steps)
        return np.asarray(earlier), np.asarray(f_earlier)

    # --- learning ------------------------------------------------------------------------------------------------

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
        """One block of gradient steps; returns its figures by column of the metrics.

        Raises DivergenceError naming the first quantity that wasn't finite.
        """

    # --- state ---------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The whole state by name. Raises DivergenceError naming an array that isn't finite."""
        arrays = flatten(self.state)
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergenceError(f"{name} is not finite after gradient step {self.gradient_step}")
        return arrays

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over a state saved by `arrays`; CheckpointError where it doesn't fit."""
        self.state = jax.device_put(restore(self.state, arrays))
        self.gradient_step = int(self.state.step)

    def _act_at_tick(self, policy: Any, embedding: Any, obs: Any, tick: Any) -> Any:
        return self._core.act(policy, embedding, obs, jax.random.fold_in(self._act_key, tick))


def require_finite(figures: dict[str, NDArray[Any]], first_step: int) -> None:
    """Raise DivergenceError naming the first of a block's figures that isn't finite."""
    for name, value in figures.items():
        if not np.isfinite(value):
            raise DivergenceError(f"{name} became {value} in the gradient steps from {first_step + 1} on")
