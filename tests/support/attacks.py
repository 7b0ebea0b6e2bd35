"""How hard to attack, and the books of it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import pytest

TASK = "StatewiseAttackedPoint-v0"
"""The id of `ExactPoint`, once `compile_once` was called."""

SCALE = int(os.environ.get("STATEWISE_ATTACK", "1"))
"""Multiplies the number of attacks; `make attack` takes 20."""


class Attacks:
    """Counts attacks by kind, for the summary behind the tests."""

    def __init__(self, record: Callable[[str, object], None]) -> None:
        self._record = record

    def note(self, kind: str, count: int) -> None:
        """So many attacks of a kind were made, and all were withstood."""
        self._record("attacks", (kind, count))


def compile_once(patch: pytest.MonkeyPatch) -> None:
    """Let runs of one configuration share their learner, so that all but the first take a moment."""
    # Not above: conftest imports this module, before it has set what JAX and NumPy are to find.
    import gymnasium

    from statewise import agent, policy

    if TASK not in gymnasium.registry:
        gymnasium.register(TASK, "support.toys:ExactPoint")
    patch.setattr(agent, "build_learner", functools.cache(agent.build_learner))
    patch.setattr(policy, "build_core", functools.cache(policy.build_core))
