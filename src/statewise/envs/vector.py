"""The vector environment that every training loop talks to: same-step autoreset, dense costs, state in and out."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from statewise.errors import EnvironmentFault
from statewise.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gymnasium.spaces import Box
    from numpy.typing import NDArray

    State = dict[str, NDArray[Any]]


class Outcome(NamedTuple):
    """What one step did to all N worlds, before any of them is reset.

    next_obs: [N, obs_dim] f64; reward, cost: [N] f64; constraint: [N] f64, the signed h(next_obs), NaN where there is
    none; terminated, truncated: [N] bool (`truncated` without the time limit, which `SafeVectorEnv` adds);
    info: further arrays with a leading axis N.
    """

    next_obs: NDArray[np.float64]
    reward: NDArray[np.float64]
    cost: NDArray[np.float64]
    constraint: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    info: dict[str, NDArray[Any]]


class SafeVectorEnv(VectorEnv["NDArray[np.float64]", "NDArray[Any]", "NDArray[Any]"]):
    """N worlds of one task, stepped together, each restarted in the step in which its episode ends.

    Attributes, besides those of `gymnasium.vector.VectorEnv`:
        task: the id of the task.
        max_episode_steps: an episode is truncated after so many steps.
        exact_state: whether `get_state` and `set_state` restore every bit of the future.
        has_constraint: whether `infos["constraint"]` holds h rather than NaN.
        training_reward_scale: factor that training (never evaluation) puts on the reward.
        effective_action_space: the part of the action space beyond which actions have no further effect.
        proximity: entries of the observation that sense nearness, 0 at their reach and beyond, 1 touching.
        velocity: entries of the observation whose root of the sum of squares is the speed that counts, m/s.
        wrappers: names of what the environments wear that changes what is seen or done, the innermost first.
        identity: how the worlds were made; `make_vector` knows.
        before_restart: called in `step` with the finished worlds [N] bool while they still stand where they ended.
        ended: the finished worlds [N] bool, during that call; else none.
        diverged: how many episodes were cut short because the simulation broke down.

    A subclass gives `render`, `_start_episodes`, `_advance`, `_get_state` and `_set_state`; all else is common.
    """

    def __init__(
        self,
        *,
        task: str,
        num_envs: int,
        observation_space: Box,
        action_space: Box,
        max_episode_steps: int,
        exact_state: bool,
        has_constraint: bool,
        training_reward_scale: float = 1.0,
        effective_action_space: Box | None = None,
        proximity: tuple[int, ...] = (),
        velocity: tuple[int, ...] = (),
        render_mode: str | None = None,
        render_fps: int = 30,
    ) -> None:
        require_positive(num_envs=num_envs, max_episode_steps=max_episode_steps)
        self.task = task
        self.num_envs = num_envs
        # Narrower than in Gymnasium: both are vectors.
        self.single_observation_space: Box = observation_space  # pyright: ignore[reportIncompatibleVariableOverride]
        self.single_action_space: Box = action_space  # pyright: ignore[reportIncompatibleVariableOverride]
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.max_episode_steps = max_episode_steps
        self.exact_state = exact_state
        self.has_constraint = has_constraint
        self.training_reward_scale = training_reward_scale
        self.effective_action_space = action_space if effective_action_space is None else effective_action_space
        self.proximity = proximity
        self.velocity = velocity
        self.render_mode = render_mode
        self.metadata = {
            "autoreset_mode": AutoresetMode.SAME_STEP,
            "render_modes": ["rgb_array"],
            "render_fps": render_fps,
        }
        self.wrappers: tuple[str, ...] = ()
        self.identity = Identity(made="function", unrecorded={"env": "it was put together by hand"})
        self.ended = np.zeros(num_envs, bool)
        self.before_restart: Callable[[NDArray[np.bool_]], object] | None = None
        self.diverged = 0
        self._elapsed = np.zeros(num_envs, np.int64)
        self._started = False

    def looks(self) -> dict[str, Any]:
        """What a run's environment is recognised by, as JSON values."""
        return {
            "observations": _describe(self.single_observation_space),
            "actions": _describe(self.single_action_space),
            "max_episode_steps": self.max_episode_steps,
            "wrappers": list(self.wrappers),
            "constraint": self.has_constraint,
        }

    def action_span(self, span: str) -> Box:
        """What a policy's [−1, 1] spans: the whole action "space", or its "effective" part."""
        return self.effective_action_space if span == "effective" else self.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start a new episode in every world; world i draws from `seed + i`, or goes on with its own generator.

        options: what the task takes, for these episodes alone. Returns the observations [N, obs_dim] and an empty info.
        ValueError for a negative seed, or options that the task doesn't know.
        """
        if seed is not None and seed < 0:
            raise ValueError(f"seed is {seed}; it must be 0 or more")
        seeds = None if seed is None else range(seed, seed + self.num_envs)
        obs = self._start_episodes(np.arange(self.num_envs), seeds, options)
        self._elapsed[:] = 0
        self._started = True
        return obs, {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Advance every world by one action of its own, in the units of the action space.

        actions: [N, act_dim]. Returns obs [N, obs_dim] (of a finished world: the first of its next episode), reward,
        terminated and truncated [N], and infos with the dense arrays `cost` [N], `constraint` [N] (signed h of the
        state reached, safe iff <= 0) and `next_obs` [N, obs_dim], the true successor of every world. When a world is
        done, also Gymnasium's `final_obs`, `final_info` and their masks `_final_obs`, `_final_info`.

        ValueError for actions of another shape or not finite, ResetNeeded before the first `reset`.
        """
        if not self._started:
            raise ResetNeeded("call reset() before step()")
        outcome = self._advance(self._checked(actions))
        self._elapsed += 1
        self._require_finite(outcome)
        truncated = outcome.truncated | (self._elapsed >= self.max_episode_steps)
        infos: dict[str, Any] = {
            **outcome.info,
            "cost": outcome.cost,
            "constraint": outcome.constraint,
            "next_obs": outcome.next_obs,
        }
        done = outcome.terminated | truncated
        obs = outcome.next_obs.copy()
        if done.any():
            if self.before_restart is not None:
                self.ended = done
                self.before_restart(done)
                self.ended = np.zeros_like(done)
            obs[done] = self._start_episodes(np.flatnonzero(done), None, None)
            self._elapsed[done] = 0
            final_info = dict(infos)
            infos |= {"final_obs": outcome.next_obs, "_final_obs": done}
            infos |= {"final_info": final_info, "_final_info": done}
        return obs, outcome.reward, outcome.terminated, truncated, infos

    def get_state(self) -> State:
        """Everything that decides the future of the worlds, as a flat dict of arrays with a leading axis N.

        The states of the generators are among it. ResetNeeded before the first `reset`.
        """
        if not self._started:
            raise ResetNeeded("call reset() before get_state()")
        return {"elapsed": self._elapsed.copy(), **self._get_state()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Put the worlds where `get_state` found them, and return the observations [N, obs_dim] they stand at.

        With `exact_state` the worlds go on to the same bits; without, each starts a fresh episode whose seed follows
        from the state. ValueError when the state is not one of this task with as many worlds.
        """
        check_like(state, {"elapsed": self._elapsed, **self._get_state()})
        self._elapsed = np.array(state["elapsed"])
        self._started = True
        return self._set_state(state)

    @abstractmethod
    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """World 0 as one frame [height, width, 3], or None without a render_mode."""

    @abstractmethod
    def _start_episodes(
        self, worlds: NDArray[np.intp], seeds: Sequence[int] | None, options: Mapping[str, Any] | None
    ) -> NDArray[np.float64]:
        """Start episodes in these worlds and return their observations; seeds and options come only for all at once."""

    @abstractmethod
    def _advance(self, actions: NDArray[np.float64]) -> Outcome:
        """Step all worlds with checked actions [N, act_dim], resetting none."""

    @abstractmethod
    def _get_state(self) -> State:
        """The state beyond the step counters; its shapes must be known before the first reset."""

    @abstractmethod
    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Take over a state whose names, shapes and types were checked; return the observations."""

    def _require_finite(self, outcome: Outcome) -> None:
        """EnvironmentFault naming world, step and field of the first number that isn't one."""
        fields = {"reward": outcome.reward, "cost": outcome.cost, "observation": outcome.next_obs}
        if self.has_constraint:
            fields["constraint"] = outcome.constraint
        for field, values in fields.items():
            if not np.isfinite(values).all():
                at = tuple(np.argwhere(~np.isfinite(values))[0].tolist())
                step = self._elapsed[at[0]]
                raise EnvironmentFault(f"world {at[0]}, step {step}: {field} is {values[at]}; it must be finite")

    def _checked(self, actions: NDArray[Any]) -> NDArray[np.float64]:
        checked = np.asarray(actions, np.float64)
        if checked.shape != self.action_space.shape:
            raise ValueError(
                f"actions have shape {checked.shape}; {self.num_envs} worlds of {self.task} take "
                f"{self.action_space.shape}"
            )
        if not np.isfinite(checked).all():
            world = int(np.flatnonzero(~np.isfinite(checked).all(axis=1))[0])
            raise ValueError(f"the action of world {world} is {checked[world].tolist()}; every entry must be finite")
        return checked


def _describe(space: Box) -> str:
    """Size, range and a digest of all bounds, in double precision."""
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    digest = hashlib.sha256(low.tobytes() + high.tobytes()).hexdigest()[:8]
    return f"{space.shape[0]} in [{low.min():g}, {high.max():g}] ({digest})"


def require_positive(**numbers: int) -> None:
    """Raise ValueError naming the first of these numbers that is below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is {number}; it must be at least 1")


def check_like(state: Mapping[str, NDArray[Any]], template: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError unless `state` has the names, shapes and types of `template`."""
    wrong = sorted(state.keys() ^ template.keys())
    if wrong:
        raise ValueError(f"the environment state lacks or should not have {wrong}; it is of another task or version")
    for name, expected in template.items():
        given = np.asarray(state[name])
        if given.shape != expected.shape or given.dtype != expected.dtype:
            raise ValueError(
                f"the environment state has {name} of shape {given.shape} and type {given.dtype}; "
                f"{expected.shape} and {expected.dtype} are needed: restore it into the same task with as many worlds"
            )


def new_generator(seed: int | None) -> np.random.Generator:
    """The generator that Gymnasium gives an environment reset with this seed."""
    return seeding.np_random(seed)[0]


_WORD = (1 << 64) - 1


def pack_generators(generators: Sequence[np.random.Generator]) -> NDArray[np.uint64]:
    """The states of PCG64 generators as [N, 6]: state and increment, high word first, then the spare half word."""
    rows = []
    for generator in generators:
        whole = generator.bit_generator.state
        state, inc = whole["state"]["state"], whole["state"]["inc"]
        rows.append([state >> 64, state & _WORD, inc >> 64, inc & _WORD, whole["has_uint32"], whole["uinteger"]])
    return np.array(rows, np.uint64)


def unpack_generators(packed: NDArray[np.uint64]) -> list[np.random.Generator]:
    """The generators whose states `pack_generators` stored."""
    generators = []
    for row in packed.tolist():
        bits = np.random.PCG64()
        bits.state = {
            "bit_generator": "PCG64",
            "state": {"state": row[0] << 64 | row[1], "inc": row[2] << 64 | row[3]},
            "has_uint32": row[4],
            "uinteger": row[5],
        }
        generators.append(np.random.Generator(bits))
    return generators
