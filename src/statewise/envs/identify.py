"""How a foreign environment was made, read off its spec, and environments made from such a record."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from statewise.envs.wrappers import ONLY_WATCH, time_limit
from statewise.identity import Identity, import_name, written
from statewise.modules import find_function, import_module_of, require_imported

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from statewise.envs.checked import Constraint
    from statewise.envs.vector import SafeVectorEnv

    AnyEnv = gymnasium.Env[Any, Any]

_PLAIN = (bool, int, float, str, type(None), tuple, list, np.ndarray, np.number)


def identify_id(
    vector: SafeVectorEnv, kwargs: Mapping[str, Any], max_episode_steps: int | None, constraint: Constraint | None
) -> Identity:
    """The identity of a vector that was made from an id, these keyword arguments and this horizon."""
    reasons = [reason for name, value in kwargs.items() if (reason := written(f"{name} of env_kwargs", value))]
    identity = Identity(kwargs={} if reasons else dict(kwargs), max_episode_steps=max_episode_steps)
    return _completed(identity, ", ".join(reasons), vector, constraint)


def identify(
    worlds: Sequence[AnyEnv], vector: SafeVectorEnv, max_episode_steps: int | None, constraint: Constraint | None
) -> Identity:
    """The identity of a vector of environments that a function or a spec made; max_episode_steps: if it was given."""
    recipes = [_recipe(env) for env in worlds]
    kwargs, wrappers, reason = recipes[0]
    spec = spec_of(worlds[0])
    if not reason and any(recipe != recipes[0] for recipe in recipes):
        reason = "a function that makes different ones"
    if not reason and spec is not None:
        reason = ", ".join(f"{name}, which was set afterwards" for name in settings_beside_spec(worlds, spec))
    if reason:
        return _completed(Identity(made="function"), reason, vector, constraint)
    limits = [limit for limit in (time_limit(worlds[0]), max_episode_steps) if limit is not None]
    identity = Identity("spec", kwargs, min(limits, default=None), wrappers)
    return _completed(identity, "", vector, constraint)


def _completed(identity: Identity, reason: str, vector: SafeVectorEnv, constraint: Constraint | None) -> Identity:
    """With the constraint, with what can't be recorded, and with how the vector looks."""
    name = None if constraint is None else import_name(constraint)
    unrecorded = {"env": reason} if reason else {}
    if constraint is not None and name is None:
        unrecorded["constraint"] = "a function without a name to import it by"
    return replace(identity, constraint=name, unrecorded=unrecorded, looks=vector.looks())


def spec_of(env: AnyEnv) -> EnvSpec | None:
    """What `gymnasium.make` needs to make it again, with the time limit that comes first; None where it has none."""
    spec = env.spec
    if spec is None:
        return None
    spec = copy.deepcopy(spec)
    spec.max_episode_steps = time_limit(env)
    return spec


def make_env(spec: EnvSpec, render_mode: str | None = None) -> AnyEnv:
    """A new environment of a spec."""
    options: dict[str, Any] = {} if render_mode is None else {"render_mode": render_mode}
    return gymnasium.make(cast("Any", spec), **options)


def make_spec(name: str, identity: Identity) -> EnvSpec:
    """The spec of a recorded environment, whose id is registered under `name`."""
    spec = copy.deepcopy(gymnasium.spec(name))
    spec.kwargs = {**spec.kwargs, **identity.kwargs}
    spec.max_episode_steps = identity.max_episode_steps
    for wrapper in identity.wrappers:
        entry_point = str(wrapper["entry_point"])
        if entry_point.startswith("gymnasium.wrappers."):
            import_module_of(entry_point, "wrappers")
        require_imported(entry_point, "wrappers")
        kind = find_function(entry_point, "wrappers")
        if not (isinstance(kind, type) and issubclass(kind, gymnasium.Wrapper)) or kind in ONLY_WATCH:
            raise ValueError(f"wrappers: {entry_point!r} is not allowed; it must be a gymnasium.Wrapper that acts")
        spec.additional_wrappers += (WrapperSpec(kind.__name__, entry_point, wrapper["kwargs"]),)
    return spec


def settings_beside_spec(envs: Sequence[AnyEnv], spec: EnvSpec) -> list[str]:
    """Attributes that were set on one of these after it was made, and that their spec therefore doesn't know.

    They are those of the environment within, plain values or arrays, that neither a reset nor a step changes.
    """
    fresh = make_env(spec)
    try:
        made = _settings(fresh)
        fresh.reset(seed=0)
        fresh.step(fresh.action_space.sample())
        kept = _settings(fresh)
    except Exception:  # what is wrong with it is told, better, where it is trained on
        return []
    finally:
        fresh.close()
    fixed = [name for name, value in made.items() if name in kept and _same(value, kept[name])]
    given = [_settings(env) for env in envs]
    return [name for name in fixed if any(name in own and not _same(made[name], own[name]) for own in given)]


def _recipe(env: AnyEnv) -> tuple[dict[str, Any], tuple[Mapping[str, Any], ...], str]:
    """Keyword arguments and wrappers of an environment, and what of them can't be written down, if anything."""
    spec = spec_of(env)
    if spec is None:
        return {}, (), "a function made it"
    if spec.id not in gymnasium.registry:
        return {}, (), f"{spec.id} isn't registered"
    registered = gymnasium.registry[spec.id].kwargs
    kwargs = {
        name: value
        for name, value in spec.kwargs.items()
        if name != "render_mode" and not (name in registered and _same(registered[name], value))
    }
    reasons = [written(name, value) for name, value in kwargs.items()]
    watching = {f"{kind.__module__}:{kind.__name__}" for kind in ONLY_WATCH}
    acting = [wrapper for wrapper in spec.additional_wrappers if wrapper.entry_point not in watching]
    wrappers = [_wrapper(wrapper, reasons) for wrapper in acting]
    return kwargs, tuple(wrappers), ", ".join(reason for reason in reasons if reason)


def _wrapper(wrapper: WrapperSpec, reasons: list[str | None]) -> Mapping[str, Any]:
    """One wrapper for the record; why it can't be recorded is added to `reasons`."""
    kwargs = wrapper.kwargs
    if kwargs is None:
        reasons.append(f"{wrapper.name}, which isn't a gymnasium.utils.RecordConstructorArgs")
    elif wrapper.entry_point.startswith("__main__:") or "<" in wrapper.entry_point:
        reasons.append(f"{wrapper.name}, which another process can't import")
    else:
        reasons += [written(f"{name} of {wrapper.name}", value) for name, value in kwargs.items()]
    return {"entry_point": wrapper.entry_point, "kwargs": kwargs}


def _settings(env: AnyEnv) -> dict[str, Any]:
    own = vars(env.unwrapped).items()
    return {name: copy.copy(value) for name, value in own if isinstance(value, _PLAIN) and name != "render_mode"}


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    try:
        return bool(np.array_equal(one, other))
    except (TypeError, ValueError):
        return False
