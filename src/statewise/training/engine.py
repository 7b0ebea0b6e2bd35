"""What trains: a learner, its memory and the environments that it plays in, one block at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from statewise.config import RunConfig
from statewise.envs import SafeVectorEnv
from statewise.learner import Learner
from statewise.policy import PREFIX, Policy, PolicyFacts
from statewise.storage.checkpoint import prefixed, unprefixed
from statewise.training.collect import Collector
from statewise.training.learners import build_learner, task_facts
from statewise.training.stopwatch import Stopwatch


class Engine:
    """Sampling and learning on the host: a replay in memory or in a file, environments in threads.

    A block is some steps of all environments with a constant policy, then the gradient steps that they call for; it is
    a function of the state that `arrays` and `metadata` hold.
    """

    def __init__(self, env: SafeVectorEnv, learner: Learner[Any, Any], replay_path: Path | None = None) -> None:
        """replay_path: where the memory has to outlive the process."""
        self.env = env
        self.learner = learner
        self.config: RunConfig = learner.config
        span = env.action_span(self.config.action_span)
        self.about = PolicyFacts(self.config, env.task, learner.task, span, env.identity)
        self.collector = Collector(env, self.learner.layout, self.about.span)
        self.memory = self.learner.make_memory(replay_path)
        self.stopwatch = Stopwatch()
        self.step = 0
        """Environment steps taken, over all environments."""
        self._sums: dict[str, float] = {}
        self._blocks = 0

    @classmethod
    def for_task(cls, config: RunConfig, env: SafeVectorEnv, replay_path: Path | None = None) -> Self:
        """With a fresh learner. ValueError where the task can't serve the configuration."""
        return cls(env, build_learner(config, task_facts(config, env)), replay_path)

    @property
    def policy(self) -> Policy:
        """The policy as it is now and as further blocks make it."""
        return Policy(self.about, self.learner)

    def restart(self) -> None:
        """Start from the seed."""
        self.learner.reset()
        self.memory.rewind(0)
        self.collector.reset(self.config.seed)

    def block(self) -> None:
        """Sample, then learn. Raises DivergenceError, EnvironmentFault."""
        c = self.config
        with self.stopwatch.timed("sample"):
            rows = self.collector.collect(self._act, c.block_env_steps // c.num_envs)
            self.learner.remember(self.memory, rows)
        self.step += c.block_env_steps
        if self.step >= c.learning_starts:
            with self.stopwatch.timed("update"):
                self._note(self.learner.learn(self.memory))

    def take_metrics(self) -> dict[str, float]:
        """Columns of a "train" row: episodes that ended and means over the blocks since the last call."""
        means = {name: total / self._blocks for name, total in self._sums.items()}
        self._sums, self._blocks = {}, 0
        return {**self.collector.take_metrics(), **means}

    # --- state ---------------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The state by name, but for the memory's rows. Raises DivergenceError naming an array that isn't finite."""
        pending = {name: np.float64(value) for name, value in self._sums.items()}
        return {
            **prefixed(PREFIX, self.learner.arrays()),
            **prefixed("collector", self.collector.arrays()),
            **prefixed("pending", pending),
        }

    def metadata(self) -> dict[str, Any]:
        """What a checkpoint says besides."""
        return {
            **self.about.metadata(self.learner.gradient_step),
            "step": self.step,
            "memory_count": self.memory.count,
            "memory_digests": self.memory.digests(),
            "pending_blocks": self._blocks,
        }

    def load(self, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
        """Take over a state; without `env.exact_state` the running episodes start afresh.

        CheckpointError where the memory holds other rows than then.
        """
        self.memory.rewind(metadata["memory_count"], metadata.get("memory_digests"))
        self.learner.load(unprefixed(PREFIX, arrays))
        self.collector.load(unprefixed("collector", arrays))
        self.step = metadata["step"]
        self._sums = {name: float(value) for name, value in unprefixed("pending", arrays).items()}
        self._blocks = metadata["pending_blocks"]
        if not self.env.exact_state:
            self.learner.forget_episodes()

    def _act(self, obs: NDArray[Any], tick: int) -> NDArray[Any]:
        if self.step < self.config.learning_starts:
            return self.learner.warm_up(self.env.num_envs, tick)
        return self.learner.explore(obs, tick)

    def _note(self, metrics: dict[str, float]) -> None:
        self._blocks += 1
        for name, value in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
