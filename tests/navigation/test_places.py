"""Where a reset is told to put things, and tasks of one's own that can't be set up or that break off."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from statewise.envs import SafeVectorEnv, make_vector
from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.envs.navigation.objects import BUTTON, GOAL, HAZARD, Objects
from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.envs.navigation.robots import POINT
from statewise.envs.navigation.task import NavigationTask, Verdict
from statewise.envs.navigation.worlds import NavigationWorlds
from statewise.errors import EnvironmentFault

GOAL1, BUTTON1 = "SafetyPointGoal1-v0", "SafetyPointButton1-v0"
HAZARDS = [(x, y) for x in (-1.2, -0.4, 0.4, 1.2) for y in (-1.0, 1.0)]
BUTTONS = [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)]


def worlds_of(env: SafeVectorEnv) -> NavigationWorlds:
    assert isinstance(env, NavigationVectorEnv)
    return env.worlds


def test_robot_hazards_and_goal_stand_where_they_are_told_and_are_observed_there() -> None:
    env = make_vector(GOAL1, 2)
    obs, _ = env.reset(seed=3, options={"robot": (0.0, 0.0, 0.0), "hazard": HAZARDS, "goal": (1.5, 0.1)})
    view = worlds_of(env).view
    for world in range(2):
        np.testing.assert_allclose(view.position[world, :2], 0.0, atol=1e-12)
        np.testing.assert_allclose(view.xy["hazard"][world], HAZARDS)
        np.testing.assert_allclose(view.xy["goal"][world], [(1.5, 0.1)])
    # The goal's lidar is first; the goal lies a little to the left of straight ahead, in bin 0.
    goal = obs[0, POINT.observed : POINT.observed + 16]
    assert goal.argmax() == 0
    assert goal[0] == pytest.approx(1.0 - np.hypot(1.5, 0.1) / 3.0)
    # What isn't named is drawn, at another place in each world, and keeps away from what is.
    vases = view.xy["vase"][:, 0]
    assert (vases[0] != vases[1]).any()
    others = np.array([(0.0, 0.0), *HAZARDS])
    assert (np.linalg.norm(vases[:, None] - others, axis=2) >= 0.15 + 0.18).all()


def test_the_reward_is_the_way_made_to_the_goal_that_was_placed() -> None:
    env: Any = gymnasium.make(GOAL1)
    env.reset(seed=0, options={"robot": (0.0, 0.0, 0.0), "goal": (1.0, 0.0)})
    before = np.array([0.0, 0.0])
    _, reward, *_ = env.step(np.array([1.0, 0.0]))
    after = env.unwrapped.worlds.view.position[0, :2]
    ways = [np.hypot(*(np.array([1.0, 0.0]) - at)) for at in (before, after)]
    assert reward == pytest.approx(ways[0] - ways[1], abs=1e-12)


def test_places_are_for_one_episode_and_leave_later_ones_to_the_stream() -> None:
    env, other = make_vector(GOAL1, 1), make_vector(GOAL1, 1)
    env.reset(seed=5, options={"robot": (0.0, 0.0)})
    again, _ = env.reset(seed=5)
    usual, _ = other.reset(seed=5)
    np.testing.assert_array_equal(again, usual)


def test_a_placed_state_is_restored_to_the_bit() -> None:
    env, other = make_vector(GOAL1, 1), make_vector(GOAL1, 1)
    env.reset(seed=0, options={"robot": (0.2, 0.1, 1.0), "goal": (-1.0, 0.0)})
    state = env.get_state()
    other.set_state(state)
    for _ in range(5):
        mine, theirs = (vector.step(np.full((1, 2), 0.5))[0] for vector in (env, other))
        np.testing.assert_array_equal(mine, theirs)


def test_the_goal_of_a_button_task_is_the_button_that_it_is_put_on() -> None:
    env = make_vector(BUTTON1, 1)
    env.reset(seed=0, options={"button": BUTTONS, "goal": (1.0, -1.0)})
    assert worlds_of(env).view.memory["goal_button"].tolist() == [2]
    with pytest.raises(ValueError, match="place the buttons too"):
        env.reset(seed=0, options={"goal": (0.5, 0.5)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"robo": (0, 0)}, "'robo' can't be placed here; what can are robot, goal, hazard, vase"),
        ({"robot": (0, 0, 0, 0)}, r"robot is \(0, 0, 0, 0\); it must be \(x, y\) or \(x, y, yaw\)"),
        ({"robot": "here"}, "robot is 'here'"),
        ({"robot": (np.nan, 0)}, "finite numbers"),
        ({"hazard": [(0, 0)]}, r"it must be a list of 8 of \(x, y\)"),
        ({"hazard": [(0, 0)] * 7 + [(0, 0, 0)]}, "it must be a list of 8"),
    ],
)
def test_places_that_do_not_fit_are_refused(options: Any, message: str) -> None:
    for env in (make_vector(GOAL1, 1), gymnasium.make(GOAL1)):
        with pytest.raises(ValueError, match=message):
            env.reset(seed=0, options=options)


def test_what_has_a_fixed_place_stays_there() -> None:
    with pytest.raises(ValueError, match="'sigwall' can't be placed here; what can are robot"):
        make_vector("SafetyPointCircle1-v0", 1).reset(seed=0, options={"sigwall": [(0, 0), (1, 1)]})


# --- tasks of one's own ------------------------------------------------------------------------------------------


class Plain(NavigationTask):
    """Goal and hazards; what `judge` says of a step can be replaced."""

    objects = (Objects(GOAL, 1, 0.3), Objects(HAZARD, 2, 0.2))
    lidars = ("goal", "hazard")

    def __init__(self, verdict: Any = None, **fields: Any) -> None:
        self.verdict = verdict
        for name, value in fields.items():
            setattr(self, name, value)

    def judge(self, view: Any) -> Verdict:
        n = len(view.position)
        told = Verdict(np.zeros(n), {"cost_hazards": np.zeros(n)}, np.full(n, -1.0), np.zeros(n, bool))
        return told if self.verdict is None else self.verdict(told)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"robot_extents": 0.0}, "robot_extents is 0.0, less than the robot_keepout of 0.4"),
        ({"robot_extents": np.nan}, "robot_extents is nan"),
        ({"extents": 0.35}, "extents is 0.35, less than the robot_keepout of 0.4"),
        ({"extents": 0.25, "robot_keepout": 0.1}, "extents is 0.25, less than the keepout of goal of 0.3"),
        ({"robot_keepout": -0.1}, "robot_keepout is -0.1; it must be 0 or more"),
        ({"lidars": ("goal", "hazrd")}, "lidars: 'hazrd' is not allowed; it must be one of goal, hazard"),
        ({"lidars": ("goal", "goal")}, "lidars: 'goal' is there twice"),
        ({"lidar_reach": 0.0}, "lidar_reach is 0.0; it must be positive"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0; it must be at least 1"),
        (
            {"objects": (Objects(GOAL, 1, 0.3), Objects(HAZARD, 1, 0.2), Objects(HAZARD, 1, 0.2))},
            "'hazard' is there 2 ",
        ),
        ({"objects": (Objects(GOAL, 1, 0.3), Objects(HAZARD, 0, 0.2))}, "count of hazard is 0; it must be at least 1"),
    ],
)
def test_a_task_that_cannot_be_set_up_names_its_field(fields: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NavigationWorlds(Plain(**fields), POINT, 1)


def test_a_robot_whose_room_is_its_keepout_stands_in_the_middle() -> None:
    worlds = NavigationWorlds(Plain(robot_extents=0.4), POINT, 1)
    for seed in range(3):
        worlds.restart(0, seed)
        np.testing.assert_allclose(worlds.view.position[0, :2], 0.0, atol=1e-12)


def spoilt(**fields: Any) -> Any:
    return lambda told: told._replace(**fields)


@pytest.mark.parametrize(
    ("verdict", "message"),
    [
        (spoilt(reward=np.array([0.0, np.nan])), "world 1, step 1: reward is nan"),
        (spoilt(margin=np.array([-np.inf, -1.0])), "world 0, step 1: constraint is -inf"),
        (spoilt(costs={"cost_hazards": np.array([np.inf, 0.0])}), "world 0, step 1: cost is inf"),
        (spoilt(reward=np.zeros(3)), r"Plain.judge: reward has shape \(3,\); it must be \(2,\)"),
        (lambda told: told.nothing, "Plain.judge raised AttributeError"),
    ],
)
def test_a_task_that_breaks_off_names_world_step_and_field(
    verdict: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NAVIGATION_TASKS, "Plain-v0", (Plain(verdict), POINT))
    env = NavigationVectorEnv("Plain-v0", 2)
    env.reset(seed=0)
    with pytest.raises(EnvironmentFault, match=message):
        env.step(np.zeros((2, 2)))


def test_buttons_and_other_kinds_may_share_no_name_with_the_robot() -> None:
    from dataclasses import replace

    named = Objects(replace(BUTTON, name="robot"), 1, 0.2)
    with pytest.raises(ValueError, match="a kind can't be called 'robot'"):
        NavigationWorlds(Plain(objects=(*Plain.objects, named)), POINT, 1)
