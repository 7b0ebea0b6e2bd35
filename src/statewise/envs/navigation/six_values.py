"""The native tasks for code that was written for safety-gymnasium: six values from `step`, and its `info`."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
from gymnasium.utils import RecordConstructorArgs

_OURS = ("cost", "constraint")


class SixValues(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """A native task as safety-gymnasium gives it: `step` returns the cost as the third of six values.

    `info` holds what the original's does: the cost keys that hold at present and `cost_sum` (navigation), the robot's
    own keys (Velocity), and `goal_met` only in the step in which a goal was met. That of `reset` is empty. The signed
    `constraint` is left out. ValueError for an environment whose `info` has no cost.
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode; returns the observation and an empty dict."""
        obs, _ = self.env.reset(seed=seed, options=options)
        return obs, {}

    def step(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, action: Any
    ) -> tuple[Any, SupportsFloat, float, bool, bool, dict[str, Any]]:
        """Advance by one action; returns (obs, reward, cost, terminated, truncated, info)."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        if "cost" not in info:
            raise ValueError(f"{self.env} gives no info['cost'] to return as the third value; use it as it is")
        told = {key: value for key, value in info.items() if key not in _OURS and (key != "goal_met" or value)}
        return obs, reward, info["cost"], terminated, truncated, told


def make_six_values(env_id: str, **options: Any) -> SixValues:
    """Make a native task by its id, in place of `safety_gymnasium.make`; options are those of `gymnasium.make`."""
    return SixValues(gymnasium.make(env_id, **options))
