"""What the native suites share: environments around worlds that simulate themselves."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import gymnasium
import numpy as np
from gymnasium.error import ResetNeeded

from statewise.envs.vector import SafeVectorEnv, check_like

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gymnasium.spaces import Box
    from numpy.typing import NDArray

    from statewise.envs.vector import Outcome, State


class Worlds(Protocol):
    """N simulations of one task, stepped together; time limits and resets are the environment's.

    dt: seconds a step; obs: [N, obs_dim], where the worlds stand.
    """

    dt: float
    obs: NDArray[np.float64]

    def step(self, actions: NDArray[np.float64]) -> Outcome:
        """Advance every world by an action [N, act_dim]."""
        ...

    def get_state(self) -> State:
        """All that the worlds' future depends on."""
        ...

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state of `get_state`."""
        ...

    def close(self) -> None:
        """Stop the threads."""
        ...


WorldsT = TypeVar("WorldsT", bound=Worlds)


class NativeVectorEnv(SafeVectorEnv, Generic[WorldsT]):
    """N worlds of a native task; a subclass starts episodes and draws world 0."""

    worlds: WorldsT

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """World 0 as one frame [height, width, 3], or None without render_mode "rgb_array"."""
        return (self._picture(),) if self.render_mode == "rgb_array" else None

    @abstractmethod
    def _picture(self) -> NDArray[np.uint8]:
        """World 0, [height, width, 3]."""

    def _advance(self, actions: NDArray[np.float64]) -> Outcome:
        outcome = self.worlds.step(actions)
        self.diverged += int(outcome.truncated.sum())
        return outcome

    def _get_state(self) -> State:
        return self.worlds.get_state()

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        self.worlds.set_state(state)
        return self.worlds.obs.copy()


class NativeEnv(gymnasium.Env["NDArray[Any]", "NDArray[Any]"], Generic[WorldsT]):
    """One world of a native task with Gymnasium's five-value step; a subclass resets and draws."""

    def __init__(self, worlds: WorldsT, spaces: tuple[Box, Box], render_mode: str | None, *modes: str) -> None:
        self.worlds = worlds
        self.observation_space, self.action_space = spaces
        self.render_mode = render_mode
        self.metadata = {"render_modes": list(modes), "render_fps": round(1.0 / worlds.dt)}
        self._started = False

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Advance by one action [act_dim], clipped to the action space where the task clips.

        ValueError for another shape or an action that is not finite, ResetNeeded before the first `reset`.
        """
        self._require_started("step")
        checked = np.asarray(action, np.float64)
        # Plain floats: several microseconds faster than NumPy's check for a handful of numbers.
        if checked.shape != self.action_space.shape or not all(map(math.isfinite, checked.tolist())):
            raise ValueError(f"action is {action}; it must be {self.action_space.shape} finite numbers")
        outcome = self.worlds.step(checked[None])
        values = {key: column.item() for key, column in outcome.info.items()}
        info = {key: value for key, value in values.items() if value == value}  # NaN: it does not hold at present
        info |= {"cost": outcome.cost.item(), "constraint": outcome.constraint.item()}
        return outcome.next_obs[0], outcome.reward.item(), outcome.terminated.item(), outcome.truncated.item(), info

    def get_state(self) -> State:
        """All that the future depends on, the random stream included; ResetNeeded before the first `reset`."""
        self._require_started("get_state")
        return self._get_state()

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state of `get_state`; the future is then the same to the bit.

        ValueError when the state is not one of this task.
        """
        check_like(state, self._get_state())
        self._set_state(state)
        self._started = True

    def close(self) -> None:
        """Free what the worlds hold."""
        self.worlds.close()

    def _get_state(self) -> State:
        return self.worlds.get_state()

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.worlds.set_state(state)

    def _require_started(self, call: str) -> None:
        if not self._started:
            raise ResetNeeded(f"call reset() before {call}()")
