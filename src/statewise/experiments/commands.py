"""The command that trains a run again."""

from __future__ import annotations

import json
import shlex
from typing import Any

from statewise.methods import full_name
from statewise.spec import RunSpec, make_config


def train_command(spec: RunSpec) -> str:
    """`statewise train` with everything that the run's results depend on.

    Fields are named where they differ from `standard`, or from `paper` where fewer do. Wrappers, and whatever of an
    environment can't be recorded, have no flag.
    """
    fields = spec.config.identity()
    apart = {
        preset: {name: value for name, value in fields.items() if value != usual[name]}
        for preset in ("standard", "paper")
        for usual in [make_config(spec.config.method, preset).identity()]
    }
    preset = min(apart, key=lambda name: len(apart[name]))
    method = full_name(spec.config.method)
    words = ["statewise", "train", method, spec.task, "--preset", preset, "--seed", str(spec.config.seed)]
    words += [word for name, value in apart[preset].items() for word in _flag(name, value)]
    return shlex.join(words + _environment(spec))


def _environment(spec: RunSpec) -> list[str]:
    made = spec.environment
    if made is None:
        return []
    words = ["--env-kwargs", json.dumps(dict(made.kwargs))] if made.kwargs else []
    words += [] if made.max_episode_steps is None else ["--max-episode-steps", str(made.max_episode_steps)]
    return words + ([] if made.constraint is None else ["--constraint", made.constraint])


def _flag(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    return [flag, *map(str, value if isinstance(value, list) else [value])]
