"""The Velocity tasks as Gymnasium environments: many worlds in one process, or a single one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.spaces import Box

from statewise.envs.fields import OBS_BOUND
from statewise.envs.native import NativeEnv, NativeVectorEnv
from statewise.envs.rendering import DEFAULT_SIZE, Camera
from statewise.envs.vector import new_generator, pack_generators, unpack_generators
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


def _velocity(worlds: VelocityWorlds) -> tuple[int, ...]:
    """The entries of what the task limits: the root's velocity along x, or in the plane, m/s."""
    first = worlds.model.nq - worlds.task.root_joints
    return (first, first + 1) if worlds.task.planar else (first,)


def _refuse_options(options: Mapping[str, Any] | None) -> None:
    if options:
        raise ValueError(f"options: {', '.join(map(str, options))} is unknown; the Velocity tasks take none at reset")


class VelocityVectorEnv(NativeVectorEnv[VelocityWorlds]):
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
        constants = VELOCITY_TASKS[task]
        self.worlds = VelocityWorlds(constants, num_envs, threads)
        observation_space, action_space = _spaces(self.worlds)
        super().__init__(
            task=task,
            num_envs=num_envs,
            observation_space=observation_space,
            action_space=action_space,
            max_episode_steps=max_episode_steps,
            exact_state=True,
            has_constraint=True,
            training_reward_scale=constants.training_reward_scale,
            velocity=_velocity(self.worlds),
            render_mode=render_mode,
            render_fps=round(1.0 / self.worlds.dt),
        )
        self._generators = [new_generator(None) for _ in range(num_envs)]
        self._camera = Camera(self.worlds.model, size=size)

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads and free the renderer."""
        self.worlds.close()
        self._camera.close()

    def _picture(self) -> NDArray[np.uint8]:
        return self._camera.picture(self.worlds.qpos(0))

    def _start_episodes(
        self, worlds: NDArray[np.intp], seeds: Sequence[int] | None, options: Mapping[str, Any] | None
    ) -> NDArray[np.float64]:
        _refuse_options(options)
        if seeds is not None:
            self._generators = [new_generator(seed) for seed in seeds]
        for world in worlds:
            self.worlds.restart(world, self._generators[world])
        return self.worlds.obs[worlds]

    def _get_state(self) -> State:
        return {**super()._get_state(), "generators": pack_generators(self._generators)}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        self._generators = unpack_generators(state["generators"])
        return super()._set_state(state)


class VelocityEnv(NativeEnv[VelocityWorlds]):
    """One world of a Velocity task with Gymnasium's five-value step.

    `info` holds `cost` (0 or 1), `constraint` (speed minus threshold, m/s; safe iff <= 0) and the keys of the robot.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}  # noqa: RUF012

    def __init__(self, task: str, render_mode: str | None = None, *, size: tuple[int, int] = DEFAULT_SIZE) -> None:
        worlds = VelocityWorlds(VELOCITY_TASKS[task], 1)
        super().__init__(worlds, _spaces(worlds), render_mode, "rgb_array")
        self.velocity = _velocity(worlds)
        self._camera = Camera(worlds.model, size=size)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start an episode from `seed`, or go on with the generator. Returns the observation [obs_dim]."""
        _refuse_options(options)
        super().reset(seed=seed, options=options)
        self.worlds.restart(0, self.np_random)
        self._started = True
        return self.worlds.obs[0].copy(), {}

    def render(self) -> NDArray[np.uint8] | None:
        """A frame [height, width, 3] from the tracking camera, or None without render_mode "rgb_array"."""
        return self._camera.picture(self.worlds.qpos(0)) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Free the renderer."""
        super().close()
        self._camera.close()

    def _get_state(self) -> State:
        return {**super()._get_state(), "generators": pack_generators([self.np_random])}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        super()._set_state(state)
        (self.np_random,) = unpack_generators(state["generators"])
