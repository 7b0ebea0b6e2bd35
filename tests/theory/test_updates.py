"""Exact updates: by hand on one state, the theorem's inequality over random problems, and what plain ascent does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from statewise.theory.problem import Problem, Solution, random_problem, solve
from statewise.theory.updates import PenaltyRule, alam, dual_ascent, dual_step, policy_step, stable_step

ONE_STATE = Problem(np.eye(1), np.ones(1), np.eye(1), np.zeros(1))
"""min ½π² − π subject to π ≤ 0: π* = 0, λ* = 1."""


def test_alam_on_one_state_by_hand() -> None:
    """π − 1 + λ + π = 0, so π = (1 − λ)/2 and λ moves half of the way to 1 in every iteration."""
    history = alam(ONE_STATE, np.zeros(1), 5)
    np.testing.assert_allclose(history.lam[:, 0], [0.0, 0.5, 0.75, 0.875, 0.9375, 0.96875], atol=1e-12)
    np.testing.assert_allclose(history.policy[:, 0], [0.5, 0.25, 0.125, 0.0625, 0.03125], atol=1e-12)
    np.testing.assert_allclose(history.v, history.policy[:, 0], atol=1e-12)
    optimum = solve(ONE_STATE)
    np.testing.assert_allclose(history.distances(optimum), 0.5 ** np.arange(6), atol=1e-12)
    # Eq. (14) with d = ½: ¼ + ¼ − 1 is the least of the excesses, that of the last step the largest.
    assert history.excess(optimum) == pytest.approx(-2.0 * 0.5**10)
    assert history.rise(optimum) == pytest.approx(-(0.5**5))
    assert history.last_growth() == 0


@pytest.mark.parametrize(
    ("step_size", "lams"),
    [(0.5, [0.0, 0.5, 0.75, 0.875]), (1.0, [0.0, 1.0, 1.0, 1.0]), (2.0, [0.0, 2.0, 0.0, 2.0])],
)
def test_dual_ascent_on_one_state_by_hand(step_size: float, lams: list[float]) -> None:
    """π = 1 − λ, so λ ← λ + α(1 − λ): it settles for α < 2 = 2/L, and swings for α = 2."""
    assert stable_step(ONE_STATE) == pytest.approx(2.0)
    history = dual_ascent(ONE_STATE, np.zeros(1), 3, step_size)
    np.testing.assert_allclose(history.lam[:, 0], lams, atol=1e-12)


def test_the_rule_for_the_penalty_factor() -> None:
    rule = PenaltyRule(first=1.0, growth=1.01, largest=5.0)
    assert rule.grown(1.0, 1.0) == 1.0
    assert rule.grown(1.0, 1.5) == 1.01
    assert rule.grown(2.0, 0.6) == 2.02
    assert rule.grown(4.99, 1.0) == 5.0


def test_the_penalty_factor_grows_and_then_stays() -> None:
    """A violation of 4 at the start: ρ grows while v > 1/ρ, so as soon as v ≤ 1/5 for good it can't."""
    problem = Problem(20.0 * np.eye(1), np.array([20.0]), 5.0 * np.eye(1), np.array([1.0]))
    history = alam(problem, np.zeros(1), 100)
    growing = np.flatnonzero(np.diff(history.rho))
    assert history.v[0] > 1.0
    np.testing.assert_array_equal(growing, np.arange(len(growing)))
    np.testing.assert_array_equal(history.v[: len(growing)] > 1.0 / history.rho[: len(growing)], True)
    assert 0 < history.last_growth() == len(growing) < 20
    assert history.rho[-1] == pytest.approx(1.01 ** len(growing))


@pytest.mark.parametrize("rho", [0.0, 0.3, 5.0])
def test_policy_step_against_another_solver(rho: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(3):
        problem, lam = random_problem(rng, 8), rng.exponential(3.0, 8)

        def loss(policy: np.ndarray, problem: Problem = problem, lam: np.ndarray = lam) -> float:
            f = problem.constraint(policy)
            penalty = (np.square(np.maximum(0.0, lam + rho * f)) - lam**2) / (2.0 * rho) if rho else lam * f
            return problem.objective(policy) + float(np.mean(penalty))

        found = minimize(loss, np.zeros(8), bounds=[(-1.0, 1.0)] * 8, method="L-BFGS-B", options={"ftol": 1e-15})
        policy = policy_step(problem, lam, rho, rng.uniform(-1.0, 1.0, 8))
        assert loss(policy) <= found.fun + 1e-12
        np.testing.assert_allclose(policy, found.x, atol=1e-3)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), from_zero=st.booleans(), rho=st.floats(0.1, 50.0))
def test_the_distance_never_rises(seed: int, from_zero: bool, rho: float) -> None:
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, 16)
    optimum = solve(problem)
    start = np.zeros(16) if from_zero else rng.exponential(1.0 + optimum.lam.max(), 16)
    history = alam(problem, start, 40, PenaltyRule(rho, 1.01, 5.0 * rho))
    assert history.rise(optimum) <= 1e-9
    assert history.excess(optimum) <= 1e-9
    assert (history.lam >= 0.0).all()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda lam, f, rho: dual_step(lam, -f, rho),
        lambda lam, f, rho: lam + rho * f,
        lambda lam, f, rho: dual_step(lam, f, 3.0 * rho),
    ],
    ids=["sign", "no projection", "three times too far"],
)
def test_the_inequality_breaks_where_the_update_is_wrong(wrong: object) -> None:
    rng = np.random.default_rng(3)
    excesses = []
    for _ in range(5):
        problem = random_problem(rng, 16)
        excesses.append(alam(problem, np.zeros(16), 40, update=wrong).excess(solve(problem)))  # pyright: ignore[reportArgumentType]
    assert max(excesses) > 1e-3


def test_a_wrong_optimum_is_noticed() -> None:
    """The distance to another point than λ* does rise, so the inequality tells whether λ* is right."""
    problem = random_problem(np.random.default_rng(5), 16)
    optimum = solve(problem)
    history = alam(problem, np.zeros(16), 40)
    assert history.rise(Solution(optimum.policy, 0.5 * optimum.lam)) > 1e-3
