"""Layouts keep their distances, the two samplers agree, and streams count what they owe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statewise.envs.navigation import layout
from statewise.envs.navigation.layout import LayoutError, LayoutSampler, Plan, Streams, draw_place
from statewise.envs.navigation.registry import NAVIGATION_TASKS, find_task
from statewise.envs.navigation.worlds import make_plan

seeds = st.integers(0, 2**32 - 1)


def square(count: int, half: float, keepout: float) -> Plan:
    """Room for so many things in a square."""
    low = np.full((count, 2), keepout - half)
    return Plan(low, -2.0 * low, np.full(count, keepout))


@given(env_id=st.sampled_from(sorted(NAVIGATION_TASKS)), seed=seeds)
def test_layouts_keep_distance_and_stay_in_their_extents(env_id, seed):
    task, _ = find_task(env_id)
    plan = make_plan(task)
    xy = LayoutSampler(plan).draw(np.random.RandomState(seed))
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=2)
    apart = plan.keepout[:, None] + plan.keepout[None]
    pairs = np.triu_indices(len(xy), 1)
    assert (distance[pairs] >= apart[pairs]).all()
    fixed = {1 + i for i in range(len(xy) - 1) if "Circle" in env_id}
    for i, place in enumerate(xy):
        half = task.extents if i or task.robot_extents is None else task.robot_extents
        assert i in fixed or (np.abs(place) <= half - plan.keepout[i]).all()


@given(seed=seeds)
def test_fixed_places_are_kept_within_a_nanometre(seed):
    task, _ = find_task("SafetyPointCircle2-v0")
    xy = LayoutSampler(make_plan(task)).draw(np.random.RandomState(seed))
    expected = [(0.0, 0.0), (1.125, 0.0), (-1.125, 0.0), (0.0, 1.125), (0.0, -1.125)]
    np.testing.assert_allclose(xy[1:], expected, rtol=0, atol=1.001e-9)


def test_first_object_and_first_try_are_the_streams_next_doubles():
    plan = square(1, 2.0, 0.5)
    x, y = np.random.RandomState(3).uniform(-1.5, 1.5, 2)
    np.testing.assert_array_equal(LayoutSampler(plan).draw(np.random.RandomState(3)), [[x, y]])


@settings(max_examples=15)
@given(seed=seeds)
def test_compiled_sampler_is_the_plain_one(seed):
    plan = make_plan(find_task("SafetyPointButton1-v0")[0])
    doubles = np.random.RandomState(seed).random_sample(30_000)
    plain, compiled = np.zeros_like(plan.low), np.zeros_like(plan.low)
    used = layout._place(doubles, *plan, plain)
    assert layout._compiled_place()(doubles, *plan, compiled) == used
    np.testing.assert_array_equal(compiled, plain)


@given(seed=seeds)
def test_stream_goes_on_after_the_last_double_a_layout_used(seed):
    plan = make_plan(find_task("SafetyPointGoal2-v0")[0])
    stream = np.random.RandomState(seed)
    xy = LayoutSampler(plan).draw(stream)
    doubles = np.random.RandomState(seed).random_sample(100_000)
    used = layout._place(doubles, *plan, np.empty_like(xy))
    np.testing.assert_array_equal(stream.random_sample(3), doubles[used : used + 3])


@settings(max_examples=20)
@given(seed=seeds)
def test_sampler_that_has_met_a_crowd_draws_the_same_as_a_new_one(seed):
    plan = square(6, 1.0, 0.3)
    sampler = LayoutSampler(plan)
    stream, same = np.random.RandomState(seed), np.random.RandomState(seed)
    for _ in range(3):
        np.testing.assert_array_equal(sampler.draw(stream), LayoutSampler(plan).draw(same))


@settings(max_examples=20)
@given(seed=seeds)
def test_layout_that_outgrows_its_first_block_of_doubles_is_the_same(seed):
    plan = square(6, 1.0, 0.3)
    xy, whole = LayoutSampler(plan).draw(np.random.RandomState(seed)), np.empty_like(plan.low)
    assert layout._place(np.random.RandomState(seed).random_sample(1_000_000), *plan, whole) > 0
    np.testing.assert_array_equal(xy, whole)


def test_too_little_room_is_a_layout_error():
    with pytest.raises(LayoutError, match="9 objects"):
        LayoutSampler(square(9, 0.6, 0.4)).draw(np.random.RandomState(0))
    with pytest.raises(LayoutError, match="no free place"):
        draw_place(np.random.RandomState(0), np.zeros(2), np.ones(2), np.array([2.0]), np.zeros((1, 2)))


@given(seed=seeds, count=st.integers(0, 12))
def test_new_place_is_the_first_try_that_is_free(seed, count):
    others = np.random.RandomState(seed ^ 1).uniform(-1.0, 1.0, (count, 2))
    reach = np.full(count, 0.3)
    place = draw_place(np.random.RandomState(seed), np.full(2, -1.0), np.full(2, 2.0), reach, others)
    tries = np.random.RandomState(seed).uniform(-1.0, 1.0, (1000, 2))
    free = [try_ for try_ in tries if all(np.hypot(*(try_ - other)) >= 0.3 for other in others)]
    np.testing.assert_array_equal(place, free[0])


@given(seed=seeds, plan=st.lists(st.sampled_from(["skip", "draw", "store"]), max_size=30))
def test_streams_are_plain_ones_that_waste_a_double_at_every_skip(seed, plan):
    streams = Streams(2)
    plain = [np.random.RandomState(seed), np.random.RandomState(7)]
    streams.seed(0, seed)
    streams.seed(1, 7)
    for deed in plan:
        if deed == "skip":
            streams.skip()
            for stream in plain:
                stream.uniform()
        elif deed == "draw":
            assert streams.of(0).choice(4) == plain[0].choice(4)
            assert streams.of(0).uniform(-1.0, 2.0) == plain[0].uniform(-1.0, 2.0)
        else:
            stored, streams = streams.pack(), Streams(2)
            key, position, owed = (stored[f"stream_{name}"] for name in ("key", "position", "owed"))
            streams.unpack(key.astype(np.uint32), position.astype(np.int64), owed.astype(np.int64))
    for world, stream in enumerate(plain):
        np.testing.assert_array_equal(streams.of(world).random_sample(3), stream.random_sample(3))


def test_seeding_forgets_what_was_owed():
    streams = Streams(1)
    streams.skip()
    streams.seed(0, 5)
    assert streams.of(0).random_sample() == np.random.RandomState(5).random_sample()
