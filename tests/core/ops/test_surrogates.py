"""The surrogates by hand: Gaussian densities and distances, clips, P3O's hinge, CRPO's switch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from statewise.config import CrpoConfig
from statewise.core.ops.surrogates import (
    clipped_cost,
    clipped_reward,
    exact_penalty,
    gaussian_kl,
    gaussian_log_prob,
    rewards_are_next,
)

RNG = np.random.default_rng(0)
MEAN, NEW_MEAN, ACTION = jnp.asarray(RNG.normal(size=(3, 5, 3)))
LOG_STD, NEW_LOG_STD = jnp.asarray(RNG.uniform(-1.5, 1.0, size=(2, 5, 3)))

# --- Gaussians ---------------------------------------------------------------------------------------------------


def test_the_log_density_is_the_sum_over_dimensions() -> None:
    expected = stats.norm.logpdf(ACTION, MEAN, np.exp(LOG_STD)).sum(axis=-1)
    np.testing.assert_allclose(gaussian_log_prob(MEAN, LOG_STD, ACTION), expected, rtol=1e-5)


def test_a_log_density_by_hand() -> None:
    # −½·((3 − 1)/2)² − log 2 − ½ log 2π
    value = gaussian_log_prob(jnp.array([1.0]), jnp.log(jnp.array([2.0])), jnp.array([3.0]))
    assert value == pytest.approx(-0.5 - 0.693147 - 0.918939, abs=1e-5)


def test_the_distance_is_the_sum_over_dimensions_of_its_integral() -> None:
    def integrand(x: float, old: Any, new: Any) -> float:
        return old.pdf(x) * (old.logpdf(x) - new.logpdf(x))

    def distance(index: int) -> float:
        old = stats.norm(MEAN[0, index], np.exp(LOG_STD[0, index]))
        new = stats.norm(NEW_MEAN[0, index], np.exp(NEW_LOG_STD[0, index]))
        return integrate.quad(integrand, *old.interval(1.0 - 1e-14), args=(old, new))[0]

    actual = gaussian_kl(MEAN[0], LOG_STD[0], NEW_MEAN[0], NEW_LOG_STD[0])
    np.testing.assert_allclose(actual, sum(distance(i) for i in range(3)), rtol=1e-4)


def test_a_distance_by_hand_is_not_symmetric() -> None:
    # KL(N(0, 1) ‖ N(1, 2)) = log 2 + (1 + 1)/8 − ½, the other way −log 2 + (4 + 1)/2 − ½
    zero, one, two = jnp.zeros(1), jnp.ones(1), jnp.log(jnp.full(1, 2.0))
    assert gaussian_kl(zero, zero, one, two) == pytest.approx(0.693147 + 0.25 - 0.5, abs=1e-5)
    assert gaussian_kl(one, two, zero, zero) == pytest.approx(-0.693147 + 2.5 - 0.5, abs=1e-5)


def test_the_distance_to_itself_is_0_and_otherwise_positive() -> None:
    np.testing.assert_array_equal(gaussian_kl(MEAN, LOG_STD, MEAN, LOG_STD), np.zeros(5))
    assert float(gaussian_kl(MEAN, LOG_STD, NEW_MEAN, NEW_LOG_STD).min()) > 0.0


# --- clips -------------------------------------------------------------------------------------------------------

# ratio, advantage, what counts towards reward and towards cost at a clip of 0.2
CLIPS = {
    "inside": (1.1, 2.0, 2.2, 2.2),
    "inside, negative": (0.9, -2.0, -1.8, -1.8),
    "high, positive: reward is bounded": (1.5, 2.0, 2.4, 3.0),
    "high, negative: cost is bounded": (1.5, -2.0, -3.0, -2.4),
    "low, positive: cost is bounded": (0.5, 2.0, 1.0, 1.6),
    "low, negative: reward is bounded": (0.5, -2.0, -1.6, -1.0),
}


@pytest.mark.parametrize(("ratio", "advantage", "reward", "cost"), CLIPS.values(), ids=CLIPS)
def test_a_clip_bites_on_the_pessimistic_side_alone(ratio: float, advantage: float, reward: float, cost: float) -> None:
    r, a = jnp.array([ratio]), jnp.array([advantage])
    assert clipped_reward(r, a, 0.2) == pytest.approx(reward)
    assert clipped_cost(r, a, 0.2) == pytest.approx(cost)


@pytest.mark.parametrize(("ratio", "advantage", "reward", "cost"), CLIPS.values(), ids=CLIPS)
def test_a_bounded_ratio_has_no_slope(ratio: float, advantage: float, reward: float, cost: float) -> None:
    r, a = jnp.array([ratio]), jnp.array([advantage])
    for surrogate, value in ((clipped_reward, reward), (clipped_cost, cost)):
        free = value == pytest.approx(ratio * advantage)
        np.testing.assert_allclose(jax.grad(surrogate)(r, a, 0.2), advantage if free else 0.0, rtol=1e-6)


def test_where_nothing_has_moved_the_slope_is_the_advantage() -> None:
    a = jnp.array([2.0, -1.0])
    for surrogate in (clipped_reward, clipped_cost):
        np.testing.assert_allclose(jax.grad(surrogate)(jnp.ones(2), a, 0.2), a / 2.0)


def test_surrogates_are_means() -> None:
    ratio, a = jnp.array([1.1, 1.5, 0.5, 1.5]), jnp.array([2.0, 2.0, -2.0, -2.0])
    assert clipped_reward(ratio, a, 0.2) == pytest.approx((2.2 + 2.4 - 1.6 - 3.0) / 4, abs=1e-6)
    assert clipped_cost(ratio, a, 0.2) == pytest.approx((2.2 + 3.0 - 1.0 - 2.4) / 4, abs=1e-6)


# --- P3O's hinge -------------------------------------------------------------------------------------------------

# rise of the cost surrogate, J_c − d_ep, penalty at κ = 20 and γ = 0.99
HINGE = {
    "open by both": (0.03, 2.0, 1.0),
    "open by the rise alone": (0.05, -3.0, 0.4),
    "open by the excess alone": (-0.01, 3.0, 0.4),
    "closed": (-0.03, 2.0, 0.0),
    "closed by a wide margin": (0.0, -25.0, 0.0),
    "at its corner": (0.0, 0.0, 0.0),
    "at its corner, the two in balance": (-0.02, 2.0, 0.0),
}


@pytest.mark.parametrize(("rise", "excess", "penalty"), HINGE.values(), ids=HINGE)
def test_the_hinge_and_its_slope(rise: float, excess: float, penalty: float) -> None:
    value, slope = jax.value_and_grad(exact_penalty)(rise, excess, 20.0, 0.99)
    assert value == pytest.approx(penalty, rel=1e-5, abs=0.0)
    assert slope == (20.0 if penalty > 0.0 else 0.0)


# --- CRPO's switch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.2, 1.0, 25.0])
def test_the_switch_on_each_side_and_at_equality(limit: float) -> None:
    slack = CrpoConfig().slack * limit
    edge = np.float32(1.08 * limit)
    assert rewards_are_next(jnp.asarray(edge), limit, slack)
    assert rewards_are_next(jnp.asarray(np.nextafter(edge, np.float32(-1.0))), limit, slack)
    assert not rewards_are_next(jnp.asarray(np.nextafter(edge, np.float32(100.0))), limit, slack)


def test_a_limit_of_0_allows_no_cost() -> None:
    assert rewards_are_next(jnp.zeros(()), 0.0, 0.0)
    assert not rewards_are_next(jnp.asarray(1e-6), 0.0, 0.0)


def test_the_matched_limit_of_an_episode() -> None:
    assert CrpoConfig().cost_limit(1000) == pytest.approx(1.0)
    assert CrpoConfig(cost_threshold=0.2, gamma=0.9).cost_limit(50) == pytest.approx(1.0)
    assert CrpoConfig(cost_threshold=-0.2).cost_limit(1000) == 0.0
    assert CrpoConfig(episode_cost_limit=25.0).cost_limit(1000) == 25.0
