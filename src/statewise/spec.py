"""What a run folder's config.json says: the version, the method, the task, every field of the configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from statewise import __version__
from statewise.config import DEFAULT_PRESET, RunConfig, preset_fields
from statewise.errors import RunError
from statewise.methods import find_method, full_name, method_in_file


def make_config(method: str, preset: str = DEFAULT_PRESET, **fields: Any) -> RunConfig:
    """A method's configuration: Table I's defaults, changed by a preset, changed by `fields`.

    Raises ValueError for an unknown method, preset or field, or a value outside its range.
    """
    config = find_method(method).config
    return config.from_dict({**preset_fields(preset, config), **fields})


@dataclass(frozen=True)
class RunSpec:
    """A run: its task, its configuration (which knows its method) and, for plain tasks, its constraint function.

    `constraint` is "module:function" or None; a function without a name to import it by can't be recorded.
    """

    task: str
    config: RunConfig
    constraint: str | None = None

    def to_json(self) -> str:
        """The text of config.json."""
        content = {
            "statewise": __version__,
            "method": full_name(self.config.method),
            "task": self.task,
            "constraint": self.constraint,
            "config": self.config.to_dict(),
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """The spec in a config.json; RunError where it is damaged or holds an unknown key or a bad value.

        A method from outside the package is found where its module is imported already.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            keys = {"statewise", "method", "task", "constraint", "config"}
            if not isinstance(content, dict) or content.keys() != keys:
                raise ValueError(f"its keys must be {', '.join(sorted(keys))}")
            if not isinstance(content["task"], str) or not isinstance(content["config"], dict):
                raise ValueError("task must be a name and config a table of fields")
            if not content["task"].isprintable():
                raise ValueError(f"task: {content['task']!r} is not allowed; it must be a name that can be printed")
            if not isinstance(content["constraint"], str | None):
                raise ValueError("constraint must be module:function or null")
            config = method_in_file(content["method"]).config.from_dict(content["config"])
            return cls(content["task"], config, content["constraint"])
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{path}: can't be used: {error}") from error


def run_labels(specs: Sequence[RunSpec]) -> list[str]:
    """A readable name for each run among these: its method, with the fields that set it apart from others of it.

    Runs that differ in their seeds alone have one label. A field is named where runs of one method have different
    values of it, unless the value is that of `standard`; all together are "paper" where they are Table I's.
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
        labels.append(f"{method} ({', '.join(named)})" if named else method)
    return labels


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "×".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
