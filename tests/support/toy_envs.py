"""A point on a line as a Gymnasium environment, in every form an adapter takes, and with every fault it must catch."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box


class Point(gymnasium.Env[np.ndarray, np.ndarray]):
    """Position moves by the action; reward is the action, and beyond 1 it costs. Five values, `info["cost"]`."""

    def __init__(self) -> None:
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Box(-0.5, 2.0, (1,), np.float32)
        self.position = 0.0

    def obs(self) -> np.ndarray:
        return np.array([self.position, 1.0], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.position = float(self.np_random.uniform(-0.1, 0.1))
        return self.obs(), {}

    def step(self, action: np.ndarray) -> Any:
        assert action.dtype == np.float32
        self.position += float(action[0])
        return self.obs(), float(action[0]), self.position > 3.0, False, self.info()

    def info(self) -> dict[str, Any]:
        return {"cost": float(self.position > 1.0)}


class SixValues(Point):
    """The form of Safety-Gymnasium: the cost is the third of six values."""

    def step(self, action: np.ndarray) -> Any:
        obs, reward, terminated, truncated, info = super().step(action)
        return obs, reward, info.pop("cost"), terminated, truncated, info


class Signed(Point):
    """Gives the signed constraint and no cost."""

    def info(self) -> dict[str, Any]:
        return {"constraint": self.position - 1.0}


class Costless(Point):
    """Gives neither."""

    def info(self) -> dict[str, Any]:
        return {}


class Odd(Point):
    """A point with other spaces, or another first observation."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__()
        for name, value in attributes.items():
            setattr(self, name, value)

    first_obs: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        obs, info = super().reset(seed=seed)
        return (obs if self.first_obs is None else self.first_obs), info


class Faulty(Point):
    """Returns `value` in place `field` of step number `at` (0 is reset), or raises it there."""

    def __init__(self, field: str, value: Any, at: int) -> None:
        super().__init__()
        self.field, self.value, self.at = field, value, at
        self.count = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        answer = super().reset(seed=seed)
        return self.spoil({"obs": answer[0], "info": answer[1]}) if self.at == 0 else answer

    def step(self, action: np.ndarray) -> Any:
        names = ("obs", "reward", "terminated", "truncated", "info")
        self.count += 1
        answer = super().step(action)
        return self.spoil(dict(zip(names, answer, strict=True))) if self.count == self.at else answer

    def spoil(self, answer: dict[str, Any]) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        if self.field == "answer":
            return self.value
        if self.field == "cost":
            answer["info"] = {"cost": self.value}
        else:
            answer[self.field] = self.value
        return tuple(answer.values())
