"""What a run folder's config.json says: the version, the method, the task, every field of the configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statewise import __version__
from statewise.config import DEFAULT_PRESET, RunConfig, preset_fields
from statewise.errors import RunError
from statewise.identity import Identity
from statewise.methods import find_method, full_name, method_in_file


def make_config(method: str, preset: str = DEFAULT_PRESET, **fields: Any) -> RunConfig:
    """A method's configuration: Table I's defaults, changed by a preset, changed by `fields`.

    Raises ValueError for an unknown method, preset or field, or a value outside its range.
    """
    config = find_method(method).config
    return config.from_dict({**preset_fields(preset, config), **fields})


@dataclass(frozen=True)
class RunSpec:
    """A run: its task, its configuration (which knows its method), and how its environment was made.

    environment: None where config.json is of before that was recorded, so that only the task's id and the constraint's
    name are known.
    """

    task: str
    config: RunConfig
    environment: Identity | None = None

    @property
    def constraint(self) -> str | None:
        """The constraint function's "module:function", where it has one."""
        return None if self.environment is None else self.environment.constraint

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules from outside that its names are of, each once, which another process has to import for it."""
        wrappers = () if self.environment is None else self.environment.wrappers
        own = (w["entry_point"] for w in wrappers if not w["entry_point"].startswith("gymnasium."))
        names = (full_name(self.config.method), self.task, self.constraint or "", *own)
        return tuple(dict.fromkeys(name.rpartition(":")[0] for name in names if ":" in name))

    def digest(self) -> str:
        """Eight hexadecimal digits that name what this run computes, the seed left out."""
        recipe = {} if self.environment is None else self.environment.recipe
        if not recipe or "env" in (self.environment.unrecorded if self.environment else {}):
            return self.config.digest()
        text = json.dumps([self.config.digest(), recipe], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def to_json(self) -> str:
        """The text of config.json."""
        content = {
            "statewise": __version__,
            "method": full_name(self.config.method),
            "task": self.task,
            "environment": None if self.environment is None else self.environment.to_dict(),
            "config": self.config.to_dict(),
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """The spec in a config.json; RunError where it is damaged or holds an unknown key or a bad value.

        A method from outside the package is found where its module is imported already.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{path}: can't be used: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> RunSpec:
        """The inverse of `to_json`; ValueError, TypeError or RecursionError for any other text."""
        content = json.loads(text)
        keys = {"statewise", "method", "task", "environment", "config"}
        if not isinstance(content, dict) or content.keys() not in (keys, keys - {"environment"} | {"constraint"}):
            raise ValueError(f"its keys must be {', '.join(sorted(keys))}")
        if not isinstance(content["task"], str) or not isinstance(content["config"], dict):
            raise ValueError("task must be a name and config a table of fields")
        if not content["task"].isprintable():
            raise ValueError(f"task: {content['task']!r} is not allowed; it must be a name that can be printed")
        if not isinstance(content.get("constraint"), str | None):
            raise ValueError("constraint must be module:function or null")
        config = method_in_file(content["method"]).config.from_dict(content["config"])
        return cls(content["task"], config, _environment(content))

    def require_same(self, path: Path, found: RunSpec, checkpoint: Path) -> None:
        """RunError where this, read from config.json at `path`, isn't what a checkpoint was written with."""
        pairs = {"method": (self.config.method, found.config.method), "task": (self.task, found.task)}
        mine, others = self.config.to_dict(), found.config.to_dict()
        pairs |= {name: (mine.get(name), others.get(name)) for name in mine | others}
        differing = [f"{name} ({one!r}, not {other!r})" for name, (one, other) in pairs.items() if one != other]
        if differing:
            raise RunError(
                f"{path} has other values than {checkpoint} was written with: {', '.join(differing)};"
                " put the one back as it was, or start a run of its own"
            )


def _environment(content: Mapping[str, Any]) -> Identity | None:
    """What a config.json says of the environment; one of before that was recorded has its constraint alone."""
    if content.get("environment") is not None:
        return Identity.from_dict(content["environment"])
    constraint = content.get("constraint")
    return None if constraint is None else Identity(constraint=str(constraint))


def run_labels(specs: Sequence[RunSpec]) -> list[str]:
    """A readable name for each run among these: its method, with the fields that set it apart from others of it.

    Runs that differ in their seeds alone have one label. A field is named where runs of one method have different
    values of it, unless the value is that of `standard`; all together are "paper" where they are Table I's. What sets
    the environments of one task apart is named too.
    """
    labels = []
    for spec in specs:
        method, fields = spec.config.method, spec.config.identity()
        usual = make_config(method).identity()
        others = [other.config.identity() for other in specs if other.config.method == method]
        apart = [name for name, value in fields.items() if any(other[name] != value for other in others)]
        named = [f"{name}={_plain(fields[name])}" for name in apart if fields[name] != usual[name]]
        if len(named) > 1 and fields == make_config(method, "paper").identity():
            named = ["paper"]
        named += _of_environment(spec, [other for other in specs if other.task == spec.task])
        labels.append(f"{method} ({', '.join(named)})" if named else method)
    return labels


def _of_environment(spec: RunSpec, others: Sequence[RunSpec]) -> list[str]:
    """What of a run's environment isn't so in all of the others, which are of the same task."""
    own, *rest = (_said_of_environment(each) for each in (spec, *others))
    return [said for said in own if any(said not in other for other in rest)]


def _said_of_environment(spec: RunSpec) -> list[str]:
    identity = spec.environment or Identity()
    horizon, constraint = identity.max_episode_steps, identity.constraint
    return [
        *(f"{name}={_plain(value)}" for name, value in identity.kwargs.items()),
        *([] if horizon is None else [f"max_episode_steps={horizon}"]),
        *(str(wrapper["entry_point"]).rpartition(":")[2] for wrapper in identity.wrappers),
        *([] if constraint is None else [f"constraint={constraint}"]),
    ]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
