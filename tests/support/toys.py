"""Small environments for tests: a point on a line, in every form that Statewise has to take or to refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete
from numpy.typing import NDArray

from statewise.envs.vector import pack_generators, unpack_generators

EPISODE_STEPS = 20

Observation = NDArray[np.float64]
Action = NDArray[np.float32]


class Point(gymnasium.Env[Observation, Action]):
    """A point with position and speed, pushed by an action; unsafe beyond |x| = 1, lost beyond |x| = 2.

    cost: where a step's cost stands, if anywhere. low, high: bounds of the action.
    """

    observation_space = Box(-np.inf, np.inf, (2,), np.float64)

    def __init__(
        self, cost: Literal["info", "six values", "none"] = "info", low: float = -1.0, high: float = 1.0
    ) -> None:
        self.action_space = Box(low, high, (1,), np.float32)
        self.actions: list[float] = []
        self._cost = cost
        self._state = np.zeros(2)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = self.np_random.uniform(-0.8, 0.8, 2)
        self._steps = 0
        return self._state.copy(), {}

    def step(self, action: Action) -> Any:
        self.actions.append(float(action[0]))
        x, v = self._state
        v = 0.9 * v + 0.1 * float(action[0]) + 0.01 * self.np_random.normal()
        self._state = np.array([x + 0.2 * v, v])
        self._steps += 1
        cost = float(beyond_one(self._state, action, self._state) > 0.0)
        reward, terminated = float(v), abs(float(self._state[0])) > 2.0
        truncated = self._steps >= EPISODE_STEPS
        if self._cost == "six values":
            return self._state.copy(), reward, cost, terminated, truncated, {}
        info = {"cost": cost} if self._cost == "info" else {}
        return self._state.copy(), reward, terminated, truncated, info


class ExactPoint(Point):
    """A point whose whole future can be saved and restored."""

    def get_state(self) -> dict[str, NDArray[Any]]:
        generator = pack_generators([self.np_random])
        return {"state": self._state.copy(), "steps": np.array(self._steps), "generator": generator}

    def set_state(self, state: dict[str, NDArray[Any]]) -> None:
        self._state = np.array(state["state"])
        self._steps = int(state["steps"])
        (self.np_random,) = unpack_generators(state["generator"])


class FaultyPoint(ExactPoint):
    """A point that calls `fault(obs)` for what to observe, once `FaultyPoint.broken` is set."""

    broken: Callable[[Observation], Observation] | None = None

    def step(self, action: Action) -> Any:
        obs, *rest = super().step(action)
        if FaultyPoint.broken is not None:
            obs = FaultyPoint.broken(obs)
        return obs, *rest


class DiscretePoint(Point):
    """A point that is pushed left or right, which is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.action_space: Any = Discrete(2)


class DictPoint(Point):
    """A point that observes a dict, which is refused."""

    observation_space: Any = Dict({"x": Box(-np.inf, np.inf, (2,), np.float64)})


def beyond_one(obs: Any, action: Any, next_obs: Any) -> float:
    """h = |x| − 1 at the state reached."""
    del obs, action
    return abs(float(next_obs[0])) - 1.0
