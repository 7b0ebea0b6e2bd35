"""One way to make a vector environment out of an id, an environment, or a function that builds one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, cast

import gymnasium

from statewise.envs.adapters import GymnasiumVector
from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.envs.registration import TASKS, register_environments
from statewise.envs.vector import require_positive
from statewise.modules import import_module_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from statewise.envs.checked import Constraint
    from statewise.envs.vector import SafeVectorEnv

    AnyEnv = gymnasium.Env[Any, Any]


def make_vector(
    env: str | AnyEnv | Callable[[], AnyEnv],
    num_envs: int,
    *,
    threads: int = 1,
    constraint: Constraint | None = None,
    render_mode: str | None = None,
    render_options: Mapping[str, Any] | None = None,
) -> SafeVectorEnv:
    """Make `num_envs` worlds of one task.

    env: the id of a native task (see `TASKS`), any other Gymnasium id (also `module:Id-v0`), an environment, or a
    function that builds one. An environment itself becomes world 0; further worlds are made from its spec.
    threads: worker threads of the native tasks. constraint: h(obs, action, next_obs), positive where next_obs is
    unsafe, for environments without a cost of their own. render_options: what pictures of the navigation tasks show,
    any of camera ("track" or "top"), show_lidar and show_cost.

    ValueError, saying what to do, for an unknown id, a number below 1, or an environment that cannot be trained on.
    """
    require_positive(num_envs=num_envs, threads=threads)
    if isinstance(env, str):
        rendering = {"render_mode": render_mode, **(render_options or {})}
        return _vector_of_id(env, num_envs, threads, constraint, rendering)
    if render_mode is not None or render_options:
        raise ValueError(f"render_mode is {render_mode!r}; set it where the environment is built, not here")
    if isinstance(env, gymnasium.Env):
        worlds = [env, *_clones(env, num_envs - 1)]
    else:
        worlds = [_build(env) for _ in range(num_envs)]
    return GymnasiumVector(worlds, task=_name(worlds[0]), constraint=constraint, render_mode=worlds[0].render_mode)


def _vector_of_id(
    env_id: str, num_envs: int, threads: int, constraint: Constraint | None, rendering: Mapping[str, Any]
) -> SafeVectorEnv:
    """Worlds of a registered id; `task` keeps a module in front of it, so that another process finds it again."""
    name, task = _known_id(env_id), env_id.removeprefix("statewise.envs:")
    if len(rendering) > 1 and name not in NAVIGATION_TASKS:
        wanted = ", ".join(option for option in rendering if option != "render_mode")
        raise ValueError(f"{wanted}: only the navigation tasks can draw that, {name} can't; leave it out")
    if name not in TASKS:
        worlds = [_make(name, rendering["render_mode"]) for _ in range(num_envs)]
        return GymnasiumVector(worlds, task=task, constraint=constraint, render_mode=rendering["render_mode"])
    if constraint is not None:
        raise ValueError(
            f"{name} has a constraint of its own; leave `constraint` out, or replace it by giving the function "
            f"`lambda: gymnasium.make({name!r})` in place of the id"
        )
    made = gymnasium.make_vec(name, num_envs, "vector_entry_point", threads=threads, **rendering)
    native = cast("SafeVectorEnv", made)
    native.task = task
    return native


def _known_id(env_id: str) -> str:
    """The id as it stands in Gymnasium's registry, after importing the module in front of it."""
    import_module_of(env_id, "env")
    name = env_id.rpartition(":")[2]
    register_environments()
    if name not in gymnasium.registry:
        close = difflib.get_close_matches(name, gymnasium.registry, n=3) or list(TASKS)
        raise ValueError(
            f"env is {env_id!r}, which is not a registered environment; did you mean {', '.join(close)}? "
            "(An environment of your own is registered by importing its module: write module:Id-v0.)"
        )
    return name


def _make(env_id: str, render_mode: str | None) -> AnyEnv:
    # The passive checker only repeats, slower, what CheckedEnv tests.
    options: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    return _build(lambda: gymnasium.make(env_id, disable_env_checker=True, **options))


def _clones(env: AnyEnv, count: int) -> list[AnyEnv]:
    spec = env.spec
    if count and spec is None:
        raise ValueError(
            f"num_envs is {count + 1}, but {env} has no spec to make more of it from; give a function that builds one"
        )
    return [_build(lambda: gymnasium.make(cast("Any", spec))) for _ in range(count)]


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
