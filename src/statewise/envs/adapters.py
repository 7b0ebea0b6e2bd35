"""Any Gymnasium environments with vectors for observations and actions, as one `SafeVectorEnv`."""

from __future__ import annotations

import sys
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from gymnasium.wrappers import ClipAction

from statewise.envs.checked import CheckedEnv
from statewise.envs.vector import Outcome, SafeVectorEnv
from statewise.envs.wrappers import names_of_wrappers, refuse_unfit, restores_state, time_limit, worn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from statewise.envs.checked import Constraint
    from statewise.envs.vector import State

DEFAULT_EPISODE_STEPS = 1000
_OWNERS: weakref.WeakValueDictionary[int, GymnasiumVector] = weakref.WeakValueDictionary()
"""Which vector steps an environment, by the id of what its wrappers hold."""


class GymnasiumVector(SafeVectorEnv):
    """Plain Gymnasium environments of one kind, stepped one after the other.

    The cost of a step is 1[h > 0] where a function `constraint` h(obs, action, next_obs) is given, which must be
    positive where next_obs is unsafe. Otherwise it is, as given, the third of six values of `step` (the form of
    Safety-Gymnasium) or `info["cost"]`, or else 1[info["constraint"] > 0].

    An episode is truncated by the environment's TimeLimit, or after `max_episode_steps` if that comes first, and after
    1000 steps where there is neither.

    Three attributes are read from `unwrapped`, where no wrapper changes the space concerned: `effective_action_space`,
    a Box inside of the action space beyond which actions have no further effect, `proximity`, the entries of the
    observation that sense nearness (0 far, 1 touching), and `velocity`, those whose size is the speed that counts.

    The state is exact when every environment offers, on `unwrapped`, `get_state()` (a dict of arrays of fixed shapes)
    and `set_state(dict)` that restore all of its future, generators included, and wears no wrappers but Gymnasium's
    TimeLimit, OrderEnforcing and PassiveEnvChecker. Otherwise `set_state` starts fresh episodes.

    ValueError at construction for what cannot be trained on, each saying what to do, and for an environment that is
    there twice or that another vector, not yet closed, steps; EnvironmentFault naming world, step and field when an
    environment raises or returns a wrong shape or a value that a float32 can't hold.
    """

    def __init__(
        self,
        envs: Sequence[gymnasium.Env[Any, Any]],
        *,
        task: str,
        constraint: Constraint | None = None,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
    ) -> None:
        if not envs:
            raise ValueError("envs is empty; give at least one environment")
        _refuse_shared(envs, task)
        observation_space, action_space = _shared_spaces(envs, task)
        limits = [limit for env in envs if (limit := time_limit(env)) is not None]
        limits += [] if max_episode_steps is None else [max_episode_steps]
        super().__init__(
            task=task,
            num_envs=len(envs),
            observation_space=observation_space,
            action_space=action_space,
            max_episode_steps=min(limits, default=DEFAULT_EPISODE_STEPS),
            exact_state=all(restores_state(env) for env in envs),
            has_constraint=False,
            effective_action_space=_effective_action_space(envs[0], task),
            proximity=_entries(envs[0], task, "proximity"),
            velocity=_entries(envs[0], task, "velocity"),
            render_mode=render_mode,
            render_fps=envs[0].metadata.get("render_fps") or 30,
        )
        self.wrappers = tuple(names_of_wrappers(envs[0]))
        obs_dim = observation_space.shape[0]
        self._worlds = [CheckedEnv(env, world, obs_dim, constraint) for world, env in enumerate(envs)]
        self._seeds = np.random.SeedSequence().generate_state(len(envs)).astype(np.uint64)
        self._episodes = np.zeros(len(envs), np.uint64)
        _OWNERS.update({id(env.unwrapped): self for env in envs})
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
        """Close every environment, which another vector may then step."""
        for world in self._worlds:
            _OWNERS.pop(id(world.env.unwrapped), None)
        with ExitStack() as stack:
            for world in self._worlds:
                stack.callback(world.close)

    def _start_episodes(
        self, worlds: NDArray[np.intp], seeds: Sequence[int] | None, options: Mapping[str, Any] | None
    ) -> NDArray[np.float64]:
        if seeds is None and not self._started:
            seeds = self._seeds.tolist()
        if seeds is not None:
            self._seeds = np.array(seeds, np.uint64)
            self._episodes[:] = 0
        self._episodes[worlds] += np.uint64(1)
        given = None if options is None else dict(options)
        return np.stack([self._worlds[i].reset(None if seeds is None else int(seeds[i]), given) for i in worlds])

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
            return self._start_episodes(np.arange(self.num_envs), seeds, None)
        self._seeds, self._episodes = state["seeds"].copy(), state["episodes"].copy()
        for i, world in enumerate(self._worlds):
            prefix = f"world{i}/"
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            world.set_state(own, state["obs"][i].copy())
        return state["obs"].copy()


def _refuse_shared(envs: Sequence[gymnasium.Env[Any, Any]], task: str) -> None:
    within = {id(env.unwrapped) for env in envs}
    if len(within) < len(envs) or any(each in _OWNERS for each in within):
        raise ValueError(
            f"env: two environments of {task} are one and the same object, among those that step together or between "
            "training and evaluation; give a function that makes a new one at every call"
        )


def _shared_spaces(envs: Sequence[gymnasium.Env[Any, Any]], task: str) -> tuple[Box, Box]:
    """The spaces of observations and of actions, which all the environments must have in common."""
    for env in envs:
        refuse_unfit(env, task)
    spaces = [(_observation_space(env, task), _action_space(env, task)) for env in envs]
    for world, pair in enumerate(spaces):
        for what, own, first in zip(("observes", "acts in"), pair, spaces[0], strict=True):
            if own != first:
                raise ValueError(
                    f"environment {world} of {task} {what} {own}, but the first one {first}; make them alike"
                )
    return spaces[0]


def _observation_space(env: gymnasium.Env[Any, Any], task: str) -> Box:
    space = env.observation_space
    if not isinstance(space, Box) or len(space.shape) != 1:
        raise ValueError(
            f"{task} observes {space}; wrap it so that it observes one vector, a one-dimensional Box "
            "(gymnasium.wrappers.FlattenObservation does it for dicts, tuples and small images)"
        )
    if space.shape == (0,):
        raise ValueError(
            f"{task} observes {space}, which has no entries; let it observe at least one number, if only 0"
        )
    return Box(space.low.astype(np.float64), space.high.astype(np.float64), dtype=np.float64)


def _action_space(env: gymnasium.Env[Any, Any], task: str) -> Box:
    space = env.action_space
    if not isinstance(space, Box) or len(space.shape) != 1 or not np.issubdtype(space.dtype, np.floating):
        raise ValueError(
            f"{task} acts in {space}; only a one-dimensional Box of real numbers can be learned: choose a task with "
            "continuous actions or wrap this one in gymnasium.ActionWrapper"
        )
    if space.shape == (0,):
        raise ValueError(f"{task} acts in {space}, which has no entries; there is nothing to learn")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        clipped = any(isinstance(wrapper, ClipAction) for wrapper in worn(env))
        raise ValueError(
            f"{task} acts in {space}, whose bounds must be finite with low < high; "
            + (
                "leave ClipAction out, as actions are always clipped"
                if clipped
                else "set them in the environment, or with "
                "gymnasium.wrappers.TransformAction(env, lambda action: action, Box(low, high))"
            )
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


def _entries(env: gymnasium.Env[Any, Any], task: str, name: str) -> tuple[int, ...]:
    entries = getattr(env.unwrapped, name, ())
    if env.observation_space != env.unwrapped.observation_space:
        return ()
    size = env.observation_space.shape[0] if env.observation_space.shape else 0
    if not all(isinstance(entry, int) and 0 <= entry < size for entry in entries):
        raise ValueError(f"{task} says that its {name} is {entries}; it must be entries of an observation of {size}")
    return tuple(entries)
