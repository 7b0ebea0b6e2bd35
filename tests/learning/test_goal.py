"""The preset `standard` on SafetyPointGoal1 for a minute: SAC-ALaM is safer than SAC, and reaches goals."""

from __future__ import annotations

from pathlib import Path

import pytest

from statewise import Agent

TASK = "SafetyPointGoal1-v0"
STEPS = 150_000
SEED = 6_000_003
"""Of the episodes played, which are other ones than the run's own evaluations."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sac_alam_is_safer_than_sac_and_reaches_goals(tmp_path: Path) -> None:
    """SEEDS"""
    fields = {"total_steps": STEPS, "eval_interval": STEPS, "checkpoint_interval": STEPS, "threads": 1}
    played = {
        method: Agent(method, TASK, root=tmp_path, **fields).learn().evaluate(16, SEED, deterministic=False)
        for method in ("sac-alam", "sac")
    }
    assert played["sac-alam"]["return"] > 4.0
    assert played["sac"]["cost"] > 25.0
    assert played["sac-alam"]["cost"] < 0.6 * played["sac"]["cost"]
