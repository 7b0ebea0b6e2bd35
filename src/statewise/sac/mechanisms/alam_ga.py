"""SAC-ALaM-GA, the ablation: as SAC-ALaM, but the multiplier network climbs its gradient (section VI, Fig. 5)."""

from __future__ import annotations

from statewise.config import AlamGaConfig
from statewise.sac.mechanism import Mechanism
from statewise.sac.mechanisms import alam
from statewise.sac.networks import SacNetworks


def build(config: AlamGaConfig, networks: SacNetworks) -> Mechanism:
    """SAC-ALaM with gradient ascent on E[λ_w(x)·ρG(x)] in place of the regression, by its configuration's default."""
    return alam.build(config, networks)
