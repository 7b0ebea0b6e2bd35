"""Maps of policies whose λ and F̂ are known functions, and their numbers, counted by hand."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from support.known_risk import known_policy

from statewise.core.normalizer import Normalizer
from statewise.envs import make_vector
from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.envs.navigation.objects import HAZARD_RADIUS
from statewise.maps.numbers import (
    Number,
    States,
    auroc,
    class_names,
    constraint_at,
    draw_states,
    numbers_table,
    risk_numbers,
)
from statewise.maps.sampling import coordinate_maps, half_width, navigation_maps, observe_moving, usual_speed

GOAL = "SafetyPointGoal1-v0"
GOAL_BINS, HAZARD_BINS = slice(12, 28), slice(28, 44)
EAST = (0.0,)


def nearness(bins):
    return lambda obs: obs[:, bins].max(axis=1)


def navigation(task, seed=3):
    env = make_vector(task, 1)
    assert isinstance(env, NavigationVectorEnv)
    env.reset(seed=seed)
    return env


# --- maps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [GOAL, "SafetyCarGoal1-v0"])
def test_robot_is_driven_the_way_it_faces(task):
    env = navigation(task)
    before, rotation = env.worlds.view.position[0].copy(), env.worlds.view.rotation[0].copy()
    for _ in range(20):
        env.step(np.array([[1.0, 0.0 if "Point" in task else 1.0]]))
    x, y, _ = rotation.T @ (env.worlds.view.position[0] - before)
    assert math.atan2(y, x) == pytest.approx(env.worlds.robot.forward, abs=0.05)


@pytest.mark.parametrize(("task", "ahead"), [(GOAL, (1.0, 0.0)), ("SafetyCarGoal1-v0", (0.0, -1.0))])
def test_velocity_is_ahead_of_the_robot_whatever_the_direction(task, ahead):
    env = navigation(task)
    directions = np.arange(8) * np.pi / 4
    obs = observe_moving(env, np.zeros((8, 2)), np.full(8, 0.7), directions)
    np.testing.assert_allclose(obs[:, env.worlds.robot.velocity], 0.7 * np.tile(ahead, (8, 1)), atol=1e-6)


def test_map_has_its_places_and_its_velocities_where_it_says():
    policy = known_policy(GOAL, lam=lambda obs: obs[:, 3], f=nearness(GOAL_BINS))
    (maps,) = navigation_maps([("known", policy)], navigation(GOAL), 8, (0.0, 0.5, 2.0), (0.0, np.pi), cells=25)
    assert maps.lam.shape == maps.f.shape == (6, 25, 25)
    assert [motion.speed for motion in maps.motions] == [0.0, 0.5, 2.0, 0.0, 0.5, 2.0]
    for motion, lam in zip(maps.motions, maps.lam, strict=True):
        np.testing.assert_allclose(lam, motion.speed, atol=1e-6)
    # F̂ is nearness to the goal, which is where its outline is; x and y differ there, so that an exchange would show.
    (goal,) = (outline.points.mean(axis=0) for outline in maps.outlines if outline.kind == "goal")
    j, i = np.unravel_index(maps.f[0].argmax(), (25, 25))
    cell = maps.x[1] - maps.x[0]
    assert abs(goal[0] - goal[1]) > 3 * cell
    assert np.hypot(maps.x[i] - goal[0], maps.y[j] - goal[1]) < cell


def test_outlines_are_what_stands_in_the_plane():
    policy = known_policy(GOAL, lam=nearness(HAZARD_BINS), f=nearness(HAZARD_BINS))
    env = navigation(GOAL)
    (maps,) = navigation_maps([("known", policy)], env, 3, (0.0,), EAST, cells=5)
    assert [outline.kind for outline in maps.outlines] == ["goal", *["hazard"] * 8, "vase"]
    hazards = [outline.points for outline in maps.outlines if outline.kind == "hazard"]
    for points, centre in zip(hazards, env.worlds.view.xy["hazard"][0], strict=True):
        np.testing.assert_allclose(np.linalg.norm(points - centre, axis=1), HAZARD_RADIUS)
    vase = maps.outlines[-1].points
    np.testing.assert_allclose(np.linalg.norm(vase - np.roll(vase, 1, axis=0), axis=1), 0.2)


def test_walls_of_the_circle_stand_at_the_boundary():
    task = "SafetyPointCircle2-v0"
    policy = known_policy(task, lam=lambda obs: obs[:, 0], f=lambda obs: obs[:, 0])
    (maps,) = navigation_maps([("known", policy)], navigation(task), 0, (0.0,), EAST, cells=5)
    middles = [outline.points.mean(axis=0) for outline in maps.outlines if outline.kind == "sigwall"]
    np.testing.assert_allclose(
        sorted(map(tuple, middles)), [(-1.125, 0), (0, -1.125), (0, 1.125), (1.125, 0)], atol=1e-9
    )


def test_usual_speed_is_the_root_mean_square_of_training():
    robot = navigation(GOAL).worlds.robot
    assert usual_speed(known_policy(GOAL, nearness(GOAL_BINS), nearness(GOAL_BINS)), robot) is None
    velocity = np.array([(0.0, 1.0), (2.0, 1.0), (2.0, -1.0), (0.0, -1.0)])
    mean, m2 = np.full(60, 9.0), np.full(60, 9.0)
    mean[3:5], m2[3:5] = velocity.mean(axis=0), 4 * velocity.var(axis=0)
    statistics = Normalizer(*(cast("Any", values) for values in (np.float32(4.0), mean, m2)))
    policy = known_policy(GOAL, nearness(GOAL_BINS), nearness(GOAL_BINS), statistics=statistics)
    assert usual_speed(policy, robot) == pytest.approx(math.sqrt(3.0))


@pytest.mark.parametrize("speed", [-1.0, math.inf, math.nan])
def test_speed_that_is_none(speed):
    with pytest.raises(ValueError, match=r"speeds: .* is not allowed"):
        navigation_maps([], navigation(GOAL), 0, (speed,))


def test_map_over_two_entries_holds_the_others():
    task = "SafetySwimmerVelocity-v1"
    env = make_vector(task, 1)
    policy = known_policy(task, lam=lambda obs: obs[:, 2], f=lambda obs: 2.0 * obs[:, 0])
    (maps,) = coordinate_maps([("known", policy)], env, 5, (2, 0), cells=7)
    np.testing.assert_allclose(maps.lam[0], np.tile(maps.x, (7, 1)), rtol=1e-6)
    np.testing.assert_allclose(maps.f[0], 2.0 * np.tile(maps.y[:, None], (1, 7)), rtol=1e-6)
    assert maps.note == "the rest as at step 500 of the episode of seed 5"
    held = known_policy(task, lam=lambda obs: obs[:, 1], f=lambda obs: obs[:, 3])
    first, again, other = (coordinate_maps([("k", held)], env, 5, (2, 0), step, 7)[0] for step in (40, 40, 41))
    assert np.ptp(first.lam) == np.ptp(first.f) == 0.0
    np.testing.assert_array_equal(first.lam, again.lam)
    assert first.lam[0, 0, 0] != other.lam[0, 0, 0]


@pytest.mark.parametrize(
    ("coordinates", "step", "said"),
    [((0, 0), None, "two different entries, 0 to 7"), ((0, 8), None, "0 8 is not"), ((0, 1), 1000, "step: 1000")],
)
def test_entries_and_steps_that_there_are_none_of(coordinates, step, said):
    task = "SafetySwimmerVelocity-v1"
    policy = known_policy(task, lam=lambda obs: obs[:, 0], f=lambda obs: obs[:, 0])
    with pytest.raises(ValueError, match=said):
        coordinate_maps([("known", policy)], make_vector(task, 1), 5, coordinates, step)


# --- numbers -----------------------------------------------------------------------------------------------------


def test_constraint_elsewhere_by_hand():
    env = navigation(GOAL)
    hazards = env.worlds.view.xy["hazard"][0]
    there = np.vstack([hazards, hazards[0] + (30.0, 0.0)])
    h = constraint_at(env.worlds, there)
    np.testing.assert_allclose(h[:-1], HAZARD_RADIUS)
    assert h[-1] == pytest.approx(HAZARD_RADIUS - np.linalg.norm(hazards - there[-1], axis=1).min())
    circle = navigation("SafetyPointCircle2-v0")
    np.testing.assert_allclose(constraint_at(circle.worlds, np.array([(1.0, 0.5), (0.0, -2.0)])), [-0.125, 0.875])


@pytest.mark.parametrize("task", [GOAL, "SafetyPointCircle2-v0", "SafetyCarGoal2-v0", "SafetyPointButton1-v0"])
def test_constraint_elsewhere_is_the_environments(task):
    env = navigation(task)
    state = env.get_state()
    _, _, _, _, infos = env.step(np.zeros((1, 2)))
    here = env.worlds.view.position[:1, :2].copy()
    env.set_state(state)
    assert constraint_at(env.worlds, here)[0] == pytest.approx(infos["constraint"][0], abs=1e-3)
    # Asking changed nothing of the world.
    for name, values in env.get_state().items():
        np.testing.assert_array_equal(values, state[name])


def test_states_are_paired_over_speeds_and_know_where_they_head():
    policy = known_policy(GOAL, lam=lambda obs: obs[:, 3], f=nearness(HAZARD_BINS))
    env = navigation(GOAL)
    slow, fast = (draw_states([("k", policy)], env, 7, speed, 2, eastward=False) for speed in (0.5, 1.5))
    for one, other in zip(slow[:3], fast[:3], strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(fast.lam, 1.5, atol=1e-6)
    assert np.abs(slow.place).max() <= half_width(env.worlds)
    assert np.abs(slow.heading).max() <= 1.0 + 1e-6
    # Distance to a violation is the hazards' nearness: 1 − (distance + radius)/reach.
    outside = slow.distance > 0.0
    np.testing.assert_allclose(slow.f[0][outside], 1.0 - (slow.distance[outside] + HAZARD_RADIUS) / 3.0, atol=0.2)
    east = draw_states([("k", policy)], env, 7, 0.5, 2, eastward=True)
    env.reset(seed=7)
    hazards = env.worlds.view.xy["hazard"][0]
    offset = hazards - east.place[:150, None]
    nearest = np.linalg.norm(offset, axis=-1).argmin(axis=1)
    ahead = offset[np.arange(150), nearest]
    np.testing.assert_allclose(east.heading[:150], ahead[:, 0] / np.linalg.norm(ahead, axis=1), atol=1e-2)


def test_numbers_of_states_counted_by_hand(monkeypatch):
    places = np.array([(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0), (0.5, 0.5)])
    states = States(
        place=places,
        distance=np.array([-0.1, 0.05, 0.15, 0.5, 1.0]),
        heading=np.array([1.0, 1.0, 0.0, -1.0, 1.0]),
        lam=np.array([[4.0, 3.0, 2.0, 1.0, 0.5]], np.float32),
        f=np.array([[0.6, 0.5, 0.4, 0.3, 0.7]], np.float32),
    )
    monkeypatch.setattr("statewise.maps.numbers.draw_states", lambda *_, **__: states)
    numbers = risk_numbers([("known", None)], None, 0, (1.0,))  # pyright: ignore[reportArgumentType]
    found = {(n.heading, n.place): n for n in numbers}
    assert class_names() == ["inside", "0 to 0.1", "0.1 to 0.2", "0.2 to 0.4", "0.4 to 0.8", "beyond 0.8"]
    assert [found["all", place].lam for place in class_names() if found["all", place].states] == [
        4.0,
        3.0,
        2.0,
        1.0,
        0.5,
    ]
    assert math.isnan(found["all", "0.2 to 0.4"].lam)
    assert found["towards", "0 to 0.1"].states == 1
    assert found["away", "0.4 to 0.8"].lam == 1.0
    assert found["across", "0.1 to 0.2"].lam == 2.0
    assert found["all", "inside against far"] == Number("known", 1.0, "all", "inside against far", "auroc", 3, 1.0, 0.5)
    assert found["east", "right"].lam == pytest.approx((3.0 + 0.5) / 2)  # the state inside a violation left out
    assert found["east", "lower right"].lam == 3.0
    table = numbers_table(numbers)
    assert "known: mean λ(x) by distance to the nearest violation, m" in table
    assert "1 m/s, all              4.000      3.000      2.000          -      1.000      0.500  1.000" in table


def test_auroc_by_hand():
    above, below = np.array([1.0, 2.0]), np.array([0.0, 1.0])
    assert auroc(above, below) == 0.875  # of four pairs three are in order and one is tied
    assert auroc(below, above) == 0.125
    assert math.isnan(auroc(above, below[:0]))
