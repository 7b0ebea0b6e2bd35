"""One way to make a vector environment out of an id, an environment, or a function that builds one."""

from __future__ import annotations

import difflib
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import gymnasium
from gymnasium.envs.registration import EnvSpec

from statewise.envs.adapters import GymnasiumVector
from statewise.envs.identify import identify, identify_id, make_env, make_spec, settings_beside_spec, spec_of
from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.envs.registration import TASKS, register_environments
from statewise.envs.vector import require_positive
from statewise.modules import import_module_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from statewise.envs.checked import Constraint
    from statewise.envs.vector import SafeVectorEnv
    from statewise.identity import Identity

    AnyEnv = gymnasium.Env[Any, Any]

_OF_NAVIGATION = {"camera", "show_lidar", "show_cost"}


def make_vector(
    env: str | AnyEnv | EnvSpec | Callable[[], AnyEnv],
    num_envs: int,
    *,
    threads: int = 1,
    env_kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
    constraint: Constraint | None = None,
    render_mode: str | None = None,
    render_options: Mapping[str, Any] | None = None,
) -> SafeVectorEnv:
    """Make `num_envs` worlds of one task.

    env: the id of a native task (see `TASKS`), any other Gymnasium id (also `module:Id-v0`), an environment, its spec,
    or a function that builds one anew at every call. An environment itself becomes world 0; further worlds are made
    from its spec. threads: worker threads of the native tasks. env_kwargs: keyword arguments of an id's environment.
    max_episode_steps: the horizon, in place of the id's own; a function's own time limit can only be shortened.
    constraint: h(obs, action, next_obs), positive where next_obs is unsafe, for environments without a cost of their
    own. render_options: what pictures of native tasks show, any of size (width, height) and, of the navigation tasks,
    camera ("track" or "top"), show_lidar and show_cost.

    ValueError, saying what to do, for an unknown id, a number below 1, or an environment that cannot be trained on.
    """
    horizon = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
    require_positive(num_envs=num_envs, threads=threads, **horizon)
    if isinstance(env, str):
        rendering = {"render_mode": render_mode, **(render_options or {})}
        vector = _vector_of_id(env, num_envs, threads, constraint, {**(env_kwargs or {}), **horizon}, rendering)
        vector.identity = identify_id(vector, env_kwargs or {}, max_episode_steps, constraint)
        return vector
    if env_kwargs:
        raise ValueError(f"env_kwargs: {', '.join(env_kwargs)} is for an id; give it where the environment is made")
    if render_options:
        raise ValueError(
            f"{', '.join(render_options)}: only native tasks named by their id can draw that; leave it out"
        )
    worlds = _worlds(env, num_envs, render_mode)
    if render_mode is not None and worlds[0].render_mode != render_mode:
        raise ValueError(
            f"render_mode is {render_mode!r}, but that of the environment is {worlds[0].render_mode!r}; set it where "
            f"that is made, as in gymnasium.make(id, render_mode={render_mode!r})"
        )
    mode = worlds[0].render_mode
    vector = GymnasiumVector(worlds, task=_name(worlds[0]), constraint=constraint, render_mode=mode, **horizon)
    vector.identity = identify(worlds, vector, max_episode_steps, constraint)
    return vector


def _worlds(env: AnyEnv | EnvSpec | Callable[[], AnyEnv], count: int, render_mode: str | None) -> list[AnyEnv]:
    if isinstance(env, EnvSpec):
        return [_build(partial(make_env, env, render_mode)) for _ in range(count)]
    if not isinstance(env, gymnasium.Env):
        return [_build(env) for _ in range(count)]
    if count == 1:
        return [env]
    if env.spec is None:
        raise ValueError(
            f"num_envs is {count}, but {env} has no spec to make more of it from; give a function that builds one"
        )
    return [env, *_worlds(repeatable_spec(env), count - 1, None)]


def repeatable_spec(env: AnyEnv) -> EnvSpec:
    """The spec to make an environment from again; ValueError where what that gives isn't the same."""
    spec = spec_of(env)
    if spec is None:
        raise ValueError(
            f"env: {env} wasn't made by gymnasium.make, so it can't be made again for evaluation; "
            "pass a function that makes it, such as `lambda: MyEnv()`"
        )
    if apart := settings_beside_spec([env], spec):
        raise ValueError(
            f"env: {', '.join(apart)} of {spec.id} isn't as gymnasium.make sets it, and would be lost where it is made "
            "again; pass a function that makes the environment and sets it"
        )
    return spec


def _vector_of_id(
    env_id: str,
    num_envs: int,
    threads: int,
    constraint: Constraint | None,
    kwargs: Mapping[str, Any],
    rendering: Mapping[str, Any],
) -> SafeVectorEnv:
    """Worlds of a registered id; `task` keeps a module in front of it, so that another process finds it again."""
    name, task = known_id(env_id), env_id.removeprefix("statewise.envs:")
    able = set() if name not in TASKS else {"size", *(_OF_NAVIGATION if name in NAVIGATION_TASKS else ())}
    wanted = [option for option in rendering if option != "render_mode" and option not in able]
    if wanted:
        raise ValueError(
            f"{', '.join(wanted)}: only the {'navigation' if able else 'native'} tasks can draw that, {name} can't; "
            "leave it out"
        )
    taken = {"render_mode", "size", *_OF_NAVIGATION, "threads", "num_envs", "task"} & kwargs.keys()
    if name in TASKS and taken:
        raise ValueError(f"env_kwargs: {', '.join(sorted(taken))} is no property of the environment; leave it out")
    if name not in TASKS:
        mode = rendering["render_mode"]
        # The passive checker only repeats, slower, what CheckedEnv tests.
        options = {**kwargs, "disable_env_checker": True, **({} if mode is None else {"render_mode": mode})}
        worlds = [_build(lambda: gymnasium.make(name, **options)) for _ in range(num_envs)]
        return GymnasiumVector(worlds, task=task, constraint=constraint, render_mode=mode)
    if constraint is not None:
        raise ValueError(
            f"{name} has a constraint of its own; leave `constraint` out, or replace it by giving the function "
            f"`lambda: gymnasium.make({name!r})` in place of the id"
        )
    native = cast("SafeVectorEnv", _native(name, num_envs, threads, {**kwargs, **rendering}))
    native.task = task
    return native


def _native(name: str, num_envs: int, threads: int, options: Mapping[str, Any]) -> Any:
    try:
        return gymnasium.make_vec(name, num_envs, "vector_entry_point", threads=threads, **options)
    except TypeError as error:  # an argument that the constructor doesn't have
        raise ValueError(f"env_kwargs: {name} can't be made with {dict(options)}: {error}") from error


def known_id(env_id: str) -> str:
    """The id as it stands in Gymnasium's registry, after importing the module in front of it."""
    import_module_of(env_id, "env")
    name = env_id.rpartition(":")[2]
    register_environments()
    if name not in gymnasium.registry:
        close = difflib.get_close_matches(name, gymnasium.registry, n=3) or list(TASKS)
        raise ValueError(
            f"env is {env_id!r}, which is not a registered environment; did you mean {', '.join(close)}? "
            "(An environment of your own is registered by importing its module: do so, or write module:Id-v0.)"
        )
    return name


def recorded_env(task: str, identity: Identity) -> str | EnvSpec:
    """What `make_vector` makes a recorded environment of; ValueError where it can't be made from the record."""
    if identity.made == "id":
        return task
    return make_spec(known_id(task), identity)


def _build(function: Callable[[], AnyEnv]) -> AnyEnv:
    try:
        env = function()
    except (Exception, SystemExit) as error:
        raise ValueError(f"the environment could not be built: {type(error).__name__}: {error}") from error
    if not isinstance(env, gymnasium.Env):
        raise ValueError(f"the function returned {env!r}; it must return a gymnasium.Env")
    return env


def _name(env: AnyEnv) -> str:
    return env.spec.id if env.spec is not None else type(env.unwrapped).__name__
