"""The maps of a trained policy: what SAC-ALaM says of hazards, braking zones and speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from statewise.envs import make_vector
from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.maps.numbers import risk_numbers
from statewise.maps.sampling import navigation_maps
from statewise.policy import Policy

POLICY = Path(__file__).parents[2] / "examples" / "policies" / "sac-alam-goal1.safetensors"
SPEEDS = (0.0, 1.0, 2.0)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy.read(POLICY)


@pytest.fixture(scope="module")
def env(policy: Policy) -> NavigationVectorEnv:
    made = make_vector(policy.about.task, 1)
    assert isinstance(made, NavigationVectorEnv)
    return made


def test_risk_is_in_the_hazards_and_in_the_way_to_them(policy: Policy, env: NavigationVectorEnv) -> None:
    numbers = risk_numbers([("trained", policy)], env, 0, SPEEDS, layouts=6)
    lam = {(n.speed, n.heading, n.place): n.lam for n in numbers}
    for speed in SPEEDS:
        by_distance = [lam[speed, "all", place] for place in ("inside", "0.1 to 0.2", "0.2 to 0.4", "beyond 0.8")]
        assert by_distance == sorted(by_distance, reverse=True)
        assert by_distance[0] > 3.0 * by_distance[2] > 9.0 * by_distance[3]
        assert lam[speed, "all", "inside against far"] > 0.95  # AUROC
    braking = [lam[speed, "towards", "0.2 to 0.4"] for speed in SPEEDS[1:]]
    leaving = [lam[speed, "away", "0.2 to 0.4"] for speed in SPEEDS[1:]]
    assert braking[0] > 1.5 * leaving[0]
    assert braking[1] > 3.0 * leaving[1]
    assert braking[1] > braking[0]


def test_risk_moves_to_where_an_eastward_robot_comes_from(policy: Policy, env: NavigationVectorEnv) -> None:
    (maps,) = navigation_maps([("trained", policy)], env, 1_000_003, (0.0, 1.5), (0.0,), cells=41)
    hazards = np.array([each.points.mean(axis=0) for each in maps.outlines if each.kind == "hazard"])
    x, y = np.meshgrid(maps.x, maps.y)
    offset = np.stack([x, y], axis=-1)[:, :, None] - hazards
    nearest = np.linalg.norm(offset, axis=-1).argmin(axis=-1)
    east, north = np.moveaxis(np.take_along_axis(offset, nearest[..., None, None], axis=2)[:, :, 0], -1, 0)
    beside = (np.abs(north) < 0.2) & (np.hypot(east, north) > 0.2) & (np.abs(east) < 0.6)
    west_of, east_of = (maps.lam[:, beside & side].mean(axis=1) for side in (east < 0.0, east > 0.0))
    assert west_of[1] - east_of[1] > west_of[0] - east_of[0]
    assert west_of[1] > 1.2 * east_of[1]
