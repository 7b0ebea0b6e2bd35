"""Sampling: steps the environments with a policy, packs transitions for the replay, keeps the books of the episodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.actions import Span, rescale_action
from statewise.envs import SafeVectorEnv
from statewise.errors import EnvironmentFault
from statewise.storage.replay import RowLayout

Act = Callable[[NDArray[Any], int], NDArray[Any]]
"""(obs [N, obs], tick) -> actions [N, action] in [−1, 1]."""


class Collector:
    """Environments in the middle of their episodes, with what has been counted since the last row of metrics.

    span: what the policy's [−1, 1] spans; the environment's whole action space if None.
    """

    def __init__(self, env: SafeVectorEnv, layout: RowLayout, span: Span | None = None) -> None:
        self.env = env
        self.layout = layout
        self.span: Span = env.single_action_space if span is None else span
        self.tick = 0
        """Steps of all environments since the run began."""
        self.violations = 0
        """Steps in violation since the run began."""
        self._obs = np.zeros((env.num_envs, layout.obs_dim))
        self._running = np.zeros((3, env.num_envs))
        self._finished: list[NDArray[np.float64]] = []

    def reset(self, seed: int) -> None:
        """Start the environments from a seed."""
        self._obs, _ = self.env.reset(seed=seed)

    def collect(self, act: Act, steps: int) -> NDArray[np.float32]:
        """Step all environments `steps` times; returns the transitions as replay rows [steps·N, D]."""
        return np.concatenate([self._step(act) for _ in range(steps)])

    def _step(self, act: Act) -> NDArray[np.float32]:
        obs, action = self._obs, act(self._obs, self.tick)
        require_actions(action, obs)
        self._obs, reward, terminated, truncated, infos = self.env.step(rescale_action(action, self.span))
        cost = infos["cost"]
        self.tick += 1
        self.violations += int(np.count_nonzero(cost > 0.0))
        self._running += (reward, cost, np.ones_like(reward))
        done = terminated | truncated
        if done.any():
            self._finished.extend(self._running[:, done].T)
            self._running[:, done] = 0.0
        ended_otherwise = truncated & ~terminated
        return self.layout.pack(
            obs, action, reward, cost, infos["constraint"], terminated, ended_otherwise, infos["next_obs"]
        )

    def take_metrics(self) -> dict[str, float]:
        """Metrics of the episodes that ended since the last call, and of costs since the run began."""
        steps = self.tick * self.env.num_envs
        metrics = {"violations": float(self.violations), "cost_rate": self.violations / max(steps, 1)}
        episodes = np.array(self._finished).reshape(-1, 3)
        self._finished = []
        return {**episode_metrics(episodes), **metrics}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The environments' state and the running episodes, by name."""
        own = {
            "counters": np.array([self.tick, self.violations], np.int64),
            "running": self._running.copy(),
            "finished": np.array(self._finished, np.float64).reshape(-1, 3),
        }
        return {**own, **{f"env/{name}": np.asarray(v) for name, v in self.env.get_state().items()}}

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over a state saved by `arrays`; without `exact_state` the running episodes start afresh."""
        state = {name.removeprefix("env/"): v for name, v in arrays.items() if name.startswith("env/")}
        self._obs = self.env.set_state(state)
        self.tick, self.violations = (int(x) for x in arrays["counters"])
        self._running = np.array(arrays["running"]) if self.env.exact_state else np.zeros_like(self._running)
        self._finished = list(np.array(arrays["finished"]))


def require_actions(actions: NDArray[Any], obs: NDArray[np.float64]) -> None:
    """Raise EnvironmentFault where a policy has no answer to observations, which is the fault of their size."""
    if not np.isfinite(actions).all():
        world = int(np.argwhere(~np.isfinite(actions))[0, 0])
        largest = float(np.abs(obs[world]).max())
        raise EnvironmentFault(
            f"world {world}: observation has entries up to {largest:g}, for which the policy has no finite action"
        )


def episode_metrics(episodes: NDArray[np.float64]) -> dict[str, float]:
    """Columns of the metrics from rows (return, cost, length), one an episode; without any, just their number."""
    if len(episodes) == 0:
        return {"episodes": 0.0}
    mean = episodes.mean(axis=0)
    return {
        "episodes": float(len(episodes)),
        "return": float(mean[0]),
        "return_std": float(episodes[:, 0].std()),
        "cost": float(mean[1]),
        "length": float(mean[2]),
    }
