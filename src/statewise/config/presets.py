"""Fields that differ from the paper's: the recipe for runs of minutes, and a first look at it."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from statewise.config.onpolicy import OnPolicyConfig
from statewise.config.run import Part, RunConfig
from statewise.config.sac import (
    AlamConfig,
    AlamGaConfig,
    LagConfig,
    LagNetConfig,
    MultiplierConfig,
    PenaltyPart,
    SacConfig,
)

Preset = Literal["standard", "paper", "demo"]
DEFAULT_PRESET: Preset = "standard"

_STANDARD: dict[type[Part], dict[str, Any]] = {
    RunConfig: {
        "total_steps": 1_000_000,
        "num_envs": 64,
        "eval_interval": 50_000,
        "eval_envs": 10,
        "checkpoint_interval": 50_000,
        "log_interval": 10_000,
        "embedding": "powers",
        "observation_normalization": True,
    },
    SacConfig: {
        "hidden": (128, 128),
        "precision": "auto",
        "learning_rate": 5e-4,
        "alpha_init": 0.02,
        "tau": 0.03,
        "update_ratio": 1 / 16,
        "replay_capacity": 1_000_000,
        "reward_twins": "mean",
        "cost_twins": "mean",
        "penalty_unit": "q_range",
    },
    OnPolicyConfig: {"epoch_steps": 19_200},
    MultiplierConfig: {"multiplier_learning_rate": 1e-3, "multiplier_max": 0.4},
    PenaltyPart: {"rho_init": 0.03, "rho_growth": 1.0},
    AlamConfig: {"dual_steps": 50},
    # Ascent takes its step whatever the distance to go, so that it overshoots at the regression's rate.
    AlamGaConfig: {"multiplier_learning_rate": 1e-4},
    LagNetConfig: {"dual_interval": 4, "multiplier_learning_rate": 1e-4},
    LagConfig: {"lambda_learning_rate": 1e-3},
}

PRESETS: dict[str, dict[type[Part], dict[str, Any]]] = {
    "standard": _STANDARD,
    "paper": {},
    "demo": {**_STANDARD, RunConfig: {**_STANDARD[RunConfig], "total_steps": 400_000, "eval_interval": 25_000}},
}
"""Fields that each preset changes, by part or family; a method takes those of what it is."""


def preset_fields(preset: str, config: type[RunConfig]) -> dict[str, Any]:
    """What a preset changes of one method's configuration; ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"preset: {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    families = [fields for family, fields in PRESETS[preset].items() if issubclass(config, family)]
    changes = {name: value for fields in families for name, value in fields.items()}
    known = {f.name for f in dataclasses.fields(config)}
    return {name: value for name, value in changes.items() if name in known}
