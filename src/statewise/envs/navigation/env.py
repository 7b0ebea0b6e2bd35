"""The navigation tasks as Gymnasium environments: many worlds in one process, or a single one."""

# MuJoCo's viewer comes without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.spaces import Box

from statewise.envs.fields import OBS_BOUND
from statewise.envs.native import NativeEnv, NativeVectorEnv
from statewise.envs.navigation.pictures import Pictures
from statewise.envs.navigation.registry import find_task
from statewise.envs.navigation.task import crowded
from statewise.envs.navigation.worlds import NavigationWorlds
from statewise.envs.rendering import DEFAULT_SIZE
from statewise.envs.vector import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from statewise.envs.navigation.pictures import CameraName

_SEEDS = 2**32


def _spaces(worlds: NavigationWorlds) -> tuple[Box, Box]:
    lidars = np.arange(worlds.obs.shape[1]) >= worlds.robot.observed
    low, high = np.where(lidars, 0.0, -OBS_BOUND), np.where(lidars, 1.0, OBS_BOUND)
    return Box(low, high, dtype=np.float64), Box(-1.0, 1.0, (2,), np.float64)


def _effective_actions(worlds: NavigationWorlds) -> Box:
    size = np.array(worlds.robot.effective)
    return Box(-size, size, dtype=np.float64)


def _proximity(worlds: NavigationWorlds) -> tuple[int, ...]:
    """The entries of the lidars."""
    return tuple(range(worlds.robot.observed, worlds.obs.shape[1]))


def _velocity(worlds: NavigationWorlds) -> tuple[int, ...]:
    """The entries of the velocity over the floor."""
    return tuple(range(worlds.obs.shape[1])[worlds.robot.velocity])


class NavigationVectorEnv(NativeVectorEnv[NavigationWorlds]):
    """N worlds of a navigation task.

    `infos` also holds the task's cost keys, `cost_sum` and `goal_met`, each an array [N]; a cost that does not hold at
    present is NaN in `infos` (a single environment leaves the key out). threads: worker threads; the results don't
    depend on their number. sleep: let vases that lie still sleep, which changes what they do by less than 1e-5 m/s.
    crowding: so many times as many hazards, rounded up, in tasks that draw their places. camera, show_lidar, show_cost,
    size (width, height): what `render` draws. The options of `reset`, those of `NavigationEnv.reset`, are for all
    worlds alike.
    """

    def __init__(
        self,
        task: str,
        num_envs: int = 1,
        *,
        threads: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        sleep: bool = True,
        crowding: float = 1.0,
        camera: CameraName = "track",
        show_lidar: bool = False,
        show_cost: bool = False,
        size: tuple[int, int] = DEFAULT_SIZE,
    ) -> None:
        rules, robot = find_task(task)
        self.worlds = NavigationWorlds(crowded(rules, crowding), robot, num_envs, threads=threads, sleep=sleep)
        observation_space, action_space = _spaces(self.worlds)
        super().__init__(
            task=task,
            num_envs=num_envs,
            observation_space=observation_space,
            action_space=action_space,
            max_episode_steps=rules.max_episode_steps if max_episode_steps is None else max_episode_steps,
            exact_state=True,
            has_constraint=True,
            effective_action_space=_effective_actions(self.worlds),
            proximity=_proximity(self.worlds),
            velocity=_velocity(self.worlds),
            render_mode=render_mode,
            render_fps=round(1.0 / self.worlds.dt),
        )
        self._looks: dict[str, Any] = {"camera": camera, "show_lidar": show_lidar, "show_cost": show_cost, "size": size}
        self._pictures: Pictures | None = None
        self._cost = np.zeros(num_envs)

    def observe_at(
        self, poses: NDArray[np.float64], velocities: NDArray[np.float64] | None = None, world: int = 0
    ) -> NDArray[np.float64]:
        """What the robot of a world would observe if it stood elsewhere, for maps of risk.

        poses: [M, 3] of (x, y, yaw), m and rad; velocities: [M, 3] of (v_x, v_y, yaw rate), m/s and rad/s, at rest when
        left out. Returns [M, obs_dim].
        """
        return self.worlds.observe_at(poses, velocities, world)

    def close_extras(self, **kwargs: Any) -> None:
        """Stop the threads and free the renderer."""
        self.worlds.close()
        if self._pictures is not None:
            self._pictures.close()

    def _start_episodes(
        self, worlds: NDArray[np.intp], seeds: Sequence[int] | None, options: Mapping[str, Any] | None
    ) -> NDArray[np.float64]:
        places = self.worlds.places(options)
        for world in worlds:
            self.worlds.restart(int(world), None if seeds is None else _stream_seed(seeds[world]), places)
            self._cost[world] = 0.0
        return self.worlds.observe_all()[worlds]

    def _picture(self) -> NDArray[np.uint8]:
        if self._pictures is None:
            self._pictures = Pictures(self.worlds, **self._looks)
        return self._pictures.picture(0, cost=float(self._cost[0]))

    def _advance(self, actions: NDArray[np.float64]) -> Outcome:
        outcome = super()._advance(actions)
        self._cost = outcome.cost.copy()
        return outcome


class NavigationEnv(NativeEnv[NavigationWorlds]):
    """One world of a navigation task with Gymnasium's five-value step.

    `info` holds `cost` and `cost_sum` (0 or 1), `constraint` (the signed h(x); safe iff <= 0), `goal_met`, and the cost
    keys of the task; a key is absent while its constraint does not hold. Options as in `NavigationVectorEnv`.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 50}  # noqa: RUF012

    def __init__(
        self,
        task: str,
        render_mode: str | None = None,
        *,
        sleep: bool = True,
        crowding: float = 1.0,
        camera: CameraName = "track",
        show_lidar: bool = False,
        show_cost: bool = False,
        size: tuple[int, int] = DEFAULT_SIZE,
    ) -> None:
        rules, robot = find_task(task)
        worlds = NavigationWorlds(crowded(rules, crowding), robot, 1, sleep=sleep)
        super().__init__(worlds, _spaces(worlds), render_mode, "rgb_array", "human")
        self.effective_action_space = _effective_actions(worlds)
        self.proximity, self.velocity = _proximity(worlds), _velocity(worlds)
        self._looks: dict[str, Any] = {"camera": camera, "show_lidar": show_lidar, "show_cost": show_cost, "size": size}
        self._pictures: Pictures | None = None
        self._window: Any = None
        self._cost = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Draw a new layout from `seed`, or go on with the stream. Returns the observation [obs_dim].

        options: what stands where, as in `{"robot": (x, y, yaw), "hazard": [(x, y), …], "goal": (x, y)}`, m and rad;
        what isn't named is drawn. ValueError where they don't fit the task.
        """
        places = self.worlds.places(options)
        super().reset(seed=seed, options=options)
        # Without a seed the first stream follows from Gymnasium's generator, later ones go on.
        if seed is None and not self._started:
            seed = int(self.np_random.integers(_SEEDS))
        self.worlds.restart(0, None if seed is None else _stream_seed(seed), places)
        self._started, self._cost = True, 0.0
        obs = self.worlds.observe_all()[0].copy()
        if self.render_mode == "human":
            self.render()
        return obs, {}

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        """Advance by one action [2]; what is beyond [-1, 1] is clipped. Errors as in `NativeEnv.step`."""
        result = super().step(action)
        self._cost = result[4]["cost"]
        if self.render_mode == "human":
            self.render()
        return result

    def render(self) -> NDArray[np.uint8] | None:
        """A frame [height, width, 3] with render_mode "rgb_array"; "human" brings MuJoCo's window up to date."""
        if self.render_mode is None:
            return None
        if self._pictures is None:
            self._pictures = Pictures(self.worlds, **self._looks)
        if self.render_mode == "rgb_array":
            return self._pictures.picture(0, cost=self._cost)
        if self._window is None:
            self._window = self._pictures.open_window()
        self._window()
        return None

    def observe_at(
        self, poses: NDArray[np.float64], velocities: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """What the robot would observe if it stood elsewhere; see `NavigationVectorEnv.observe_at`."""
        return self.worlds.observe_at(poses, velocities)

    def close(self) -> None:
        """Free the renderer and the window."""
        super().close()
        if self._pictures is not None:
            self._pictures.close()


def _stream_seed(seed: int) -> int:
    """A seed as the original's stream takes it; ValueError beyond 32 bits."""
    if not 0 <= seed < _SEEDS:
        raise ValueError(f"seed is {seed}; it must be at least 0 and below 2^32")
    return seed
