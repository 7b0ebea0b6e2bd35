"""Navigation environments: the vector is N single ones to the bit, resumes to the bit, and ends episodes truthfully."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import load, put

from statewise.envs import register_environments
from statewise.envs.navigation.env import NavigationEnv, NavigationVectorEnv
from statewise.envs.navigation.registry import NAVIGATION_TASKS

ROBOTS = ("Point", "Car")
VARIED = [f"Safety{robot}{task}-v0" for robot in ROBOTS for task in ("Goal2", "Circle1", "Button1")]
GOAL2, BUTTON1 = "SafetyPointGoal2-v0", "SafetyPointButton1-v0"

varied_tasks = pytest.mark.parametrize("task_id", VARIED)


@pytest.fixture(autouse=True, scope="module")
def _registered():
    register_environments()


def random_actions(num_envs: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, num_envs, 2))


def rollout(env: NavigationVectorEnv, actions: np.ndarray) -> list[np.ndarray]:
    """Everything the steps return, one stacked array for each quantity."""
    rows = []
    for action in actions:
        obs, reward, terminated, truncated, infos = env.step(action)
        dense = [infos[key] for key in sorted(infos) if "final" not in key]
        rows.append((obs, reward, terminated, truncated, *dense))
    return [np.stack(column) for column in zip(*rows, strict=True)]


def assert_same(first: list[np.ndarray], second: list[np.ndarray]) -> None:
    for mine, theirs in zip(first, second, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def start_at(env: NavigationEnv | NavigationVectorEnv, task_id: str, steps: np.ndarray, seed: int = 0) -> np.ndarray:
    """Put the worlds of an environment in front of these recorded steps; returns the recorded actions."""
    env.reset(seed=seed)
    put(env.worlds, load(task_id), steps)
    return load(task_id)["action"][steps].astype(np.float64)


@pytest.mark.parametrize("task_id", NAVIGATION_TASKS)
def test_single_environment_passes_gymnasiums_checker_without_a_warning(task_id):
    env = gymnasium.make(task_id)
    check_env(env.unwrapped, skip_render_check=True)
    assert env.spec is not None
    assert env.spec.max_episode_steps == (500 if "Circle" in task_id else 1000)
    env.close()


@varied_tasks
def test_vector_is_single_environments_to_the_bit(task_id):
    vector = NavigationVectorEnv(task_id, 3, max_episode_steps=25)
    singles = [gymnasium.make(task_id, max_episode_steps=25) for _ in range(3)]
    obs, _ = vector.reset(seed=5)
    for world, single in enumerate(singles):
        np.testing.assert_array_equal(obs[world], single.reset(seed=5 + world)[0])
    for actions in random_actions(3, 60):
        obs, reward, terminated, truncated, infos = vector.step(actions)
        for world, single in enumerate(singles):
            next_obs, *expected, info = single.step(actions[world])
            np.testing.assert_array_equal(infos["next_obs"][world], next_obs)
            assert [reward[world], terminated[world], truncated[world]] == expected
            assert {key: infos[key][world] for key in info} == info
            absent = {key for key in infos if key.startswith("cost")} - info.keys()
            assert all(np.isnan(infos[key][world]) for key in absent)
            done = terminated[world] or truncated[world]
            np.testing.assert_array_equal(obs[world], single.reset()[0] if done else next_obs)


@varied_tasks
def test_number_of_threads_does_not_change_a_bit(task_id):
    results = []
    for threads in (1, 2):
        env = NavigationVectorEnv(task_id, 3, threads=threads, max_episode_steps=30)
        results.append([env.reset(seed=2)[0], *rollout(env, random_actions(3, 40))])
        env.close()
    assert_same(*results)


def check_round_trip(env: NavigationVectorEnv, **options: Any) -> None:
    """The environment as it stands, put back, and a new one put there, go on to the same bits."""
    state = env.get_state()
    actions = random_actions(env.num_envs, 40, seed=1)
    expected = rollout(env, actions)
    other = NavigationVectorEnv(env.task, env.num_envs, max_episode_steps=env.max_episode_steps, **options)
    for resumed in (env, other):
        np.testing.assert_array_equal(resumed.set_state(state), state["last_obs"])
        assert_same(rollout(resumed, actions), expected)
    other.close()


@varied_tasks
@pytest.mark.parametrize("steps", [0, 5, 60])
def test_state_round_trip_goes_on_to_the_same_bits(task_id, steps):
    env = NavigationVectorEnv(task_id, 3, max_episode_steps=80)
    env.reset(seed=1)
    if steps:
        rollout(env, random_actions(3, steps))
    check_round_trip(env, threads=2)


@pytest.mark.parametrize("robot", ROBOTS)
def test_state_round_trip_of_vases_that_fell_asleep(robot):
    env = NavigationVectorEnv(f"Safety{robot}Goal2-v0", 2)
    env.reset(seed=3)
    rollout(env, np.zeros((200, 2, 2)))
    check_round_trip(env)


@varied_tasks
def test_state_round_trip_where_some_worlds_went_on_and_some_started_anew(task_id):
    env = NavigationVectorEnv(task_id, 3, max_episode_steps=30)
    env.reset(seed=4)
    state = env.get_state()
    state["elapsed"][:] = 0, 10, 20
    env.set_state(state)
    truncated = rollout(env, random_actions(3, 15))[3]
    assert truncated.any(axis=0).tolist() == [False, False, True]
    check_round_trip(env, threads=2)


@pytest.mark.parametrize("robot", ROBOTS)
@pytest.mark.parametrize("cost", ["cost_vases_velocity", "cost_gremlins"])
def test_state_round_trip_amid_contacts(robot, cost):
    task_id = f"Safety{robot}{'Goal2' if 'vases' in cost else 'Button1'}-v0"
    recording = load(task_id)
    touching = np.flatnonzero(recording["costs"][:, list(recording["cost_keys"]).index(cost)] == 1.0)[:3]
    env = NavigationVectorEnv(task_id, len(touching))
    actions = start_at(env, task_id, touching)
    _, _, _, _, infos = env.step(actions)
    assert infos[cost].any()
    check_round_trip(env)


@pytest.mark.parametrize("task_id", [GOAL2, BUTTON1])
def test_single_environment_restores_its_state(task_id):
    env, other = NavigationEnv(task_id), NavigationEnv(task_id)
    env.reset(seed=0)
    env.step(np.full(2, 0.3))
    state = env.get_state()
    expected = [env.step(np.full(2, -0.2))[0], env.reset()[0]]
    other.set_state(state)
    np.testing.assert_array_equal([other.step(np.full(2, -0.2))[0], other.reset()[0]], expected)


def test_state_of_another_task_is_refused():
    env, other = NavigationVectorEnv(GOAL2, 2), NavigationVectorEnv(BUTTON1, 2)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="another task"):
        other.set_state(env.get_state())


@varied_tasks
def test_time_limit_truncates_and_keeps_the_true_successor(task_id):
    env, endless = (NavigationVectorEnv(task_id, 2, max_episode_steps=limit) for limit in (4, 1000))
    env.reset(seed=0)
    endless.reset(seed=0)
    *early, last = random_actions(2, 4)
    for actions in early:
        obs, _, terminated, truncated, infos = env.step(actions)
        np.testing.assert_array_equal(obs, endless.step(actions)[0])
        assert not (terminated | truncated).any()
        assert "final_obs" not in infos
    obs, _, terminated, truncated, infos = env.step(last)
    assert truncated.all()
    assert not terminated.any()
    true_obs = endless.step(last)[0]
    for reported in (infos["next_obs"], infos["final_obs"]):
        np.testing.assert_array_equal(reported, true_obs)
    assert infos["_final_obs"].all()
    np.testing.assert_array_equal(infos["final_info"]["cost"], infos["cost"])
    np.testing.assert_array_equal(obs, endless.reset()[0])


@pytest.mark.parametrize(("task_id", "limit"), [("SafetyPointCircle1-v0", 500), ("SafetyPointGoal1-v0", 1000)])
def test_episodes_are_as_long_as_the_originals(task_id, limit):
    env, vector = gymnasium.make(task_id), NavigationVectorEnv(task_id, 1)
    assert vector.max_episode_steps == limit
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[3] for _ in range(limit)]
    assert ends == [False] * (limit - 1) + [True]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_actions_that_are_not_finite_never_reach_the_simulator(bad):
    single, vector = NavigationEnv(GOAL2), NavigationVectorEnv(GOAL2, 2)
    single.reset(seed=0)
    vector.reset(seed=0)
    before = [single.get_state(), vector.get_state()]
    with pytest.raises(ValueError, match="finite"):
        single.step(np.array([0.0, bad]))
    with pytest.raises(ValueError, match="world 1"):
        vector.step(np.array([[0.0, 0.0], [bad, 0.0]]))
    for was, env in zip(before, (single, vector), strict=True):
        for name, values in env.get_state().items():
            np.testing.assert_array_equal(values, was[name])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 2)])
def test_actions_of_another_shape_are_refused(shape):
    single, vector = NavigationEnv(GOAL2), NavigationVectorEnv(GOAL2, 2)
    single.reset(seed=0)
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=r"\(2,\)"):
        single.step(np.zeros(shape))
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        vector.step(np.zeros(shape))


@varied_tasks
def test_actions_beyond_the_box_are_clipped(task_id):
    results = []
    for clipped in (False, True):
        env = NavigationVectorEnv(task_id, 2)
        env.reset(seed=4)
        actions = 3.0 * random_actions(2, 10)
        results.append(rollout(env, np.clip(actions, -1.0, 1.0) if clipped else actions))
    assert_same(*results)


def test_steps_before_the_first_reset_and_unknown_tasks_are_refused():
    with pytest.raises(ResetNeeded):
        NavigationEnv(GOAL2).step(np.zeros(2))
    with pytest.raises(ResetNeeded):
        NavigationVectorEnv(GOAL2, 2).step(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="SafetyPointGoal3"):
        NavigationEnv("SafetyPointGoal3-v0")


@pytest.mark.parametrize("seed", [-1, 2**32, 2**40])
def test_seeds_that_the_stream_cannot_take_are_refused(seed):
    vector = NavigationVectorEnv(GOAL2, 2)
    with pytest.raises(ValueError, match="seed is"):
        vector.reset(seed=seed)
    if seed >= 0:
        with pytest.raises(ValueError, match="seed is"):
            NavigationEnv(GOAL2).reset(seed=seed)
        with pytest.raises(ValueError, match="seed is"):
            vector.reset(seed=2**32 - 1)  # world 1 would draw from 2^32
    assert NavigationEnv(GOAL2).reset(seed=2**32 - 1)[0].shape == (60,)


def test_resets_without_a_seed_differ_and_follow_from_the_first():
    env, same = NavigationEnv(GOAL2), NavigationEnv(GOAL2)
    drawn = [env.reset(seed=9)[0], env.reset()[0], env.reset()[0]]
    assert len({obs.tobytes() for obs in drawn}) == 3
    np.testing.assert_array_equal([same.reset(seed=9)[0], same.reset()[0], same.reset()[0]], drawn)
    assert (NavigationEnv(GOAL2).reset()[0] != NavigationEnv(GOAL2).reset()[0]).any()


@varied_tasks
@pytest.mark.parametrize("bad", [9e9, 1e11, np.nan])  # found during the step, or before it
def test_world_that_diverges_is_cut_short_and_leaves_the_others_alone(task_id, bad):
    env, sound = (NavigationVectorEnv(task_id, 3) for _ in range(2))
    actions = random_actions(3, 10)
    for each in (env, sound):
        each.reset(seed=1)
        rollout(each, actions[:3])
    state = env.get_state()
    last_obs = state["last_obs"][1].copy()
    state["qvel"][1, 0] = bad
    env.set_state(state)

    obs, reward, terminated, truncated, infos = env.step(actions[3])
    assert truncated.tolist() == [False, True, False]
    assert not terminated.any()
    assert env.diverged == 1
    assert reward[1] == infos["cost"][1] == 0.0
    assert infos["constraint"][1] <= 0.0
    np.testing.assert_array_equal(infos["final_obs"][1], last_obs)
    assert all(env.single_observation_space.contains(row) for row in obs)

    mine = [obs, reward, *rollout(env, actions[4:])]
    expected = [*sound.step(actions[3])[:2], *rollout(sound, actions[4:])]
    others = [0, 2]
    assert_same([mine[0][others], mine[1][others]], [expected[0][others], expected[1][others]])
    assert_same([values[:, others] for values in mine[2:]], [values[:, others] for values in expected[2:]])
    assert env.diverged == 1


@varied_tasks
def test_world_placed_where_mujoco_gives_up_is_cut_short_and_leaves_the_others_alone(task_id):
    env, sound = (NavigationVectorEnv(task_id, 3) for _ in range(2))
    actions = random_actions(3, 10)
    for each in (env, sound):
        each.reset(seed=1)
    xy = env.worlds.layout_xy[1].copy()
    xy[0] = 1e11
    env.worlds.place(1, xy, env.worlds.yaw[1])
    truncated, expected = env.step(actions[0])[3], sound.step(actions[0])
    assert truncated.tolist() == [False, True, False]
    assert env.diverged == 1
    assert not expected[3].any()
    mine, others = rollout(env, actions[1:]), [0, 2]
    assert_same([values[:, others] for values in mine], [v[:, others] for v in rollout(sound, actions[1:])])
    assert env.diverged == 1


def test_wrong_buttons_neither_cost_nor_show_for_ten_steps_after_a_success():
    recording = load(BUTTON1)
    success = np.flatnonzero(recording["goal_met"])[:1]
    single, vector = NavigationEnv(BUTTON1), NavigationVectorEnv(BUTTON1, 1)
    # A seed whose next button is another one, so that the robot, still touching this one, does not succeed again.
    for env in (single, vector):
        action = start_at(env, BUTTON1, success, seed=1)
    button = int(recording["goal_button"][recording["row"][success[0]]])
    obs, reward, _, _, info = single.step(action[0])
    infos = vector.step(action)[4]
    assert info["goal_met"]
    assert infos["goal_met"][0]
    assert reward > 0.9
    assert single.worlds.view.memory["goal_button"][0] != button
    buttons = slice(12, 28)
    for after in range(1, 14):
        assert obs[buttons].any() == (after > 10)
        obs, _, _, _, info = single.step(np.zeros(2))
        infos = vector.step(np.zeros((1, 2)))[4]
        assert not info["goal_met"]
        assert ("cost_buttons" in info) == (after > 10)
        assert np.isnan(infos["cost_buttons"][0]) == (after <= 10)


@settings(max_examples=20)
@given(
    task_id=st.sampled_from([task_id for task_id in NAVIGATION_TASKS if "0-" not in task_id]),
    seed=st.integers(0, 2**31),
)
def test_constraint_is_positive_where_it_costs_and_only_there(task_id, seed):
    env = NavigationVectorEnv(task_id, 4)
    env.reset(seed=seed)
    for actions in random_actions(4, 30, seed):
        obs, reward, _, _, infos = env.step(np.sign(actions))
        np.testing.assert_array_equal(infos["constraint"] > 0.0, infos["cost"] > 0.0)
        assert np.isfinite(infos["constraint"]).all()
        assert np.isfinite(reward).all()
        assert np.isin(infos["cost"], (0.0, 1.0)).all()
        assert env.observation_space.contains(obs)
        parts = [infos[key] for key in infos if key.startswith("cost_") and key != "cost_sum"]
        np.testing.assert_array_equal(infos["cost"], np.nanmax(parts, axis=0))


@pytest.mark.parametrize("task_id", [task_id for task_id in NAVIGATION_TASKS if "0-" in task_id])
def test_level_0_costs_nothing(task_id):
    env = NavigationVectorEnv(task_id, 4)
    env.reset(seed=0)
    moved = np.zeros(4)
    for actions in random_actions(4, 150):
        _, reward, _, _, infos = env.step(np.sign(actions + 0.5))
        moved += np.abs(reward)
        assert {key for key in infos if key.startswith("cost")} == {"cost", "cost_sum"}
        assert not infos["cost"].any()
        assert (infos["constraint"] < 0.0).all()
    assert (moved > 0.0).all()


@varied_tasks
def test_observing_at_the_present_pose_is_the_observation(task_id):
    env = NavigationVectorEnv(task_id, 2)
    obs, _ = env.reset(seed=6)
    if "Point" in task_id:
        obs = env.step(random_actions(2, 1)[0])[0]
    for world in range(2):
        qpos = env.worlds.qpos(world)
        if "Point" in task_id:
            pose, velocity = qpos[:3], env.get_state()["qvel"][world, :3]
        else:
            pose, velocity = np.array([*qpos[:2], 2.0 * np.arctan2(qpos[6], qpos[3])]), np.zeros(3)
        seen = env.observe_at(pose[None], velocity[None], world)
        np.testing.assert_allclose(seen[0, 3:], obs[world, 3:], rtol=1e-6, atol=1e-9)


@varied_tasks
def test_observing_elsewhere_is_standing_there(task_id):
    env = NavigationEnv(task_id)
    env.reset(seed=6)
    poses = np.random.default_rng(0).uniform(-1.0, 1.0, (5, 3)) * (1.0, 1.0, np.pi)
    state, seen = env.get_state(), env.observe_at(poses)
    for name, values in env.get_state().items():
        np.testing.assert_array_equal(values, state[name])
    xy, yaw = env.worlds.layout_xy[0].copy(), env.worlds.yaw[0].copy()
    goal = env.worlds.view.xy["goal"][0].copy() if "goal" in env.worlds.view.xy else None
    for pose, expected in zip(poses, seen, strict=True):
        xy[0], yaw[0] = pose[:2], pose[2]
        env.worlds.place(0, xy, yaw)
        if goal is not None:
            env.worlds.view.xy["goal"][0] = goal
        np.testing.assert_allclose(env.worlds.observe_all()[0, 3:], expected[3:], rtol=1e-9, atol=1e-12)
