"""Observation, reward and costs of recorded states of Safety-Gymnasium 1.0.0, computed without a step."""

from __future__ import annotations

import numpy as np
import pytest
from recordings import IDS, load, make_worlds, put

every_recording = pytest.mark.parametrize("env_id", IDS)


@every_recording
def test_observation_of_a_state(env_id):
    recording, worlds = load(env_id), make_worlds(env_id, 1, sleep=False)
    expected = recording["obs"].astype(np.float64)
    seen, free = np.empty_like(expected), np.ones(len(expected), bool)
    for i, step in enumerate(recording["obs_step"]):
        put(worlds, recording, np.array([step]), rows=recording["row"][[step]] + 1)
        seen[i] = worlds.obs[0]
        free[i] = not any(touching.any() for touching in worlds.view.touching.values())
    np.testing.assert_allclose(seen[:, 3:], expected[:, 3:], rtol=1e-6, atol=1e-7)
    # An accelerometer feels contacts, and their forces have changed with MuJoCo.
    np.testing.assert_allclose(seen[free, :3], expected[free, :3], rtol=1e-6, atol=1e-6)


@every_recording
def test_reward_and_costs_of_a_step_follow_from_the_states_around_it(env_id):
    recording = load(env_id)
    count = 95
    worlds = make_worlds(env_id, count, sleep=False)
    for first in range(0, len(recording["row"]), count):
        steps = np.arange(first, first + count)
        row = recording["row"][steps]
        put(worlds, recording, steps, rows=row + 1, task_rows=row)
        verdict = worlds.task.judge(worlds.view)
        np.testing.assert_allclose(verdict.reward, recording["reward"][steps], rtol=1e-12, atol=1e-12)
        assert [*verdict.costs, "cost_sum"] == list(recording["cost_keys"])
        for column, key in enumerate(verdict.costs):
            np.testing.assert_array_equal(verdict.costs[key], recording["costs"][steps, column])  # NaN where absent
        assert np.isfinite(verdict.margin).all()
        if "goal_met" in recording:
            np.testing.assert_array_equal(verdict.met, recording["goal_met"][steps])
    worlds.close()


def test_recordings_hold_every_cost():
    seen = {
        str(key)
        for env_id in IDS
        for column, key in enumerate(load(env_id)["cost_keys"])
        if (load(env_id)["costs"][:, column] > 0.0).any()
    }
    expected = {"hazards", "vases_contact", "vases_velocity", "gremlins", "buttons", "out_of_boundary", "sum"}
    assert seen == {f"cost_{name}" for name in expected}
