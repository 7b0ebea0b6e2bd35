"""SAC and PPO without constraints reach returns that are known of a task: Pendulum, from about −1200 to about −150."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from statewise import Agent


def unconstrained(obs: NDArray[Any], action: NDArray[Any], next_obs: NDArray[Any]) -> float:
    """Safe everywhere."""
    del obs, action, next_obs
    return -1.0


SETTINGS: dict[str, dict[str, Any]] = {
    "sac": {
        "total_steps": 14_000,
        "warmup_steps": 1_000,
        "update_ratio": 1.0,
        "batch_size": 128,
        "hidden": (64, 64),
        "learning_rate": 1e-3,
        "optimizer": "adam",
        "reward_scale": 0.1,
        "alpha_init": 0.2,
        "replay_capacity": 20_000,
        "gamma": 0.98,
    },
    "ppo": {
        "total_steps": 120_000,
        "epoch_steps": 4_000,
        "learning_rate": 1e-3,
        "gamma": 0.9,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("method", SETTINGS)
def test_pendulum_is_swung_up(method: str, tmp_path: Path) -> None:
    """A policy that never swings up gets −900 or less, one that does −100 to −250, the start's luck included."""
    agent = Agent(
        method, "Pendulum-v1", preset="paper", constraint=unconstrained, root=tmp_path, num_envs=8, threads=1,
        eval_interval=60_000, checkpoint_interval=60_000, **SETTINGS[method],
    )  # fmt: skip
    before = agent.evaluate(20)["return"]
    after = agent.learn().evaluate(20)
    assert before < -800.0
    assert after["return"] > -300.0
    assert after["cost"] == 0.0
    assert np.isfinite(agent.risk(np.zeros(3))).all()
