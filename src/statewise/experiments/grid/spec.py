"""What a grid runs: methods and labels on tasks with seeds, read strictly from TOML, and the grids that have names."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from statewise.config import DEFAULT_PRESET, Preset, RunConfig
from statewise.config.run import check
from statewise.methods import find_method
from statewise.spec import make_config

Fields = Mapping[str, Any]
Order = Literal["seed", "task"]

RESERVED = {"seed": "name seeds in `seeds`", "threads": "the grid sets it to the cores of a run"}
"""Fields of a configuration that a grid sets itself, and what to do instead."""


class Arm(NamedTuple):
    """One line of a comparison: its label, its method, and the fields that set it apart."""

    label: str
    method: str
    fields: Fields


@dataclass(frozen=True, kw_only=True)
class GridSpec:
    """Every method and every label on every task with every seed.

    A run's configuration is that of its preset, changed by `fields` (those that the method has), by the method's
    `overrides` and by the label's own fields, the last one first. ValueError for anything that can't be run.
    """

    tasks: tuple[str, ...]
    """Ids of tasks, as `statewise train` takes them."""
    methods: tuple[str, ...] = ()
    """Methods with the preset's configuration; each is its own label."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """One run each."""
    preset: Preset = DEFAULT_PRESET
    """Defaults of all fields."""
    fields: Fields = field(default_factory=dict)
    """Fields for every method that has them, such as total_steps."""
    overrides: Mapping[str, Fields] = field(default_factory=dict)
    """Fields by method, such as another budget for on-policy methods."""
    labels: Mapping[str, Fields] = field(default_factory=dict)
    """Further lines of the comparison: a label, its `method`, and the fields that set it apart."""
    order: Order = "seed"
    """What is brought to its end first: every task with the first `seed`, or every seed of the first `task`."""

    def __post_init__(self) -> None:
        for name in ("tasks", "methods"):
            _check_list(name, getattr(self, name), str, "names")
        _check_list("seeds", self.seeds, int, "whole numbers")
        check("preset", self.preset, Preset)
        check("order", self.order, Order)
        _check_table("fields", self.fields)
        for name in ("overrides", "labels"):
            _check_table(name, getattr(self, name))
            for key, fields in getattr(self, name).items():
                _check_table(f"{name}.{key}", fields)
        if not self.tasks or not self.seeds or not (self.methods or self.labels):
            raise ValueError("grid: name at least one of `tasks`, of `seeds`, and of `methods` or `labels`")
        arms = self.arms()
        _check_known("overrides", self.overrides, {arm.method for arm in arms})
        known = {f.name for arm in arms for f in dataclasses.fields(find_method(arm.method).config)}
        _check_known("fields", self.fields, known)
        for arm in arms:
            self.config(arm, self.seeds[0], cores=1)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """From what a TOML file holds; an unknown key raises ValueError with the nearest known one."""
        known = [f.name for f in dataclasses.fields(cls)]
        _check_known("grid", values, known)
        if "tasks" not in values:
            raise ValueError("tasks: is missing; name at least one task")
        given: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**given)

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a TOML file; ValueError naming the file and what is wrong in it."""
        try:
            return cls.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ValueError(f"{path}: can't be read: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The inverse of `from_dict`, as JSON values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    def replace(self, **changes: Any) -> Self:
        """A copy with some keys changed, checked again."""
        return dataclasses.replace(self, **changes)

    def arms(self) -> list[Arm]:
        """The lines of the comparison: methods, then labels."""
        arms = [Arm(name, name, {}) for name in self.methods]
        for label, fields in self.labels.items():
            if not isinstance(fields.get("method"), str):
                raise ValueError(f"labels.{label}: says no `method`, such as method = 'sac-alam'")
            if label in self.methods:
                raise ValueError(f"labels.{label}: is the name of a method in `methods`; choose another label")
            arms.append(Arm(label, fields["method"], {k: v for k, v in fields.items() if k != "method"}))
        return arms

    def config(self, arm: Arm, seed: int, cores: int) -> RunConfig:
        """The configuration of one run, on as many threads as it has cores."""
        known = {f.name for f in dataclasses.fields(find_method(arm.method).config)}
        shared = {name: value for name, value in self.fields.items() if name in known}
        fields = {**shared, **self.overrides.get(arm.method, {}), **arm.fields}
        for name, instead in RESERVED.items():
            if name in fields:
                raise ValueError(f"{name}: a grid takes no such field; {instead}")
        try:
            return make_config(arm.method, self.preset, **fields, seed=seed, threads=cores)
        except ValueError as error:
            raise ValueError(f"{arm.label}: {error}") from error


def _check_list(name: str, value: Any, kind: type, what: str) -> None:
    right = isinstance(value, tuple) and all(isinstance(v, kind) and not isinstance(v, bool) for v in value)
    if not right:
        raise ValueError(f"{name}: {value!r} is not allowed; it must be a list of {what}")
    twice = next((v for v in value if value.count(v) > 1), None)
    if twice is not None:
        raise ValueError(f"{name}: {twice!r} is there twice; name each once")


def _check_table(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: {value!r} is not allowed; it must be a table of fields")


def _check_known(where: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise ValueError(f"{where}: {name!r} is unknown; {hint}")


PAPER_TASKS = (
    "SafetyPointGoal1-v0",
    "SafetyPointCircle2-v0",
    "SafetySwimmerVelocity-v1",
    "SafetyHalfCheetahVelocity-v1",
    "SafetyCarGoal1-v0",
    "SafetyPointButton1-v0",
    "SafetyCarCircle1-v0",
    "SafetyAntVelocity-v1",
)
"""The eight tasks of the paper's section VI."""
PAPER_METHODS = (
    "sac-alam",
    "sac-alam-ga",
    "sac-lagnet",
    "sac-lag",
    "sac-pid",
    "asac",
    "sac-fpi",
    "p3o",
    "crpo",
)
"""The paper's method, its ablation, and the baselines of its section VI."""

_SMOKE_FIELDS: Fields = {
    "total_steps": 4_096,
    "hidden": [16, 16],
    "num_envs": 8,
    "warmup_steps": 512,
    "update_ratio": 0.0625,
    "batch_size": 32,
    "replay_capacity": 4_096,
    "epoch_steps": 512,
    "log_interval": 512,
    "eval_interval": 1_024,
    "eval_envs": 2,
    "checkpoint_interval": 2_048,
}

BUILT_IN: dict[str, GridSpec] = {
    "paper": GridSpec(tasks=PAPER_TASKS, methods=PAPER_METHODS, seeds=(0, 1, 2, 3, 4), preset="paper"),
    "standard": GridSpec(tasks=PAPER_TASKS, methods=PAPER_METHODS, seeds=(0, 1, 2, 3, 4), preset="standard"),
    "smoke": GridSpec(
        tasks=("SafetyPointGoal1-v0", "SafetySwimmerVelocity-v1"),
        methods=("sac-alam", "sac-lag", "p3o"),
        seeds=(0, 1),
        fields=_SMOKE_FIELDS,
    ),
}
"""Grids that have a name: Table I to 4·10⁶ steps, the same runs with the preset `standard`, and a test of minutes."""


def find_spec(name: str) -> GridSpec:
    """The built-in grid of that name, or the one in that TOML file."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name.endswith(".toml"):
        return GridSpec.read(Path(name))
    near = difflib.get_close_matches(name, BUILT_IN, n=1)
    hint = f"did you mean {near[0]!r}? Known" if near else "known"
    raise ValueError(f"grid: {name!r} is unknown; {hint} are {', '.join(BUILT_IN)}, or a file that ends in .toml")
