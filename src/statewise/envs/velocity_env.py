"""The Velocity tasks as Gymnasium environments: many worlds in one process, or a single one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from statewise.envs.fields import OBS_BOUND
from statewise.envs.rendering import DEFAULT_SIZE, Camera
from statewise.envs.vector import Outcome, SafeVectorEnv, new_generator, pack_generators, unpack_generators
from statewise.envs.velocity import VELOCITY_TASKS
from statewise.envs.velocity_worlds import VelocityWorlds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from statewise.envs.vector import State


def _spaces(worlds: VelocityWorlds) -> tuple[Box, Box]:
    low, high = worlds.model.actuator_ctrlrange.astype(np.float32).T
    shape = worlds.obs.shape[1:]
    return Box(-OBS_BOUND, OBS_BOUND, shape, np.float64), Box(low, high, dtype=np.float32)


def _refuse_options(options: Mapping[str, Any] | None) -> None:
    if options:
        raise ValueError(f"options: {', '.join(map(str, options))} is unknown; the Velocity tasks take none at reset")


class VelocityVectorEnv(SafeVectorEnv):
    """N worlds of a Velocity task. `infos` also holds the task's own keys, each an array [N].

    size: width and height of the frames, in pixels.
    """

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        *,
        threads: int = 1,
        max_episode_steps: int = 1000,
        render_mode: str | None = None,
        size: tuple[int, int] = DEFAULT_SIZE,
    ) -> None:
        figures = VELOCITY_TASKS[task]
        self._worlds = VelocityWorlds(figures, num_envs, threads)
        observation_space, action_space = _spaces(self._worlds)
        super().__init__(
            task=task,
            num_envs=num_envs,
            observation_space=observation_space,
            action_space=action_space,
            max_episode_steps=max_episode_steps,
            exact_state=True,
            has_constraint=True,
            training_reward_scale=figures.training_reward_scale,
            render_mode=render_mode,
            render_fps=round(1.0 / self._worlds.dt),
        )
        self._generators = [new_generator(None) for _ in range(num_envs)]
        self._camera = Camera(self._worlds.model, size=size)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """World 0 from the tracking camera as one frame [height, width, 3], or None without render_mode "rgb_array"."""
        return (self._camera.picture(self._worlds.qpos(0)),) if self.render_mode == "rgb_array" else None

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads and free the renderer."""
        self._worlds.close()
        self._camera.close()

    def _start_episodes(
        self, worlds: NDArray[np.intp], seeds: Sequence[int] | None, options: Mapping[str, Any] | None
    ) -> NDArray[np.float64]:
        _refuse_options(options)
        if seeds is not None:
            self._generators = [new_generator(seed) for seed in seeds]
        for world in worlds:
            self._worlds.restart(world, self._generators[world])
        return self._worlds.obs[worlds]

    def _advance(self, actions: NDArray[np.float64]) -> Outcome:
        outcome = self._worlds.step(actions)
        self.diverged += int(outcome.truncated.sum())
        return outcome

    def _get_state(self) -> State:
        return {**self._worlds.get_state(), "generators": pack_generators(self._generators)}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        self._worlds.set_state(state)
        self._generators = unpack_generators(state["generators"])
        return self._worlds.obs.copy()


class VelocityEnv(gymnasium.Env["NDArray[Any]", "NDArray[Any]"]):
    """One world of a Velocity task with Gymnasium's five-value step.

    `info` holds `cost` (0 or 1), `constraint` (speed minus threshold, m/s; safe iff <= 0) and the keys of the robot.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(self, task: str, render_mode: str | None = None, *, size: tuple[int, int] = DEFAULT_SIZE) -> None:
        self._worlds = VelocityWorlds(VELOCITY_TASKS[task], 1)
        self.observation_space, self.action_space = _spaces(self._worlds)
        self.render_mode = render_mode
        self.metadata = {"render_modes": ["rgb_array"], "render_fps": round(1.0 / self._worlds.dt)}
        self._camera = Camera(self._worlds.model, size=size)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start an episode from `seed`, or go on with the generator. Returns the observation [obs_dim]."""
        _refuse_options(options)
        super().reset(seed=seed, options=options)
        self._worlds.restart(0, self.np_random)
        return self._worlds.obs[0].copy(), {}

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Advance by one action [act_dim]. ValueError for another shape or an action that is not finite."""
        checked = np.asarray(action, np.float64)
        if checked.shape != self.action_space.shape or not np.isfinite(checked).all():
            raise ValueError(f"action is {action}; it must be {self.action_space.shape} finite numbers")
        outcome = self._worlds.step(checked[None])
        info = {key: float(values[0]) for key, values in outcome.info.items()}
        info |= {"cost": float(outcome.cost[0]), "constraint": float(outcome.constraint[0])}
        terminated, truncated = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        return outcome.next_obs[0], float(outcome.reward[0]), terminated, truncated, info

    def render(self) -> NDArray[np.uint8] | None:
        """A frame [height, width, 3] from the tracking camera, or None without render_mode "rgb_array"."""
        return self._camera.picture(self._worlds.qpos(0)) if self.render_mode == "rgb_array" else None

    def get_state(self) -> State:
        """All that the future depends on, the generator included, as a flat dict of arrays."""
        return {**self._worlds.get_state(), "generators": pack_generators([self.np_random])}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state of `get_state`; the future is then the same to the bit."""
        self._worlds.set_state(state)
        (self.np_random,) = unpack_generators(state["generators"])

    def close(self) -> None:
        """Free the renderer."""
        self._camera.close()
