"""Long driving in every task: nothing breaks down and nothing leaks."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from recordings import IDS

from statewise.envs.navigation.env import NavigationVectorEnv

STEPS, WORLDS = 2_620, 32  # over all tasks, a million steps


def memory_in_use() -> float:
    """MB that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
@pytest.mark.parametrize("env_id", IDS)
def test_thousands_of_hard_driven_steps_stay_finite_and_hold_no_memory(env_id):
    env = NavigationVectorEnv(env_id, WORLDS)
    env.reset(seed=0)
    stream = np.random.default_rng(0)
    held, finished, total_cost = 0.0, 0, 0.0
    actions = np.zeros((WORLDS, 2))
    for step in range(STEPS):
        # Bang-bang, held for some steps, so that the robots get about and into things.
        turn = stream.random((WORLDS, 2)) < 0.1
        actions = np.where(turn | (step == 0), stream.choice((-1.0, 1.0), (WORLDS, 2)), actions)
        obs, reward, terminated, truncated, infos = env.step(actions)
        assert np.isfinite(obs).all()
        assert np.isfinite(reward).all()
        assert np.isfinite(infos["constraint"]).all()
        assert not terminated.any()
        finished += int(truncated.sum())
        total_cost += infos["cost"].sum()
        if step == STEPS // 2:
            held = memory_in_use()
    assert memory_in_use() - held < 20.0
    assert env.diverged == 0
    assert finished == WORLDS * (STEPS // env.max_episode_steps)
    assert total_cost > 0.0
