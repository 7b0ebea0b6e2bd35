"""Velocity environments: the vector is N single ones to the bit, resumes to the bit, and ends episodes truthfully."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from hypothesis import given
from hypothesis import strategies as st

from statewise.envs import TASKS, SafeVectorEnv, make_vector, register_environments
from statewise.envs.vector import pack_generators, unpack_generators
from statewise.envs.velocity import VELOCITY_TASKS
from statewise.envs.velocity_env import VelocityEnv, VelocityVectorEnv

CHEETAH, HOPPER, ANT = "SafetyHalfCheetahVelocity-v1", "SafetyHopperVelocity-v1", "SafetyAntVelocity-v1"

every_task = pytest.mark.parametrize("task_id", VELOCITY_TASKS)


def random_actions(env: SafeVectorEnv, steps: int) -> np.ndarray:
    env.action_space.seed(0)
    return np.stack([env.action_space.sample() for _ in range(steps)])


def rollout(env: SafeVectorEnv, actions: np.ndarray) -> list[np.ndarray]:
    """Everything the steps return, one stacked array for each quantity."""
    rows = []
    for action in actions:
        obs, reward, terminated, truncated, infos = env.step(action)
        rows.append((obs, reward, terminated, truncated, infos["cost"], infos["constraint"], infos["next_obs"]))
    return [np.stack(column) for column in zip(*rows, strict=True)]


@every_task
def test_single_environment_passes_gymnasiums_checker_without_a_warning(task_id):
    env = gymnasium.make(task_id)
    check_env(env.unwrapped, skip_render_check=True)
    assert env.spec is not None
    assert env.spec.max_episode_steps == 1000


@every_task
def test_vector_is_single_environments_to_the_bit(task_id):
    vector = VelocityVectorEnv(task_id, 3, max_episode_steps=25)
    singles = [gymnasium.make(task_id, max_episode_steps=25) for _ in range(3)]
    obs, _ = vector.reset(seed=5)
    for world, single in enumerate(singles):
        np.testing.assert_array_equal(obs[world], single.reset(seed=5 + world)[0])
    for actions in random_actions(vector, 40):
        obs, reward, terminated, truncated, infos = vector.step(actions)
        for world, single in enumerate(singles):
            next_obs, *expected, info = single.step(actions[world])
            np.testing.assert_array_equal(infos["next_obs"][world], next_obs)
            assert [reward[world], terminated[world], truncated[world]] == expected
            assert {key: infos[key][world] for key in info} == info
            done = terminated[world] or truncated[world]
            np.testing.assert_array_equal(obs[world], single.reset()[0] if done else next_obs)


@every_task
def test_state_round_trip_goes_on_to_the_same_bits(task_id):
    env = VelocityVectorEnv(task_id, 3, max_episode_steps=30)
    actions = random_actions(env, 60)
    env.reset(seed=1)
    before = rollout(env, actions[:20])
    state = env.get_state()
    expected = rollout(env, actions[20:])
    assert expected[2].any() or expected[3].any()

    resumed = VelocityVectorEnv(task_id, 3, max_episode_steps=30, threads=2)
    np.testing.assert_array_equal(resumed.set_state(state), before[0][-1])
    for mine, theirs in zip(rollout(resumed, actions[20:]), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    resumed.close()

    env.set_state(state)
    for mine, theirs in zip(rollout(env, actions[20:]), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_single_environment_restores_its_state():
    env = VelocityEnv(HOPPER)
    env.reset(seed=0)
    env.step(np.full(3, 0.3))
    state = env.get_state()
    expected = [env.step(np.full(3, -0.2))[0], env.reset()[0]]
    other = VelocityEnv(HOPPER)
    other.set_state(state)
    np.testing.assert_array_equal([other.step(np.full(3, -0.2))[0], other.reset()[0]], expected)


def test_state_can_be_taken_over_by_an_adapter():
    env = make_vector(lambda: gymnasium.make(HOPPER), 2)
    assert env.exact_state
    actions = random_actions(env, 50)
    env.reset(seed=3)
    rollout(env, actions[:10])
    state = env.get_state()
    expected = rollout(env, actions[10:])
    other = make_vector(lambda: gymnasium.make(HOPPER), 2)
    other.set_state(state)
    for mine, theirs in zip(rollout(other, actions[10:]), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_time_limit_truncates_and_keeps_the_true_successor():
    env = VelocityVectorEnv(CHEETAH, 2, max_episode_steps=5)
    env.reset(seed=0)
    for step in range(1, 11):
        obs, _, terminated, truncated, infos = env.step(np.ones((2, 6)))
        assert not terminated.any()
        assert truncated.all() == (step % 5 == 0)
        assert ("final_obs" in infos) == truncated.any()
        if truncated.any():
            np.testing.assert_array_equal(infos["final_obs"], infos["next_obs"])
            assert infos["_final_obs"].all()
            assert infos["final_info"]["x_position"] is infos["x_position"]
            assert (np.abs(obs[:, :8]) <= 0.1).all()
            assert np.abs(infos["next_obs"] - obs).max() > 0.5
        else:
            np.testing.assert_array_equal(obs, infos["next_obs"])


def test_restored_time_limit_counts_on():
    env = VelocityVectorEnv(CHEETAH, 1, max_episode_steps=5)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.zeros((1, 6)))
    other = VelocityVectorEnv(CHEETAH, 1, max_episode_steps=5)
    other.set_state(env.get_state())
    assert [bool(other.step(np.zeros((1, 6)))[3][0]) for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    "actions",
    [np.zeros(6), np.zeros((2, 5)), np.zeros((3, 6)), np.full((2, 6), np.nan), np.full((2, 6), np.inf)],
)
def test_wrong_actions_are_refused_before_the_simulator(actions):
    env = VelocityVectorEnv(CHEETAH, 2)
    env.reset(seed=0)
    state = env.get_state()
    with pytest.raises(ValueError, match="action"):
        env.step(actions)
    for name, value in env.get_state().items():
        np.testing.assert_array_equal(value, state[name])


@pytest.mark.parametrize("action", [np.zeros(5), np.full(6, np.nan)])
def test_single_environment_refuses_wrong_actions(action):
    env = VelocityEnv(CHEETAH)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="finite"):
        env.step(action)


def test_before_the_first_reset_there_is_neither_step_nor_state():
    env = VelocityVectorEnv(CHEETAH, 1)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(np.zeros((1, 6)))
    with pytest.raises(ResetNeeded, match="reset"):
        env.get_state()


@pytest.mark.parametrize("bad", [np.nan, 1e12])
def test_diverged_world_is_truncated_restarted_and_counted(bad, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log into the working directory
    env = VelocityVectorEnv(ANT, 3)
    env.reset(seed=0)
    obs, *_ = env.step(np.zeros((3, 8)))
    state = env.get_state()
    state["qvel"][1] = bad
    env.set_state(state)
    next_obs, reward, terminated, truncated, infos = env.step(np.zeros((3, 8)))
    assert truncated.tolist() == [False, True, False]
    assert not terminated.any()
    assert env.diverged == 1
    np.testing.assert_array_equal(infos["next_obs"][1], obs[1])
    assert infos["cost"][1] == 0.0
    assert np.isfinite(next_obs).all()
    assert np.isfinite(reward).all()
    _, _, _, truncated, _ = env.step(np.zeros((3, 8)))
    assert not truncated.any()


def test_state_of_another_task_or_size_is_refused():
    env = VelocityVectorEnv(CHEETAH, 2)
    for other in (VelocityVectorEnv(HOPPER, 2), VelocityVectorEnv(CHEETAH, 3)):
        other.reset(seed=0)
        with pytest.raises(ValueError, match="the environment state has"):
            env.set_state(other.get_state())
    env.reset(seed=0)
    state = env.get_state()
    del state["position"]
    with pytest.raises(ValueError, match="position"):
        env.set_state(state)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: VelocityVectorEnv(CHEETAH, 0), "num_envs"),
        (lambda: VelocityVectorEnv(CHEETAH, 1, threads=0), "threads"),
        (lambda: VelocityVectorEnv(CHEETAH, 1, max_episode_steps=0), "max_episode_steps"),
        (lambda: VelocityVectorEnv(CHEETAH, 1).reset(seed=-1), "seed"),
    ],
)
def test_numbers_out_of_range_are_named(make, field):
    with pytest.raises(ValueError, match=field):
        make()


def test_gymnasium_makes_the_native_vector():
    register_environments()
    env = gymnasium.make_vec(CHEETAH, num_envs=2, vectorization_mode="vector_entry_point")
    assert isinstance(env, VelocityVectorEnv)
    assert (env.num_envs, env.max_episode_steps) == (2, 1000)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert env.single_observation_space.shape == (17,)
    assert env.action_space.shape == (2, 6)


@every_task
def test_only_swimmer_trains_on_the_raw_reward(task_id):
    assert VELOCITY_TASKS[task_id].training_reward_scale == (1.0 if "Swimmer" in task_id else 0.01)
    assert TASKS[task_id]


@given(seed=st.integers(0, 2**64), draws=st.integers(0, 5))
def test_generators_survive_packing(seed, draws):
    generator = np.random.default_rng(seed)
    generator.integers(0, 10, size=draws, dtype=np.uint32)
    packed = pack_generators([generator])
    (copy,) = unpack_generators(packed)
    np.testing.assert_array_equal(pack_generators([copy]), packed)
    assert copy.integers(0, 2**31, dtype=np.uint32) == generator.integers(0, 2**31, dtype=np.uint32)
    assert copy.normal() == generator.normal()


@pytest.mark.parametrize("size", [1e10, 1e160, -1.7e308])
def test_finite_actions_of_any_size_are_rewarded_with_a_finite_number(size):
    env = make_vector("SafetyHalfCheetahVelocity-v1", 1)
    env.reset(seed=0)
    obs, reward, *_ = env.step(np.full((1, 6), size))
    assert np.isfinite(obs).all()
    # The control costs 0.1 of its square, but no more than that of MuJoCo's largest number.
    np.testing.assert_allclose(reward, -0.1 * 6 * 1e20, rtol=1e-6)


def test_options_of_a_reset_are_refused():
    with pytest.raises(ValueError, match="options: robot is unknown"):
        make_vector("SafetyHalfCheetahVelocity-v1", 1).reset(seed=0, options={"robot": (0, 0)})


@every_task
def test_velocity_names_what_the_task_limits(task_id):
    env = VelocityVectorEnv(task_id, 1)
    env.reset(seed=0)
    speeds = [np.linalg.norm(env.step(action)[0][0, list(env.velocity)]) for action in random_actions(env, 5)]
    root = env.worlds.get_state()["qvel"][0, : len(env.velocity)]
    assert len(env.velocity) == (2 if VELOCITY_TASKS[task_id].planar else 1)
    assert speeds[-1] == pytest.approx(np.linalg.norm(np.clip(root, -10.0, 10.0)))
