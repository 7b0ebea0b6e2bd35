"""A task of one's own: other objects, other rules, a memory, and goals that run out of room."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.envs.navigation.layout import LayoutError
from statewise.envs.navigation.objects import GREMLIN, VASE, Kind, Objects
from statewise.envs.navigation.robots import CAR, POINT, ROBOTS
from statewise.envs.navigation.task import NavigationTask, Verdict
from statewise.envs.navigation.worlds import NavigationWorlds

PILLAR = Kind("pillar", "cylinder", (0.2, 0.5), 0.5, "fixed", (0.5, 0.5, 1.0, 1.0))
MARK = Kind("mark", "sphere", (0.05,), 0.05, "ghost", (1.0, 1.0, 0.0, 1.0), turned=False)


class Herd(NavigationTask):
    """Go away from where the episode began, and leave pillars and vases alone; 0.1 m away a new start is set."""

    extents = 2.5
    lidar_reach = 2.0

    objects = (
        Objects(VASE, 2, 0.2),
        Objects(MARK, 2, 0.1),
        Objects(PILLAR, 2, 0.3, at=((1.0, 0.5), (-1.0, 0.5))),
        Objects(GREMLIN, 1, 0.4),
    )
    lidars = ("pillar", "vase")

    def memory(self, num_envs):
        return {"start": np.zeros((num_envs, 2)), "renewed": np.zeros(num_envs, np.int64)}

    def begin(self, view, world, stream):
        view.memory["start"][world] = view.position[world, :2] + 1e-3 * stream.random_sample(2)
        view.memory["renewed"][world] = 0

    def judge(self, view):
        away = np.linalg.norm(view.position[:, :2] - view.memory["start"], axis=1)
        costs = {f"cost_{kind}": view.touching[kind].any(axis=1).astype(float) for kind in ("pillar", "vase")}
        margins = [0.3 - view.distance[kind].min(axis=1) for kind in ("pillar", "vase")]
        return Verdict(away, costs, np.maximum(*margins), away >= 0.1)

    def renew(self, view, world, stream):
        view.memory["renewed"][world] += 1
        if view.memory["renewed"][world] > 3:
            raise LayoutError("enough")
        view.memory["start"][world] = view.position[world, :2]


def drive(worlds: NavigationWorlds, steps: int) -> list[np.ndarray]:
    stream = np.random.default_rng(0)
    rows = []
    for _ in range(steps):
        outcome = worlds.step(stream.choice((-1.0, 1.0), (len(worlds.obs), 2)))
        dense = (outcome.next_obs, outcome.reward, outcome.cost, outcome.constraint, outcome.terminated)
        rows.append((*dense, outcome.info["goal_met"]))
    return [np.stack(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("robot", ROBOTS.values(), ids=ROBOTS)
def test_own_task_runs_with_either_robot_and_resumes_to_the_bit(robot):
    worlds = NavigationWorlds(Herd(), robot, 3)
    for world in range(3):
        worlds.restart(world, world)
    assert worlds.observe_all().shape == (3, robot.observed + 2 * 16)
    np.testing.assert_allclose(worlds.view.xy["pillar"], np.tile([(1.0, 0.5), (-1.0, 0.5)], (3, 1, 1)))
    obs, reward, cost, constraint, terminated, met = drive(worlds, 30)
    assert np.isfinite(obs).all()
    assert ((reward >= 0.1) == met).all()
    assert ((constraint > 0.0) == (cost > 0.0)).all()
    assert not terminated.any()
    state = worlds.get_state()
    expected = drive(worlds, 20)
    other = NavigationWorlds(Herd(), robot, 3)
    other.set_state(state)
    for mine, theirs in zip(drive(other, 20), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_lidars_show_their_kinds_in_the_order_of_the_task():
    worlds = NavigationWorlds(Herd(), POINT, 1)
    worlds.restart(0, 0)
    xy, yaw = worlds.layout_xy[0].copy(), np.zeros_like(worlds.yaw[0])
    # With this yaw, what is to the left is in the middle of bin 4.
    yaw[0] = -np.pi / 16
    # The robot, vases, marks, pillars, the gremlin; the second vase is out of reach.
    xy[:] = [(0, 0), (0, 1.5), (0, 5), (0.1, 0), (0, 0.1), (1.0, 0.5), (-1.0, 0.5), (0, -1)]
    worlds.place(0, xy, yaw)
    pillars, vases = worlds.observe_all()[0, POINT.observed :].reshape(2, 16)
    # The pillars stand 37.8 and 164.7 degrees to the left of where the robot looks.
    near = 1.0 - np.hypot(1.0, 0.5) / 2.0
    np.testing.assert_allclose(pillars[[1, 7]], near)
    assert pillars.max() == pytest.approx(near)
    np.testing.assert_allclose(vases[[3, 4, 5]], [0.125, 0.25, 0.125], atol=1e-9)
    assert np.count_nonzero(vases > 1e-9) == 3


def test_touching_a_fixed_thing_costs_and_stops_the_robot():
    worlds = NavigationWorlds(Herd(), POINT, 1, sleep=False)
    worlds.restart(0, 0)
    xy, yaw = worlds.layout_xy[0].copy(), np.zeros_like(worlds.yaw[0])
    xy[:] = [(0.55, 0.5), (0, 2), (0, -2), (2, 2), (2, -2), (1.0, 0.5), (-1.0, 0.5), (-2, -2)]
    worlds.place(0, xy, yaw)
    worlds.task.begin(worlds.view, 0, worlds.streams.of(0))
    outcomes = [worlds.step(np.array([[1.0, 0.0]])) for _ in range(40)]
    assert outcomes[0].cost[0] == 0.0
    assert max(outcome.info["cost_pillar"][0] for outcome in outcomes) == 1.0
    assert np.linalg.norm(worlds.view.position[0, :2] - (1.0, 0.5)) > 0.25


def test_episode_ends_where_there_is_no_room_for_another_goal():
    worlds = NavigationWorlds(Herd(), POINT, 2)
    for world in range(2):
        worlds.restart(world, world)
    ends = np.stack([worlds.step(np.array([[1.0, 0.0], [0.0, 0.0]])).terminated for _ in range(200)])
    assert ends[:, 0].any()
    assert not ends[:, 1].any()


def test_too_many_objects_are_a_layout_error():
    crowded = Herd()
    crowded.extents = 0.5
    worlds = NavigationWorlds(crowded, CAR, 1)
    with pytest.raises(LayoutError, match="8 objects"):
        worlds.restart(0, 0)


def test_fixed_places_are_needed_for_all_objects_of_a_kind():
    with pytest.raises(ValueError, match="at of pillar has 1 entries; 2 are needed"):
        Objects(PILLAR, 2, 0.3, at=((0.0, 0.0),))
