"""The compiled side of a run: a learner's state on the device, and the few functions that are called from the host."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from statewise.checkpoint import flatten, restore
from statewise.config import MultiplierConfig, SacConfig
from statewise.errors import DivergenceError
from statewise.methods import build_mechanism
from statewise.replay import Replay, RowLayout
from statewise.runtime import compiler_options, release_unused_memory, use_compilation_cache
from statewise.sac import Sac, SacState
from statewise.types import Dims

Floats = NDArray[np.float32]

_WARMUP_STREAM = 0x5761726D7570
"""Second word of the Philox key of warm-up actions: sets them apart from other uses of the run's seed."""


class Learner:
    """A method on one task's sizes: acts, learns a block at a time, and is saved as flat arrays.

    Randomness is a function of the seed and of counters (vector steps, gradient steps), so the state has no generator.
    """

    def __init__(self, config: SacConfig, dims: Dims, reward_scale: float = 1.0) -> None:
        use_compilation_cache()
        self.config = config
        self.layout = RowLayout(dims.obs, dims.action)
        self.sac = Sac(config, dims, build_mechanism(config), reward_scale)
        self._init_key, self._act_key, self._learn_key, self._risk_key = jax.random.split(
            jax.random.PRNGKey(config.seed), 4
        )
        self._compiled = False
        self._init = jax.jit(self.sac.init)
        self._act = jax.jit(self._act_at_tick)
        self._greedy = jax.jit(self.sac.act_greedily)
        self._risk = jax.jit(self.sac.risk)
        self._observe = jax.jit(self.sac.observe, donate_argnums=0)
        self._update = jax.jit(self._update_rows, donate_argnums=0, compiler_options=compiler_options())
        mechanism = self.sac.mechanism
        cycles = -(-config.block_updates // mechanism.dual_interval) if mechanism.dual_interval else 1
        self._dual_shape = (cycles, max(mechanism.dual_batches, 1), config.batch_size)
        self._no_dual = np.zeros((*self._dual_shape, self.layout.width), np.float32)
        self.reset()

    def reset(self) -> None:
        """Start from the seed again."""
        self.state: SacState = self._init(self._init_key)
        self.gradient_step = 0

    # --- acting --------------------------------------------------------------------------------------------------

    def explore(self, obs: NDArray[Any], tick: int) -> Floats:
        """Actions of the stochastic policy at vector step `tick`: [N, obs] -> [N, action] in [−1, 1]."""
        action = self._act(self.state.policy, self.state.normalizer, np.asarray(obs, np.float32), tick)
        return np.asarray(action)

    def warm_up(self, worlds: int, tick: int) -> Floats:
        """Uniformly random actions at vector step `tick`: [N, action] in [−1, 1]."""
        philox = np.random.Philox(key=[self.config.seed, _WARMUP_STREAM], counter=[0, 0, 0, tick])
        shape = (worlds, self.layout.act_dim)
        return np.random.Generator(philox).uniform(-1.0, 1.0, shape).astype(np.float32)

    def greedy(self, obs: NDArray[Any]) -> Floats:
        """Actions of the deterministic policy: [N, obs] -> [N, action] in [−1, 1]."""
        action = self._greedy(self.state.policy, self.state.normalizer, np.asarray(obs, np.float32))
        return np.asarray(action)

    def risk(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """λ(x) and F̂(x), the same bits at every call: [B, obs] -> [B], [B]."""
        lam, f = self._risk(self.state, np.asarray(obs, np.float32), self._risk_key)
        return np.asarray(lam), np.asarray(f)

    # --- learning ------------------------------------------------------------------------------------------------

    def observe(self, obs: Floats) -> None:
        """Take fresh observations [B, obs] into the running statistics, where the configuration has them."""
        if self.config.observation_normalization:
            self.state = self._observe(self.state, obs)

    def learn(self, replay: Replay) -> dict[str, float]:
        """One block of gradient steps from the replay; returns the block's figures by column of the metrics.

        Raises DivergenceError naming the first quantity and gradient step that wasn't finite.
        """
        rows, dual = self.draw(replay)
        self.state, figures = self._update(self.state, rows, dual, self._learn_key)
        host = jax.device_get(figures)
        if not self._compiled:
            release_unused_memory()
            self._compiled = True
        first_step = self.gradient_step
        self.gradient_step += self.config.block_updates
        _require_finite(host["steps"], host["state"], first_step)
        means = {name: float(np.mean(values)) for name, values in host["steps"].items()}
        return means | {name: float(value) for name, value in host["state"].items()}

    def draw(self, replay: Replay) -> tuple[Floats, Floats]:
        """The block's minibatches [n, B, D] and those of its dual cycles [C, M, B, D] (zeros where none is due)."""
        c, block = self.config, self.gradient_step // self.config.block_updates
        rows = replay.sample(c.seed, 2 * block, (c.block_updates, c.batch_size))
        if not self._cycle_is_due():
            return rows, self._no_dual
        recent = None
        if isinstance(c, MultiplierConfig) and c.dual_states == "recent":
            recent = c.recent_window
        return rows, replay.sample(c.seed, 2 * block + 1, self._dual_shape, recent=recent)

    def _cycle_is_due(self) -> bool:
        interval = self.sac.mechanism.dual_interval
        end = self.gradient_step + self.config.block_updates
        due = interval and end // interval > self.gradient_step // interval
        return bool(due) and end > self.sac.mechanism.dual_start

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

    # --- what is compiled ----------------------------------------------------------------------------------------

    def _act_at_tick(self, policy: Any, normalizer: Any, obs: Any, tick: Any) -> Any:
        return self.sac.act(policy, normalizer, obs, jax.random.fold_in(self._act_key, tick))

    def _update_rows(self, state: SacState, rows: Any, dual: Any, key: Any) -> Any:
        unpack = partial(self.layout.unpack)
        return self.sac.update_block(state, unpack(rows), unpack(dual), key)


def _require_finite(steps: dict[str, NDArray[Any]], state: dict[str, NDArray[Any]], first_step: int) -> None:
    broken = [
        (int(np.flatnonzero(~np.isfinite(values))[0]), order, name)
        for order, (name, values) in enumerate(steps.items())
        if not np.isfinite(values).all()
    ]
    if broken:
        index, _, name = min(broken)
        raise DivergenceError(f"{name} became {steps[name][index]} at gradient step {first_step + index + 1}")
    for name, value in state.items():
        if not np.isfinite(value):
            raise DivergenceError(f"{name} became {value} in the gradient steps from {first_step + 1} on")
