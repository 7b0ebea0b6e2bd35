"""From the seed alone: layouts, yaws, goals and the rest of the random stream are those of Safety-Gymnasium 1.0.0."""

from __future__ import annotations

import numpy as np
import pytest
from recordings import GOAL_AND_BUTTON, IDS, load, make_worlds, put

EPISODES = 3

every_recording = pytest.mark.parametrize("env_id", IDS)


@every_recording
def test_reset_follows_from_the_seed_alone(env_id):
    recording, worlds = load(env_id), make_worlds(env_id, EPISODES)
    for episode, seed in enumerate(recording["seed"]):
        worlds.restart(episode, int(seed))
    np.testing.assert_array_equal(worlds.layout_xy, recording["layout_xy"])
    np.testing.assert_array_equal(worlds.yaw, recording["yaw"])
    obs, expected = worlds.observe_all(), recording["reset_obs"]
    # Whether the Car's wheels touch the floor at first is a matter of the last bit, which its accelerometer shows.
    first = 3 if worlds.robot.name == "Car" else 0
    np.testing.assert_allclose(obs[:, first:], expected[:, first:], rtol=1e-6, atol=1e-12)
    worlds.close()


@every_recording
def test_stream_stays_in_step_over_steps_goals_and_the_next_reset(env_id):
    recording, worlds = load(env_id), make_worlds(env_id, 1, sleep=False)
    for episode, seed in enumerate(recording["seed"]):
        steps = np.flatnonzero(recording["episode"] == episode)
        worlds.restart(0, int(seed))
        if "goal_xy" in recording:
            _follow_goals(worlds, recording, steps)
        else:
            for _ in steps:
                worlds.streams.skip()
        np.testing.assert_array_equal(worlds.streams.of(0).uniform(size=4), recording["rng_tail"][episode])
        worlds.restart(0, None)
        np.testing.assert_array_equal(worlds.layout_xy[0], recording["next_layout_xy"][episode])
        np.testing.assert_array_equal(worlds.yaw[0, 0], recording["next_robot_yaw"][episode])
        if "goal_xy" in recording:
            np.testing.assert_array_equal(worlds.view.xy["goal"][0, 0], recording["next_goal_xy"][episode])


def _follow_goals(worlds, recording, steps):
    """Step where a goal was met, with the stream that the episode began with, and pass over the other steps."""
    np.testing.assert_array_equal(worlds.view.xy["goal"][0, 0], recording["goal_xy"][recording["row"][steps[0]]])
    for step in steps:
        if not recording["goal_met"][step]:
            worlds.streams.skip()
            continue
        put(worlds, recording, np.array([step]))
        outcome = worlds.step(recording["action"][step, None].astype(np.float64))
        after = recording["row"][step] + 1
        assert outcome.info["goal_met"][0]
        np.testing.assert_array_equal(worlds.view.xy["goal"][0, 0], recording["goal_xy"][after])
        np.testing.assert_allclose(worlds.view.memory["last_distance"][0], recording["last_distance"][after], atol=1e-4)
        if "goal_button" in recording:
            assert worlds.view.memory["goal_button"][0] == recording["goal_button"][after]
            assert worlds.view.memory["button_timer"][0] == recording["button_timer"][after] == 10


@pytest.mark.parametrize("env_id", GOAL_AND_BUTTON)
def test_recordings_of_these_tasks_hold_goals_to_follow(env_id):
    assert load(env_id)["goal_met"].any()
