"""How a run's environments are made: as the caller says, or as the run recorded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import gymnasium
from gymnasium.envs.registration import EnvSpec
from numpy.typing import NDArray

from statewise.envs import SafeVectorEnv, make_vector
from statewise.envs.factory import recorded_env, repeatable_spec
from statewise.envs.navigation.registry import has_crowd
from statewise.errors import RunError
from statewise.identity import Identity
from statewise.modules import find_function, import_module_of, require_imported

Constraint = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]
"""h(obs, action, next_obs), safe iff <= 0."""
Env = str | gymnasium.Env[Any, Any] | EnvSpec | Callable[[], gymnasium.Env[Any, Any]]


@dataclass(frozen=True)
class Making:
    """Makes the same environments again and again, as training and evaluation must not share one.

    env: an id, a spec, a function; None where the run's record says it. constraint: a function or its
    "module:function". run: its name, for messages. begun: whether anything was learned in what is recorded.
    """

    env: str | EnvSpec | Callable[[], gymnasium.Env[Any, Any]] | None
    env_kwargs: Mapping[str, Any] | None = None
    max_episode_steps: int | None = None
    constraint: Constraint | str | None = None
    task: str = ""
    recorded: Identity | None = None
    run: str = ""
    begun: bool = True

    @classmethod
    def anew(
        cls,
        env: Env,
        env_kwargs: Mapping[str, Any] | None = None,
        max_episode_steps: int | None = None,
        constraint: Constraint | str | None = None,
    ) -> Self:
        """For a new run; ValueError for an environment that can't be made again."""
        return cls(_repeatable(env), env_kwargs, max_episode_steps, constraint)

    @classmethod
    def again(
        cls, task: str, recorded: Identity | None, env: Env | None, constraint: Constraint | str | None, run: str
    ) -> Self:
        """For a run that there is: what the caller doesn't give, or gives by the task's own id, is as recorded."""
        given = None if env is None or env == task else _repeatable(env)
        return cls(given, constraint=constraint, task=task, recorded=recorded, run=run)

    def require_known(self) -> None:
        """Raise RunError naming what of the environment was neither recorded nor given."""
        given = {"env": self.env, "constraint": self.constraint}
        reasons = {} if self.recorded is None else self.recorded.unrecorded
        missing = [name for name in given if name in reasons and given[name] is None]
        if missing:
            why = ", ".join(f"{name} ({reasons[name]})" for name in missing)
            call = f"Agent.load({self.run!r}, {', '.join(f'{name}=…' for name in missing)})"
            raise RunError(f"{' and '.join(missing)}: {self.run} couldn't record its {why}; pass it in Python: {call}")

    def vector(self, num_envs: int, **options: Any) -> SafeVectorEnv:
        """So many of them; options as in `make_vector`. RunError or ValueError where they can't be made."""
        self.require_known()
        name, constraint = self._constraint()
        if self.env is None:
            env = self._from_record(num_envs, constraint, options)
        else:
            kwargs, horizon = self.env_kwargs, self.max_episode_steps
            env = make_vector(
                self.env, num_envs, env_kwargs=kwargs, max_episode_steps=horizon, constraint=constraint, **options
            )
        if name is not None:
            env.identity = env.identity.with_constraint(name)
        return env

    def probe(self) -> SafeVectorEnv:
        """One of them, or two where a function might give the same one twice."""
        return self.vector(1 if self.env is None or isinstance(self.env, str | EnvSpec) else 2)

    def denser(self, crowding: float) -> Self | None:
        """The same navigation task with `crowding` times as many hazards; None where there is none."""
        by_id = self.env if isinstance(self.env, str) else self.task if self._recorded_by_id() else ""
        if not has_crowd(by_id):
            return None
        if isinstance(self.env, str):
            return replace(self, env_kwargs=_more_crowded(self.env_kwargs or {}, crowding))
        recorded = self.recorded or Identity()
        return replace(self, recorded=replace(recorded, kwargs=_more_crowded(recorded.kwargs, crowding)))

    def _recorded_by_id(self) -> bool:
        return self.env is None and (self.recorded or Identity()).made == "id"

    def _constraint(self) -> tuple[str | None, Constraint | None]:
        """The constraint function, and its "module:function" if it has one; a file's name imports nothing."""
        if self.constraint is None:
            name = None if self.recorded is None else self.recorded.constraint
            if name is None:
                return None, None
            require_imported(name, "constraint")
        elif isinstance(self.constraint, str):
            name = self.constraint
            import_module_of(name, "constraint")
        else:
            return None, self.constraint
        return name, find_function(name, "constraint")

    def _from_record(self, num_envs: int, constraint: Constraint | None, options: Mapping[str, Any]) -> SafeVectorEnv:
        recorded = self.recorded or Identity()
        if self.begun and not recorded.looks:
            told = f"{self.run} is of before environments were recorded: taken to be {self.task} as its id makes it"
            warnings.warn(told, stacklevel=4)
        require_imported(self.task, "task")
        by_id = recorded.made == "id"
        return make_vector(
            recorded_env(self.task, recorded),
            num_envs,
            env_kwargs=recorded.kwargs if by_id else None,
            max_episode_steps=recorded.max_episode_steps if by_id else None,
            constraint=constraint,
            **options,
        )


def _repeatable(env: Env) -> str | EnvSpec | Callable[[], gymnasium.Env[Any, Any]]:
    return repeatable_spec(env) if isinstance(env, gymnasium.Env) else env


def _more_crowded(kwargs: Mapping[str, Any], crowding: float) -> dict[str, Any]:
    return {**kwargs, "crowding": crowding * kwargs.get("crowding", 1.0)}
