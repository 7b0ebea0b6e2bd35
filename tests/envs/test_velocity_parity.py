"""The native Velocity tasks against recordings of safety-gymnasium 1.0.0 on MuJoCo 2.3.3."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from velocity_recordings import forced_step, load

from statewise.envs.vector import new_generator
from statewise.envs.velocity import VELOCITY_TASKS, judge_motion, observe
from statewise.envs.velocity_worlds import VelocityWorlds

# MuJoCo 4 integrates free joints more exactly, and the Humanoid's solver stops before it converges, so that the single
# precision of the recorded warm start shows. All else is rounding.
FREE_JOINT_TASKS = ["SafetyAntVelocity-v1", "SafetyHumanoidVelocity-v1"]
LOOSE = ["SafetyHumanoidVelocity-v1"] if mujoco.__version__ < "4" else FREE_JOINT_TASKS
EXACT = [task_id for task_id in VELOCITY_TASKS if task_id not in LOOSE]

every_task = pytest.mark.parametrize("task_id", VELOCITY_TASKS)


@every_task
def test_resets_follow_from_the_seed_alone(task_id):
    recording, worlds = load(task_id), VelocityWorlds(VELOCITY_TASKS[task_id], 1)
    for seed in np.unique(recording["reset_seed"]):
        generator = new_generator(int(seed))
        for row in np.flatnonzero(recording["reset_seed"] == seed):
            worlds.restart(0, generator)
            state = worlds.get_state()
            np.testing.assert_array_equal(state["qpos"][0], recording["reset_qpos"][row])
            np.testing.assert_array_equal(state["qvel"][0], recording["reset_qvel"][row])
            np.testing.assert_allclose(worlds.obs[0], recording["reset_obs"][row], rtol=0, atol=1e-13)


@every_task
def test_costs_terminations_and_info_keys_of_a_step_are_the_recorded_ones(task_id):
    recording, outcome = load(task_id), forced_step(task_id).outcome
    assert recording["cost"].any()
    np.testing.assert_array_equal(outcome.cost, recording["cost"])
    np.testing.assert_array_equal(outcome.terminated, recording["terminated"])
    np.testing.assert_array_equal(outcome.cost, outcome.constraint > 0.0)
    assert set(outcome.info) == set(recording["info_keys"])


@pytest.mark.parametrize("task_id", EXACT)
def test_steps_agree_to_rounding(task_id):
    recording, forced = load(task_id), forced_step(task_id)
    assert forced.qpos.max() < 1e-13
    assert forced.qvel.max() < 5e-12
    assert forced.obs.max() < 5e-12
    assert forced.reward.max() < 5e-13
    for column, key in enumerate(recording["info_keys"]):
        np.testing.assert_allclose(forced.outcome.info[key], recording["info"][:, column], rtol=0, atol=1e-12)


@pytest.mark.parametrize("task_id", LOOSE)
def test_steps_agree_within_what_mujoco_changed(task_id):
    forced = forced_step(task_id)
    assert np.median(forced.qpos) < 1e-5
    assert np.median(forced.qvel) < 1e-4
    assert np.quantile(forced.qvel, 0.95) < 1e-2
    assert np.median(forced.obs) < 1e-4
    assert np.quantile(forced.reward, 0.99) < 1e-3


@every_task
def test_formulas_give_reward_cost_and_health_from_recorded_states(task_id):
    task, recording = VELOCITY_TASKS[task_id], load(task_id)
    keys = list(recording["info_keys"])
    after = np.stack([recording["info"][:, keys.index(key)] for key in ("x_position", "y_position") if key in keys], 1)
    dt = VelocityWorlds(task, 1).dt
    motion = judge_motion(task, recording["position"], after, recording["action"].astype(np.float64), dt)
    np.testing.assert_allclose(motion.reward, recording["reward"], rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(motion.cost, recording["cost"])
    for column, key in enumerate(keys):
        np.testing.assert_allclose(motion.info[key], recording["info"][:, column], rtol=1e-12, atol=1e-12)
    if task.healthy is None:
        assert not recording["terminated"].any()
    else:
        healthy = task.healthy(recording["next_qpos"], recording["next_qvel"])
        np.testing.assert_array_equal(healthy, ~recording["terminated"])


@every_task
def test_joint_part_of_the_observation_is_exact(task_id):
    recording, rows = load(task_id), load(task_id)["obs_row"]
    joints = observe(VELOCITY_TASKS[task_id], recording["next_qpos"][rows], recording["next_qvel"][rows], [])
    np.testing.assert_array_equal(joints, recording["obs"][:, : joints.shape[1]])


def test_ant_reads_its_position_before_the_last_update_of_the_joints():
    recording, forced = load("SafetyAntVelocity-v1"), forced_step("SafetyAntVelocity-v1")
    keys = list(recording["info_keys"])
    after = recording["info"][:, [keys.index("x_position"), keys.index("y_position")]]
    lag = np.abs(after - recording["next_qpos"][:, :2]).max(axis=1)
    mine = np.stack([forced.outcome.info["x_position"], forced.outcome.info["y_position"]], axis=1)
    error = np.abs(mine - after).max(axis=1)
    assert np.median(error) < np.median(lag) / 20

    worlds = VelocityWorlds(VELOCITY_TASKS["SafetyAntVelocity-v1"], 1)
    worlds.restart(0, new_generator(0))
    np.testing.assert_allclose(worlds.position[0], worlds.qpos(0)[:2], rtol=0, atol=1e-12)


@every_task
def test_first_observation_holds_a_unit_quaternion(task_id):
    recording = load(task_id)
    if task_id in FREE_JOINT_TASKS:
        norms = np.linalg.norm(recording["reset_qpos"][:, 3:7], axis=1)
        np.testing.assert_allclose(norms, 1.0, atol=1e-12)
    worlds = VelocityWorlds(VELOCITY_TASKS[task_id], 1)
    worlds.restart(0, new_generator(7))
    free = task_id in FREE_JOINT_TASKS
    assert (abs(np.linalg.norm(worlds.qpos(0)[3:7]) - 1.0) < 1e-12) == free
