"""The adapter for code written for safety-gymnasium: six values, its `info`, and the way back into a vector."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from statewise.envs import make_vector
from statewise.envs.navigation.six_values import SixValues, make_six_values

COSTS = {
    "SafetyPointGoal1-v0": {"cost_hazards"},
    "SafetyCarGoal2-v0": {"cost_hazards", "cost_vases_contact", "cost_vases_velocity"},
    "SafetyPointCircle1-v0": {"cost_out_of_boundary"},
    "SafetyPointButton1-v0": {"cost_hazards", "cost_gremlins", "cost_buttons"},
    "SafetyPointGoal0-v0": set(),
}


@pytest.mark.parametrize("task", COSTS)
def test_same_steps_as_the_task_with_the_originals_info(task: str) -> None:
    six, plain = make_six_values(task), gymnasium.make(task)
    obs, info = six.reset(seed=1)
    assert info == {}
    np.testing.assert_array_equal(obs, plain.reset(seed=1)[0])
    plain.action_space.seed(0)
    for _ in range(20):
        action = plain.action_space.sample()
        obs, reward, cost, terminated, truncated, info = six.step(action)
        expected = plain.step(action)
        np.testing.assert_array_equal(obs, expected[0])
        assert (reward, cost, terminated, truncated) == (expected[1], expected[4]["cost"], *expected[2:4])
        assert info.keys() == COSTS[task] | {"cost_sum"}
        assert all(value in (0.0, 1.0) for value in info.values())
        assert info["cost_sum"] == cost


def drive_to_the_goal(env: SixValues, seed: int) -> list[dict]:
    """Infos of an episode in which the Point drives at the goal until it was met, and ten steps more."""
    obs, _ = env.reset(seed=seed)
    infos = []
    while len(infos) < 900 and not any("goal_met" in info for info in infos[-11:-10]):
        angle = (np.argmax(obs[28:44] if len(obs) == 76 else obs[12:28]) + 0.5) * np.pi / 8
        turn = np.angle(np.exp(1j * angle))
        obs, *_, info = env.step(np.array([0.02 if abs(turn) < 0.5 else 0.0, np.clip(turn, -1, 1)]))
        infos.append(info)
    return infos


def test_goal_met_only_in_the_step_in_which_it_was() -> None:
    infos = drive_to_the_goal(make_six_values("SafetyPointGoal0-v0"), seed=0)
    told = [info["goal_met"] for info in infos if "goal_met" in info]
    assert told
    assert all(told)
    assert len(told) < len(infos)


def test_wrong_buttons_have_no_key_while_they_do_not_cost() -> None:
    infos = drive_to_the_goal(make_six_values("SafetyPointButton1-v0"), seed=0)
    met = next(i for i, info in enumerate(infos) if "goal_met" in info)
    assert all("cost_buttons" in info for info in infos[: met + 1])
    assert not any("cost_buttons" in info for info in infos[met + 1 : met + 11])


def test_velocity_tasks_keep_the_robots_own_keys() -> None:
    env = make_six_values("SafetyHopperVelocity-v1")
    env.reset(seed=0)
    *_, cost, _, _, info = env.step(env.action_space.sample())
    assert cost in (0.0, 1.0)
    assert {"x_position", "x_velocity"} <= info.keys()
    assert not {"cost", "constraint"} & info.keys()


def test_way_back_into_a_vector_gives_the_native_figures() -> None:
    task = "SafetyPointGoal1-v0"
    back, native = make_vector(make_six_values(task), 2), make_vector(task, 2)
    np.testing.assert_array_equal(back.reset(seed=5)[0], native.reset(seed=5)[0])
    actions = np.random.default_rng(0).uniform(-1, 1, (60, 2, 2)).astype(np.float32)
    for action in actions:
        ours, theirs = back.step(action), native.step(action)
        for mine, other in zip(ours[:4], theirs[:4], strict=True):
            np.testing.assert_array_equal(mine, other)
        np.testing.assert_array_equal(ours[4]["cost"], theirs[4]["cost"])
    assert not back.has_constraint


def test_environment_without_a_cost_is_refused() -> None:
    env = SixValues(gymnasium.make("Pendulum-v1"))
    env.reset(seed=0)
    with pytest.raises(ValueError, match="no info\\['cost'\\]"):
        env.step(np.zeros(1))
