"""The pseudo lidar, by hand and against a slow restatement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.envs.navigation.lidar import BINS, Lidar

WIDTH = 2.0 * np.pi / BINS
REACH = 3.0


def measure(places, rotation=None, height: float = 0.0, counts=None) -> np.ndarray:
    """Readings of one robot at the origin for places [n, 2]."""
    places = np.asarray(places, float).reshape(-1, 2)
    rotation = np.eye(3) if rotation is None else rotation
    offset = np.concatenate([places, np.full((len(places), 1), -height)], axis=1)
    lidar = Lidar(1, (len(places),) if counts is None else counts, REACH)
    return lidar.measure(offset[None], rotation[None])[0].copy()


def at(bins: float, distance: float) -> tuple[float, float]:
    """A place so many bins (a fraction, too) around from the x axis."""
    return distance * np.cos(bins * WIDTH), distance * np.sin(bins * WIDTH)


def test_object_straight_ahead_fills_bin_0_and_its_lower_neighbour():
    expected = np.zeros(BINS)
    expected[0] = expected[-1] = 2.0 / 3.0
    np.testing.assert_allclose(measure([(1.0, 0.0)]), expected, rtol=1e-15)


@pytest.mark.parametrize("bin_", range(BINS))
def test_object_in_the_middle_of_a_bin_shows_half_in_both_neighbours(bin_):
    expected = np.zeros(BINS)
    expected[bin_] = 0.5
    expected[(bin_ + 1) % BINS] = expected[(bin_ - 1) % BINS] = 0.25
    np.testing.assert_allclose(measure([at(bin_ + 0.5, 1.5)]), expected, atol=1e-14)


def test_aliasing_shares_as_the_object_moves_through_a_bin():
    reading = measure([at(3.25, 0.3)])
    np.testing.assert_allclose(reading[2:5], [0.9 * 0.75, 0.9, 0.9 * 0.25], rtol=1e-13)


@pytest.mark.parametrize("distance", [3.0, 3.0 + 1e-12, 50.0])
def test_nothing_is_seen_out_of_reach(distance):
    assert not measure([(distance, 0.0), (0.0, -distance)]).any()


def test_bins_wrap_between_the_last_and_the_first():
    just_below = measure([at(-1e-6, 1.5)])
    np.testing.assert_allclose(just_below[[14, 15, 0]], [0.0, 0.5, 0.5], atol=1e-6)
    # An angle of -1e-17 is 2 pi to the last bit, which would be bin 16.
    rounded = measure([(1.5, -1e-17)])
    np.testing.assert_allclose(rounded[[15, 0, 1]], [0.5, 0.5, 0.0], atol=1e-12)


def test_of_several_objects_the_nearest_counts_and_groups_do_not_mix():
    near, far, other = at(5.5, 1.0), at(5.5, 2.0), at(9.5, 0.6)
    both = measure([near, far, other], counts=(2, 1))
    np.testing.assert_array_equal(both[:BINS], measure([near]))
    np.testing.assert_array_equal(both[BINS:], measure([other]))


def test_object_at_the_robots_own_place_reads_1():
    assert measure([(0.0, 0.0)])[0] == 1.0


def test_tilted_robot_sees_its_own_height():
    tilt = 0.1
    rotation = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    distance = 1.0 * np.cos(tilt) + 0.5 * np.sin(tilt)
    assert measure([(1.0, 0.0)], rotation, height=0.5)[0] == pytest.approx(1.0 - distance / REACH, rel=1e-14)


def slow_lidar(places, rotation, position, reach) -> np.ndarray:
    """One robot and one group of objects, an object at a time."""
    reading = np.zeros(BINS)
    for place in places:
        x, y, _ = rotation.T @ (np.array([*place, 0.0]) - position)
        angle = np.arctan2(y, x) % (2.0 * np.pi)
        bin_ = int(angle / WIDTH)
        part = angle / WIDTH - bin_
        near = max(0.0, reach - np.hypot(x, y)) / reach
        for neighbour, share in ((bin_, 1.0), (bin_ + 1, part), (bin_ - 1, 1.0 - part)):
            reading[neighbour % BINS] = max(reading[neighbour % BINS], share * near)
    return reading


def random_rotation(stream: np.random.Generator) -> np.ndarray:
    rotation, triangle = np.linalg.qr(stream.standard_normal((3, 3)))
    return rotation * np.sign(np.diag(triangle))


@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    worlds=st.integers(1, 4),
    reach=st.sampled_from([3.0, 6.0]),
)
def test_all_worlds_and_groups_at_once_are_the_slow_restatement(seed, counts, worlds, reach):
    stream = np.random.default_rng(seed)
    position = stream.uniform(-2.0, 2.0, (worlds, 3))
    rotation = np.stack([random_rotation(stream) for _ in range(worlds)])
    places = stream.uniform(-3.0, 3.0, (worlds, sum(counts), 2))
    lidar = Lidar(worlds, tuple(counts), reach)
    ground = np.concatenate([places, np.zeros((*places.shape[:2], 1))], axis=2)
    lidar.measure(position[:, None] - ground, rotation)  # nothing of which is left over in the next one
    seen = lidar.measure(ground - position[:, None], rotation)
    assert ((seen >= 0.0) & (seen <= 1.0)).all()
    for world in range(worlds):
        groups = np.split(places[world], np.cumsum(counts)[:-1])
        expected = [slow_lidar(group, rotation[world], position[world], reach) for group in groups]
        np.testing.assert_allclose(seen[world], np.concatenate(expected), rtol=1e-10, atol=1e-12)
