"""Denser layouts, and the entries that are a velocity."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from statewise.envs import register_environments
from statewise.envs.navigation.env import NavigationVectorEnv


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_environments()


@pytest.mark.parametrize(("task_id", "counts"), [("SafetyPointGoal1-v0", (8, 12)), ("SafetyCarButton1-v0", (4, 6))])
def test_crowding_puts_in_more_hazards_and_changes_nothing_else(task_id, counts):
    plain, dense = NavigationVectorEnv(task_id, 2), NavigationVectorEnv(task_id, 2, crowding=1.5)
    plain.reset(seed=3)
    dense.reset(seed=3)
    assert (plain.worlds.view.xy["hazard"].shape[1], dense.worlds.view.xy["hazard"].shape[1]) == counts
    others = plain.worlds.view.xy.keys() - {"hazard"}
    assert all(plain.worlds.view.xy[kind].shape == dense.worlds.view.xy[kind].shape for kind in others)
    assert plain.looks() == dense.looks()
    apart = np.linalg.norm(dense.worlds.view.xy["hazard"][0, :, None] - dense.worlds.view.xy["hazard"][0], axis=-1)
    assert apart[np.triu_indices(counts[1], 1)].min() >= 2 * 0.18
    single = gymnasium.make(task_id, crowding=1.5)
    np.testing.assert_array_equal(single.reset(seed=3)[0], dense.reset(seed=3)[0][0])
    assert len(NavigationVectorEnv(task_id, 1).worlds.view.xy["hazard"][0]) == counts[0]  # the task is as it was


@pytest.mark.parametrize(
    ("task_id", "crowding", "words"),
    [
        ("SafetyPointCircle2-v0", 1.5, r"crowding: 1\.5 is not allowed; this task has nothing"),
        ("SafetyPointGoal0-v0", 2.0, r"crowding: 2 is not allowed; this task has nothing"),
        ("SafetyPointGoal1-v0", 0.0, r"crowding: 0\.0 is not allowed; it must be a number above 0"),
        ("SafetyPointGoal1-v0", float("nan"), r"crowding: nan is not allowed"),
    ],
)
def test_crowding_that_there_is_nothing_for_is_refused(task_id, crowding, words):
    with pytest.raises(ValueError, match=words):
        NavigationVectorEnv(task_id, 1, crowding=crowding)


@pytest.mark.parametrize("robot", ["Point", "Car"])
def test_velocity_names_the_speed_over_the_floor(robot):
    env = NavigationVectorEnv(f"Safety{robot}Goal1-v0", 1)
    env.reset(seed=0)
    obs = env.observe_at(np.array([[0.3, 0.1, 0.7]]), np.array([[0.6, -0.8, 0.0]]))
    assert np.linalg.norm(obs[0, list(env.velocity)]) == pytest.approx(1.0, abs=0.01)
