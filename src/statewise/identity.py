"""Which environment a run was made in: how to make it again, and what it looks like from outside."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from statewise.errors import RunError


@dataclass(frozen=True)
class Identity:
    """An environment as JSON values, without its id, which is the name of the task.

    made: by what: its "id", a "spec" of `gymnasium.make`, or a "function". kwargs: the keyword arguments of its
    constructor. max_episode_steps: the horizon, where it isn't the id's own. wrappers: `{"entry_point", "kwargs"}` of
    each, the innermost first. constraint: "module:function" of h. unrecorded: why "env" or "constraint" can't be had
    from this alone, in words. looks: what is compared wherever the run's environment is made.
    """

    made: str = "id"
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    max_episode_steps: int | None = None
    wrappers: tuple[Mapping[str, Any], ...] = ()
    constraint: str | None = None
    unrecorded: Mapping[str, str] = field(default_factory=dict)
    looks: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`."""
        return {**asdict(self), "wrappers": list(self.wrappers)}

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """From what a file holds; ValueError where that isn't an identity."""
        names = [each.name for each in fields(cls)]
        if not isinstance(content, dict) or content.keys() != set(names):
            raise ValueError(f"environment: it must be a table of {', '.join(names)}")
        for name, kind in _KINDS.items():
            if not isinstance(content[name], kind):
                raise ValueError(f"environment: {name} is {content[name]!r}, which is not allowed")
        if content["made"] not in ("id", "spec", "function"):
            raise ValueError(f"environment: made is {content['made']!r}; it must be id, spec or function")
        for wrapper in content["wrappers"]:
            if not (isinstance(wrapper, dict) and {name: type(value) for name, value in wrapper.items()} == _WRAPPER):
                raise ValueError(f"environment: wrappers has {wrapper!r}; it must be a table of entry_point and kwargs")
        return cls(**{**content, "wrappers": tuple(content["wrappers"])})

    @property
    def recipe(self) -> dict[str, Any]:
        """What it is made of, but for where it looks and what is unknown; empty where the id says it all."""
        parts = {"made": self.made, "kwargs": dict(self.kwargs), "max_episode_steps": self.max_episode_steps}
        parts |= {"wrappers": list(self.wrappers), "constraint": self.constraint}
        usual = {"made": "id", "kwargs": {}, "max_episode_steps": None, "wrappers": [], "constraint": None}
        return {name: value for name, value in parts.items() if value != usual[name]}

    def with_constraint(self, name: str) -> Self:
        """The same with a constraint function that "module:function" names."""
        unrecorded = {key: reason for key, reason in self.unrecorded.items() if key != "constraint"}
        return replace(self, constraint=name, unrecorded=unrecorded)

    def require_like(self, other: Identity, run: str, *, looks_only: bool = False) -> None:
        """Raise RunError naming the first thing in which `other` differs from this, the environment of `run`.

        Without looks, as in files of before they were recorded, nothing can be compared.
        """
        if not self.looks:
            return
        pairs = {name: (value, other.looks.get(name)) for name, value in self.looks.items()}
        if not (looks_only or self.unrecorded or other.unrecorded):
            names = ("kwargs", "wrappers", "constraint")
            pairs |= {name: (getattr(self, name), getattr(other, name)) for name in names}
        for name, (ours, theirs) in pairs.items():
            if ours != theirs:
                raise RunError(f"env: {name}: {theirs} here, but {ours} in {run}; pass the run's own")


_WRAPPER = {"entry_point": str, "kwargs": dict}
_KINDS: dict[str, Any] = {
    "made": str,
    "kwargs": dict,
    "max_episode_steps": int | None,
    "wrappers": list,
    "constraint": str | None,
    "unrecorded": dict,
    "looks": dict,
}


def written(name: str, value: Any) -> str | None:
    """Why JSON can't give this value back as it is, or None where it can."""
    try:
        same = json.loads(json.dumps(value)) == value
    except (TypeError, ValueError):
        same = False
    return None if same else f"{name}, a {type(value).__name__} that JSON can't hold"


def import_name(function: Any) -> str | None:
    """The "module:name" under which another process can import a function or class, or None."""
    module, name = (getattr(function, attribute, None) for attribute in ("__module__", "__qualname__"))
    if module is None or name is None or module == "__main__":
        return None
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None
