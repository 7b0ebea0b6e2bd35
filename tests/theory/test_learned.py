"""Multiplier networks on the problem with a known multiplier: the mechanisms of training, unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from statewise.config import AlamConfig, LagNetConfig, MultiplierConfig
from statewise.theory.learned import learn, observe
from statewise.theory.problem import road, solve
from statewise.theory.updates import policy_step

PROBLEM = road(32)
SHARED: dict[str, Any] = {
    "hidden": (32, 32),
    "batch_size": 32,
    "optimizer": "adam",
    "cost_threshold": 0.0,
    "dual_steps": 20,
    "multiplier_bias": 0.0,
    "multiplier_learning_rate": 3e-3,
}


def test_what_a_network_sees() -> None:
    obs = observe(np.array([0.0, 0.5, 1.0]))
    assert obs.shape == (3, 8)
    np.testing.assert_allclose(obs[0], 1.0)
    np.testing.assert_allclose(obs[1], [0.0, -1.0, 0.0, 1.0] * 2, atol=1e-6)
    np.testing.assert_allclose(obs[2], [-1.0, 1.0] * 4, atol=1e-6)


def test_regression_comes_to_the_multiplier_and_the_policy() -> None:
    optimum = solve(PROBLEM)
    learned = learn(PROBLEM, AlamConfig(**SHARED), 60)
    distances = learned.distances(optimum.lam)
    assert learned.lam.shape == (61, 32)
    assert (learned.lam >= 0.0).all()
    assert distances[0] > 0.8
    assert distances[-10:].max() < 0.1
    np.testing.assert_allclose(learned.policy[-1], optimum.policy, atol=0.05)


@pytest.mark.parametrize(
    ("config", "rho"),
    [
        (AlamConfig(rho_init=2.0, **SHARED), 2.0),
        (AlamConfig(penalty="linear", **SHARED), 0.0),
        (LagNetConfig(**SHARED), 0.0),
    ],
)
def test_policies_minimise_the_lagrangian_of_their_method(config: MultiplierConfig, rho: float) -> None:
    learned = learn(PROBLEM, config, 1)
    expected = policy_step(PROBLEM, learned.lam[0], rho, np.zeros(32))
    np.testing.assert_allclose(learned.policy[0], expected, atol=1e-9)
