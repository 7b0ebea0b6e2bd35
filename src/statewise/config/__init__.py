"""Configurations: one frozen dataclass per method, checked on construction, strict to and from JSON.

Defaults are Table I of the SAC-ALaM paper; where the paper is silent, the field's docstring says so. The preset
`standard` holds what to change for runs of minutes. Standard library only, so that `statewise --help` is instant.
"""

from statewise.config.onpolicy import CrpoConfig, OnPolicyConfig, P3oConfig, PpoConfig
from statewise.config.presets import DEFAULT_PRESET, PRESETS, Preset, preset_fields
from statewise.config.run import Count, Fraction, NonNegative, Positive, Range, Real, RunConfig, Whole
from statewise.config.sac import (
    AlamConfig,
    AlamGaConfig,
    AsacConfig,
    DualPart,
    FpiConfig,
    LagConfig,
    LagNetConfig,
    MultiplierConfig,
    NetworkPart,
    PenaltyPart,
    PidConfig,
    SacConfig,
    ScalarConfig,
)

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "AlamConfig",
    "AlamGaConfig",
    "AsacConfig",
    "Count",
    "CrpoConfig",
    "DualPart",
    "FpiConfig",
    "Fraction",
    "LagConfig",
    "LagNetConfig",
    "MultiplierConfig",
    "NetworkPart",
    "NonNegative",
    "OnPolicyConfig",
    "P3oConfig",
    "PenaltyPart",
    "PidConfig",
    "Positive",
    "PpoConfig",
    "Preset",
    "Range",
    "Real",
    "RunConfig",
    "SacConfig",
    "ScalarConfig",
    "Whole",
    "preset_fields",
]
