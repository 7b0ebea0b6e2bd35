"""What a check of the theory comes to."""

from __future__ import annotations

from typing import NamedTuple

INEQUALITY_TOLERANCE = 1e-9
"""How far rounding may break an inequality."""
KKT_TOLERANCE = 1e-6
"""What counts as having arrived."""


class Claim(NamedTuple):
    """What the theory says, what came out, and whether that agrees."""

    name: str
    outcome: str
    holds: bool
