"""A method's networks on the device, called with NumPy arrays: actions, risk and values. Nothing here learns."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from numpy.typing import NDArray

from statewise.core.types import Dims
from statewise.errors import CheckpointError, DivergenceError
from statewise.runtime import require_own_jax, use_compilation_cache
from statewise.storage.checkpoint import flatten, restore

Floats = NDArray[np.float32]


class Core(Protocol):
    """The pure functions of a method's family; a state has at least policy, embedding and step."""

    @property
    def dims(self) -> Dims:
        """Sizes of an observation and an action."""
        ...

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


class RunKeys(NamedTuple):
    """The independent streams of randomness that follow from a run's seed."""

    init: Any
    act: Any
    learn: Any
    risk: Any


class Turn:
    """Lets one thread at a time at a state, as learning gives its memory away while others may still read it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        require_own_jax()
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()


class Acting:
    """A state and the compiled functions that read it; several threads may use it, also while one of them learns.

    Randomness is a function of the seed and of counters (vector steps, gradient steps), so the state has no generator.
    """

    def __init__(self, core: Core, seed: int) -> None:
        self.turn = Turn()
        require_own_jax()
        use_compilation_cache()
        self.dims = core.dims
        self.keys = RunKeys(*jax.random.split(jax.random.PRNGKey(seed), len(RunKeys._fields)))
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
        self.state: Any = self._init(self.keys.init)
        self.gradient_step = 0

    # --- acting --------------------------------------------------------------------------------------------------

    def explore(self, obs: NDArray[Any], tick: int) -> Floats:
        """Actions of the stochastic policy at vector step `tick`: [N, obs] -> [N, action].

        They may lie outside of [−1, 1] where the policy isn't bounded; environments take them clipped.
        """
        with self.turn:
            action = self._act(self.state.policy, self.state.embedding, np.asarray(obs, np.float32), tick)
        return np.asarray(action)

    def greedy(self, obs: NDArray[Any]) -> Floats:
        """Actions of the deterministic policy: [N, obs] -> [N, action] in [−1, 1]."""
        with self.turn:
            action = self._greedy(self.state.policy, self.state.embedding, np.asarray(obs, np.float32))
        return np.asarray(action)

    # --- reading -------------------------------------------------------------------------------------------------

    def moments(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """Mean and log-std of the policy's Gaussian, before any tanh: [B, obs] -> [B, action] each."""
        with self.turn:
            mean, log_std = self._moments(self.state.policy, self.state.embedding, np.asarray(obs, np.float32))
        return np.asarray(mean), np.asarray(log_std)

    def risk(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """λ(x) and F̂(x), the same bits at every call: [B, obs] -> [B], [B]."""
        with self.turn:
            lam, f = self._risk(self.state, np.asarray(obs, np.float32), self.keys.risk)
        return np.asarray(lam), np.asarray(f)

    def values(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """What the critics expect of reward and of cost under the deterministic policy: [B, obs] -> [B], [B]."""
        with self.turn:
            value, f = self._values(self.state, np.asarray(obs, np.float32), self.keys.risk)
        return np.asarray(value), np.asarray(f)

    def backup(
        self, reward: Floats, cost: Floats, constraint: Floats, terminated: Floats, value: Floats, f: Floats
    ) -> tuple[Floats, Floats]:
        """Values of reward and cost one step before `value` and `f`, as the critics' targets have it: each [N].

        reward and cost are the environment's; the result is in the units of training.
        """
        steps = (np.asarray(x, np.float32) for x in (reward, cost, constraint, terminated, value, f))
        with self.turn:
            earlier, f_earlier = self._backup(*steps)
        return np.asarray(earlier), np.asarray(f_earlier)

    # --- state ---------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The whole state by name. Raises DivergenceError naming an array that isn't finite."""
        with self.turn:
            arrays = flatten(self.state)
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DivergenceError(f"{name} is not finite after gradient step {self.gradient_step}")
        return arrays

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over a state saved by `arrays`; CheckpointError where it doesn't fit or isn't finite."""
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise CheckpointError(f"{name} holds NaN or infinity")
        with self.turn:
            self.state = jax.device_put(restore(self.state, arrays))
            self.gradient_step = int(self.state.step)

    def _act_at_tick(self, policy: Any, embedding: Any, obs: Any, tick: Any) -> Any:
        return self._core.act(policy, embedding, obs, jax.random.fold_in(self.keys.act, tick))
