"""The convex problem and its exact solution: one state by hand, several against another solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from statewise.theory.problem import Problem, discretise, midpoints, norm, random_problem, road, solve


def one_state(hessian: float, pull: float, sensitivity: float, bound: float) -> Problem:
    """min ½hπ² − cπ subject to sπ ≤ b and |π| ≤ 1."""
    return Problem(np.array([[hessian]]), np.array([pull]), np.array([[sensitivity]]), np.array([bound]))


@pytest.mark.parametrize(
    ("problem", "policy", "lam"),
    [
        # 2π − 2 + 3λ = 0 where 3π = 1.5.
        (one_state(2.0, 2.0, 3.0, 1.5), 0.5, 1.0 / 3.0),
        # Nothing binds: 2π = 1.
        (one_state(2.0, 1.0, 3.0, 3.0), 0.5, 0.0),
        # The action space binds, the constraint doesn't.
        (one_state(2.0, 6.0, 3.0, 5.0), 1.0, 0.0),
        # The constraint asks for less than −1/3: 2π − 2 + 3λ = 0 where 3π = −1.5.
        (one_state(2.0, 2.0, 3.0, -1.5), -0.5, 1.0),
    ],
)
def test_one_state_by_hand(problem: Problem, policy: float, lam: float) -> None:
    solution = solve(problem)
    np.testing.assert_allclose(solution.policy, policy, atol=1e-12)
    np.testing.assert_allclose(solution.lam, lam, atol=1e-12)
    assert problem.kkt_residual(*solution) < 1e-12


def test_kkt_residual_by_hand() -> None:
    problem = one_state(2.0, 2.0, 3.0, 1.5)
    zero, one = np.zeros(1), np.ones(1)
    # π = 0, λ = 1: the gradient is −2 + 3 = 1, and min(λ, −F) = min(1, 1.5) = 1.
    assert problem.kkt_residual(zero, one) == 1.0
    # π = ½, λ = 0: the gradient is 1 − 2 = −1, cut to π ≤ 1; F = 0.
    assert problem.kkt_residual(0.5 * one, zero) == 0.5
    # π = 1, λ = 0: at its bound and pushed outwards, but F = 1.5.
    assert problem.kkt_residual(one, zero) == 1.5
    # λ may not be negative: 2·½ − 2 + 3λ = −1.75 is cut, min(λ, 0) is −¼.
    assert problem.kkt_residual(0.5 * one, -0.25 * one) == 0.5


def test_where_no_policy_is_feasible() -> None:
    with pytest.raises(ValueError, match="no policy"):
        solve(one_state(2.0, 2.0, 3.0, -4.0))


@pytest.mark.parametrize("seed", range(5))
def test_against_another_solver(seed: int) -> None:
    problem = random_problem(np.random.default_rng(seed), 6)
    solution = solve(problem)
    found = minimize(
        lambda policy: problem.objective(policy),
        np.zeros(6),
        jac=lambda policy: problem.gradient(policy, np.zeros(6)) / 6.0,
        bounds=[(-1.0, 1.0)] * 6,
        constraints={
            "type": "ineq",
            "fun": lambda policy: -problem.constraint(policy),
            "jac": lambda policy: -problem.sensitivity,
        },
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert found.success
    np.testing.assert_allclose(solution.policy, found.x, atol=1e-5)


def test_random_problems_are_solved_to_rounding_and_have_active_constraints() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        problem = random_problem(rng, 32)
        solution = solve(problem)
        assert problem.kkt_residual(*solution) < 1e-11
        assert solution.lam.max() > 0.0


def test_constraint_looks_ahead_and_never_back() -> None:
    flat = np.zeros(4)
    problem = discretise(flat, flat, worth=1.0, scale=2.0, reach=0.5, smoothness=1e-3)
    last = np.array([0.0, 0.0, 0.0, 1.0])
    # s·π(x) at x itself, s·e^{−(y−x)/ℓ}/N for what lies ahead.
    expected = [2.0 * np.exp(-d / 0.5) / 4.0 for d in (0.75, 0.5, 0.25)] + [2.0]
    np.testing.assert_allclose(problem.constraint(last), expected)
    np.testing.assert_allclose(problem.constraint(np.array([1.0, 0.0, 0.0, 0.0])), [2.0, 0.0, 0.0, 0.0])


def test_the_road_binds_on_two_stretches() -> None:
    solution = solve(road(64))
    x = midpoints(64)
    active = solution.lam > 0.0
    assert active[(x > 0.25) & (x < 0.35)].all()
    assert active[(x > 0.73) & (x < 0.77)].all()
    assert not active[(x < 0.1) | ((x > 0.5) & (x < 0.65)) | (x > 0.9)].any()
    assert norm(np.ones(64)) == 1.0
