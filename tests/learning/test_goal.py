"""The preset `standard` on SafetyPointGoal1 for a minute: SAC-ALaM is safer than SAC, and reaches goals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statewise import Agent

TASK = "SafetyPointGoal1-v0"
STEPS = 150_000
SEED = 6_000_003
"""Of the episodes played, which are other ones than the run's own evaluations."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sac_alam_is_safer_than_sac_and_reaches_goals(tmp_path: Path) -> None:
    """Seeds 0 to 4 of SAC-ALaM, sampled policy: return 13.5, 13.4, 11.9, 8.7, 12.4 at cost 5.3, 11.9, 8.4, 8.1, 15.1.

    SAC has 26.0 at 55.1. The deterministic policy is as good on average, but one of the five parks at a cost of 54.
    """
    fields: dict[str, Any] = {"total_steps": STEPS, "eval_interval": STEPS, "checkpoint_interval": STEPS, "threads": 1}
    played = {
        method: Agent(method, TASK, root=tmp_path, **fields).learn().evaluate(16, SEED, deterministic=False)
        for method in ("sac-alam", "sac")
    }
    assert played["sac-alam"]["return"] > 4.0
    assert played["sac"]["cost"] > 25.0
    assert played["sac-alam"]["cost"] < 0.5 * played["sac"]["cost"]
