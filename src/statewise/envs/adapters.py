"""Any Gymnasium environments with vectors for observations and actions, as one `SafeVectorEnv`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from statewise.envs.checked import CheckedEnv
from statewise.envs.vector import Outcome, SafeVectorEnv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from statewise.envs.checked import Constraint
    from statewise.envs.vector import State

DEFAULT_EPISODE_STEPS = 1000
_STATELESS_WRAPPERS = (TimeLimit, OrderEnforcing, PassiveEnvChecker)


class GymnasiumVector(SafeVectorEnv):
    """Plain Gymnasium environments of one kind, stepped one after the other.

    The cost of a step is 1[h > 0] where a function `constraint` h(obs, action, next_obs) is given, which must be
    positive where next_obs is unsafe. Otherwise it is, as given, the third of six values of `step` (the form of
    Safety-Gymnasium) or `info["cost"]`, or else 1[info["constraint"] > 0].

    An episode is truncated after the `max_episode_steps` of the environment's spec, or after 1000 steps where it has
    none.

    Two attributes are read from `unwrapped`, where no wrapper changes the space concerned: `effective_action_space`, a
    Box inside of the action space beyond which actions have no further effect, and `proximity`, the entries of the
    observation that sense nearness (0 far, 1 touching).

    The state is exact when every environment offers, on `unwrapped`, `get_state()` (a dict of arrays of fixed shapes)
    and `set_state(dict)` that restore all of its future, generators included, and wears no wrappers but Gymnasium's
    TimeLimit, OrderEnforcing and PassiveEnvChecker. Otherwise `set_state` starts fresh episodes.

    ValueError at construction for what cannot be trained on, each saying what to do; EnvironmentFault naming world,
    step and field when an environment raises or returns a wrong shape or a value that is not finite.
    """

    def __init__(
        self,
        envs: Sequence[gymnasium.Env[Any, Any]],
        *,
        task: str,
        constraint: Constraint | None = None,
        render_mode: str | None = None,
    ) -> None:
        if not envs:
            raise ValueError("envs is empty; give at least one environment")
        observation_space = _observation_space(envs[0], task)
        spec, obs_dim = envs[0].spec, observation_space.shape[0]
        super().__init__(
            task=task,
            num_envs=len(envs),
            observation_space=observation_space,
            action_space=_action_space(envs[0], task),
            max_episode_steps=(spec and spec.max_episode_steps) or DEFAULT_EPISODE_STEPS,
            exact_state=all(_restores_state(env) for env in envs),
            has_constraint=False,
            effective_action_space=_effective_action_space(envs[0], task),
            proximity=_proximity(envs[0], task),
            render_mode=render_mode,
            render_fps=envs[0].metadata.get("render_fps") or 30,
        )
        self._worlds = [CheckedEnv(env, world, obs_dim, constraint) for world, env in enumerate(envs)]
        self._seeds = np.random.SeedSequence().generate_state(len(envs)).astype(np.uint64)
        self._episodes = np.zeros(len(envs), np.uint64)
        # One step of world 0 shows whether there is a cost, and whether there is a constraint.
        self._worlds[0].reset(seed=0)
        middle = (self.single_action_space.low + self.single_action_space.high) / 2
        self.has_constraint = not np.isnan(self._worlds[0].step(middle).constraint)

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """As `SafeVectorEnv.set_state`; foreign environments must have been reset before they take a state."""
        if not self._started:
            self.reset()
        return super().set_state(state)

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """What world 0 renders, or None without a render_mode; RuntimeError where nothing can be drawn."""
        if self.render_mode is None:
            return None
        if "mujoco" in sys.modules:
            from statewise.envs.rendering import choose_backend

            choose_backend()
        return (self._worlds[0].render(),)

    def close_extras(self, **kwargs: Any) -> None:
        """Close every environment."""
        with ExitStack() as stack:
            for world in self._worlds:
                stack.callback(world.close)

    def _start_episodes(self, worlds: NDArray[np.intp], seeds: Sequence[int] | None) -> NDArray[np.float64]:
        if seeds is None and not self._started:
            seeds = self._seeds.tolist()
        if seeds is not None:
            self._seeds = np.array(seeds, np.uint64)
            self._episodes[:] = 0
        self._episodes[worlds] += np.uint64(1)
        return np.stack([self._worlds[i].reset(None if seeds is None else int(seeds[i])) for i in worlds])

    def _advance(self, actions: NDArray[np.float64]) -> Outcome:
        steps = [world.step(action) for world, action in zip(self._worlds, actions, strict=True)]
        columns = [np.array(column) for column in zip(*steps, strict=True)]
        return Outcome(*columns, info={})

    def _get_state(self) -> State:
        state: State = {"seeds": self._seeds.copy(), "episodes": self._episodes.copy()}
        if self.exact_state:
            state["obs"] = np.stack([world.obs for world in self._worlds])
            for i, world in enumerate(self._worlds):
                state |= {f"world{i}/{name}": value for name, value in world.get_state().items()}
        return state

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        if not self.exact_state:
            pairs = np.stack([state["seeds"], state["episodes"]], axis=1).tolist()
            seeds = [int(np.random.SeedSequence(pair).generate_state(1)[0]) for pair in pairs]
            self._elapsed[:] = 0
            return self._start_episodes(np.arange(self.num_envs), seeds)
        self._seeds, self._episodes = state["seeds"].copy(), state["episodes"].copy()
        for i, world in enumerate(self._worlds):
            prefix = f"world{i}/"
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            world.set_state(own, state["obs"][i].copy())
        return state["obs"].copy()


def _observation_space(env: gymnasium.Env[Any, Any], task: str) -> Box:
    space = env.observation_space
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(
            f"{task} observes {space}; wrap it so that it observes one vector, a one-dimensional Box "
            "(gymnasium.wrappers.FlattenObservation does it for dicts, tuples and small images)"
        )
    return Box(space.low.astype(np.float64), space.high.astype(np.float64), dtype=np.float64)


def _action_space(env: gymnasium.Env[Any, Any], task: str) -> Box:
    space = env.action_space
    if not isinstance(space, Box) or len(space.shape) != 1 or not np.issubdtype(space.dtype, np.floating):
        raise ValueError(
            f"{task} acts in {space}; only a one-dimensional Box of real numbers can be learned: choose a task with "
            "continuous actions or wrap this one in gymnasium.ActionWrapper"
        )
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        raise ValueError(
            f"{task} acts in {space}, whose bounds must be finite with low < high; set them with "
            "gymnasium.wrappers.RescaleAction or in the environment"
        )
    return space


def _effective_action_space(env: gymnasium.Env[Any, Any], task: str) -> Box | None:
    part = getattr(env.unwrapped, "effective_action_space", None)
    space = env.action_space
    if part is None or space != env.unwrapped.action_space:
        return None
    if isinstance(part, Box) and isinstance(space, Box) and part.shape == space.shape:
        inside = (part.low >= space.low) & (part.high <= space.high) & (part.low < part.high)
        if inside.all():
            return part
    raise ValueError(f"{task} says that its effective_action_space is {part}; it must be a Box inside of {space}")


def _proximity(env: gymnasium.Env[Any, Any], task: str) -> tuple[int, ...]:
    entries = getattr(env.unwrapped, "proximity", ())
    if env.observation_space != env.unwrapped.observation_space:
        return ()
    size = env.observation_space.shape[0] if env.observation_space.shape else 0
    if not all(isinstance(entry, int) and 0 <= entry < size for entry in entries):
        raise ValueError(f"{task} says that its proximity is {entries}; it must be entries of an observation of {size}")
    return tuple(entries)


def _restores_state(env: gymnasium.Env[Any, Any]) -> bool:
    while isinstance(env, gymnasium.Wrapper):
        if type(env) not in _STATELESS_WRAPPERS:
            return False
        env = env.env
    return callable(getattr(env, "get_state", None)) and callable(getattr(env, "set_state", None))
