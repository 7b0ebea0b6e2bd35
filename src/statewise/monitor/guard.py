"""A Gymnasium environment whose steps are watched and, by choice, taken over by a fallback policy on alarm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TextIO

import gymnasium

from statewise.monitor.risk_monitor import RiskMonitor, RiskReading, write_reading

Fallback = Callable[[Any], Any]
"""obs -> action, in the units of the environment."""


class Guarded(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Adds `info["risk"]`, the reading of the new observation, and `info["fallback"]`, whether that policy acted.

    While the reading of the present observation is an alarm, `step` takes the fallback's action in place of its own.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        monitor: RiskMonitor,
        fallback: Fallback | None = None,
        stream: TextIO | None = None,
    ) -> None:
        """fallback: None only watches. stream: takes every reading as a line of JSON."""
        super().__init__(env)
        self.monitor = monitor
        self.reading: RiskReading | None = None
        """Of the present observation; None before the first reset."""
        self._fallback = fallback
        self._stream = stream
        self._obs: Any = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode, and the monitor with it."""
        obs, info = self.env.reset(seed=seed, options=options)
        self.monitor.reset()
        return obs, {**info, **self._read(obs, False)}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Advance by the action, or by the fallback's."""
        taken_over = self._fallback is not None and self.reading is not None and self.reading.alarm
        if taken_over and self._fallback is not None:
            action = self._fallback(self._obs)
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, {**info, **self._read(obs, taken_over)}

    def _read(self, obs: Any, taken_over: bool) -> dict[str, Any]:
        self._obs, self.reading = obs, self.monitor.step(obs)
        if self._stream is not None:
            write_reading(self._stream, self.reading)
        return {"risk": self.reading._asdict(), "fallback": taken_over}
