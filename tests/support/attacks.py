"""How hard to attack, and the books of it."""

from __future__ import annotations

import os
from collections.abc import Callable

SCALE = int(os.environ.get("STATEWISE_ATTACK", "1"))
"""Multiplies the number of attacks; `make attack` takes 20."""


class Attacks:
    """Counts attacks by kind, for the summary behind the tests."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def note(self, kind: str, count: int) -> None:
        """So many attacks of a kind were made, and all were withstood."""
        self._record("attacks", (kind, count))
