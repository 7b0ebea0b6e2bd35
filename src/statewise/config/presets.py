"""Fields to change for shorter runs than the paper's."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from statewise.config.base import RunConfig
from statewise.config.sac import SacConfig

Preset = Literal["paper", "quick", "demo"]

_QUICK: dict[type[RunConfig], dict[str, Any]] = {
    RunConfig: {"total_steps": 200_000, "eval_interval": 10_000},
    SacConfig: {
        "learning_rate": 1e-3,
        "batch_size": 128,
        "alpha_init": 0.02,
        "tau": 0.01,
        "feasibility": "cdf",
        "zeta": 1e-12,
        "update_ratio": 0.25,
        "warmup_steps": 5_000,
        "replay_capacity": 200_000,
        "multiplier_learning_rate": 3e-4,
        "dual_pace": 100.0,
        "dual_start": 8_000,
    },
}

PRESETS: dict[str, dict[type[RunConfig], dict[str, Any]]] = {
    "paper": {},
    "quick": _QUICK,
    "demo": {**_QUICK, RunConfig: {"total_steps": 100_000, "eval_interval": 5_000}},
}
"""Fields that each preset changes, by family of methods; a method takes those that it has."""


def preset_fields(preset: str, config: type[RunConfig]) -> dict[str, Any]:
    """What a preset changes of one method's configuration; ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"preset: {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    families = [fields for family, fields in PRESETS[preset].items() if issubclass(config, family)]
    changes = {name: value for fields in families for name, value in fields.items()}
    known = {f.name for f in dataclasses.fields(config)}
    return {name: value for name, value in changes.items() if name in known}
