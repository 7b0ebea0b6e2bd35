"""Probe states, what is read off them, and critics against Monte Carlo, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.toys import ExactPoint

from statewise.envs import make_vector
from statewise.training.diagnostics import PROBE_STATES, Experience, Probe, probe_states

GAMMA = 0.5
OBS = np.arange(6.0).reshape(3, 2)


class FakeLearner:
    """λ, policy and critics that the test sets: values are (10, 20) everywhere unless told otherwise."""

    def __init__(self) -> None:
        self.lam = np.array([0.0, 1.0, 2.0])
        self.mean = np.zeros((3, 1))
        self.asked: list[int] = []

    def risk(self, obs: Any) -> Any:
        return self.lam, np.zeros(len(obs))

    def moments(self, obs: Any) -> Any:
        return self.mean, np.zeros_like(self.mean)

    def values(self, obs: Any) -> Any:
        self.asked.append(len(obs))
        return np.full(len(obs), 10.0), np.full(len(obs), 20.0)

    def backup(self, reward: Any, cost: Any, constraint: Any, terminated: Any, value: Any, f: Any) -> Any:
        later = GAMMA * (1.0 - terminated)
        return reward + later * value, cost + later * f


def learner() -> Any:
    return FakeLearner()


def test_the_first_evaluation_has_quantiles_and_no_changes() -> None:
    figures = Probe(learner(), OBS).metrics()
    assert figures["probe_lam"] == figures["probe_lam_q50"] == 1.0
    assert figures["probe_lam_q10"] == pytest.approx(0.2)
    assert figures["probe_lam_max"] == 2.0
    assert "probe_lam_change" not in figures
    assert "policy_kl" not in figures


def test_later_ones_have_changes_since_the_one_before_across_a_save_too() -> None:
    fake = learner()
    probe = Probe(fake, OBS)
    probe.metrics()
    again = Probe(fake, OBS)
    again.load(probe.arrays())
    fake.lam = np.array([0.5, 1.0, 3.0])
    fake.mean = np.full((3, 1), 0.2)
    figures = again.metrics()
    assert figures["probe_lam_change"] == pytest.approx(0.5)
    assert figures["policy_kl"] == pytest.approx(0.5 * 0.2**2)
    assert again.metrics()["probe_lam_change"] == 0.0


def played(rewards: list[list[float]], ends: dict[int, str]) -> Experience:
    """One world's steps with cost = reward; `ends` says where an episode ended, and how."""
    experience = Experience()
    for t, reward in enumerate(rewards):
        now = np.array(reward)
        terminated, truncated = (np.array([ends.get(t) == how]) for how in ("terminated", "truncated"))
        infos = {"cost": now, "constraint": now, "next_obs": np.zeros((1, 2))}
        experience.add(np.zeros((1, 2)), now, terminated, truncated, infos)
    return experience


@pytest.mark.parametrize(
    ("ends", "came", "f_came"),
    [
        ({1: "terminated"}, 1.0 + 0.5 * 2.0, 1.0 + 0.5 * 2.0),
        ({1: "truncated"}, 1.0 + 0.5 * (2.0 + 0.5 * 10.0), 1.0 + 0.5 * (2.0 + 0.5 * 20.0)),
        ({}, 1.0 + 0.5 * (2.0 + 0.5 * (4.0 + 0.5 * 10.0)), 1.0 + 0.5 * (2.0 + 0.5 * (4.0 + 0.5 * 20.0))),
    ],
)
def test_bias_is_the_critic_minus_what_came(ends: dict[int, str], came: float, f_came: float) -> None:
    """Rewards 1, 2, 4 at γ = 1/2; only the first step is looked at, as neighbours are skipped."""
    figures = played([[1.0], [2.0], [4.0]], ends).metrics(learner())
    assert figures["q_bias"] == pytest.approx(10.0 - came)
    assert figures["f_bias"] == pytest.approx(20.0 - f_came)


def test_critics_are_asked_in_chunks_of_one_size() -> None:
    fake = learner()
    played([[float(t)] for t in range(3 * PROBE_STATES)], {}).metrics(fake)
    assert set(fake.asked) == {PROBE_STATES}


def test_probe_states_are_the_same_each_time_and_not_all_alike() -> None:
    env = make_vector(ExactPoint, 3)
    first, second = probe_states(env), probe_states(env)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (PROBE_STATES, 2)
    assert len(np.unique(first, axis=0)) == PROBE_STATES
