"""A convex state-wise problem whose optimal policy and multiplier are known to rounding.

The state runs along a road x ∈ [0, 1], the policy chooses π(x) ∈ [−1, 1]:

    min  −J(π) = ω ∫ ½(π − r)² + ½ε π'² dx   subject at every x to
         F^π(x) = s·(π(x) + ∫ₓ¹ e^{−(y−x)/ℓ} π(y) dy) − b(x) ≤ 0,

one constraint and one multiplier λ(x) a state, F a discounted sum of what lies ahead. J is strictly concave and F
affine, so the assumptions of the paper's section IV hold. On N midpoints of equal weight, ⟨f, g⟩ = mean(f·g) is the
inner product of L², and functions are vectors [N].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

Floats = NDArray[np.float64]

ACTION_BOUND = 1.0
"""The action space is [−1, 1]: compact and convex."""


@dataclass(frozen=True)
class Problem:
    """min ½⟨π, Hπ⟩ − ⟨c, π⟩ subject to Aπ ≤ b and |π| ≤ 1.

    hessian H and sensitivity A: [N, N]; pull c and bound b: [N].
    """

    hessian: Floats
    pull: Floats
    sensitivity: Floats
    bound: Floats

    @property
    def states(self) -> Floats:
        """The midpoints x [N]."""
        return midpoints(len(self.bound))

    def objective(self, policy: Floats) -> float:
        """−J(π), up to a constant."""
        return float(np.mean(policy * (0.5 * self.hessian @ policy - self.pull)))

    def constraint(self, policy: Floats) -> Floats:
        """F^π(x) [N]."""
        return self.sensitivity @ policy - self.bound

    def gradient(self, policy: Floats, lam: Floats) -> Floats:
        """The derivative of the Lagrangian −J(π) + ⟨λ, F^π⟩ in π, as a function of x [N]."""
        return self.hessian @ policy - self.pull + self.sensitivity.T @ lam

    def kkt_residual(self, policy: Floats, lam: Floats) -> float:
        """How far (π, λ) is from optimal: the largest of |π − P(π − ∇L)| and |min(λ, −F)| over the states.

        The first is stationarity over the action space, with P the projection to it; the second holds feasibility,
        λ ≥ 0 and complementary slackness at once. 0 exactly at an optimum.
        """
        stationary = policy - clip_action(policy - self.gradient(policy, lam))
        complementary = np.minimum(lam, -self.constraint(policy))
        return float(max(np.abs(stationary).max(), np.abs(complementary).max()))


class Solution(NamedTuple):
    """The optimal policy π* and its multiplier λ*, each [N]."""

    policy: Floats
    lam: Floats


def midpoints(states: int) -> Floats:
    """x = (i + ½)/N."""
    return (np.arange(states) + 0.5) / states


def norm(f: Floats) -> float:
    """‖f‖ in L²."""
    return float(np.sqrt(np.mean(np.square(f))))


def clip_action(policy: Floats) -> Floats:
    """The projection to the action space."""
    return np.clip(policy, -ACTION_BOUND, ACTION_BOUND)


def discretise(wish: Floats, bound: Floats, *, worth: float, scale: float, reach: float, smoothness: float) -> Problem:
    """The problem with the wishes r(x) and the bounds b(x) [N]; worth ω of reward, scale s, reach ℓ, smoothness ε."""
    n = len(wish)
    x = midpoints(n)
    ahead = np.triu(np.exp(-(x[None, :] - x[:, None]) / reach), k=1) / n
    difference = np.diff(np.eye(n), axis=0) * n
    hessian = np.eye(n) + smoothness * difference.T @ difference
    return Problem(worth * hessian, worth * wish, scale * (np.eye(n) + ahead), bound)


def random_problem(rng: np.random.Generator, states: int) -> Problem:
    """A problem with random smooth wishes and bounds, which a random smooth policy meets with room to spare."""
    x = midpoints(states)
    wish = 1.5 * _random_wave(rng, x)
    problem = discretise(
        wish,
        np.zeros(states),
        worth=10.0 ** rng.uniform(0.5, 2.0),
        scale=rng.uniform(2.0, 8.0),
        reach=rng.uniform(0.05, 0.5),
        smoothness=10.0 ** rng.uniform(-4.0, -3.0),
    )
    inside = 0.5 * _random_wave(rng, x)
    room = rng.uniform(0.1, 0.5)
    return Problem(problem.hessian, problem.pull, problem.sensitivity, problem.constraint(inside) + room)


def _random_wave(rng: np.random.Generator, x: Floats) -> Floats:
    """A sum of four waves with largest value 1."""
    waves = np.sin(2.0 * np.pi * (np.outer(x, np.arange(1, 5)) / 1.5 + rng.random(4)))
    wave = waves @ rng.normal(size=4)
    return wave / np.abs(wave).max()


def solve(problem: Problem) -> Solution:
    """π* and λ*, by an active-set method that ends after finitely many steps; ValueError where nothing is feasible.

    With H = RᵀR and z = Rπ − R⁻ᵀc it is the point z nearest to 0 with Gz ≥ h, which Lawson and Hanson (Solving least
    squares problems, 1974, chapter 23) find by one non-negative least-squares problem; its solution, scaled, holds the
    multipliers.
    """
    n = len(problem.pull)
    upper = np.linalg.cholesky(problem.hessian).T
    unconstrained = np.linalg.solve(problem.hessian, problem.pull)
    rows = np.concatenate([problem.sensitivity, np.eye(n), -np.eye(n)])
    limits = np.concatenate([problem.bound, np.full(2 * n, ACTION_BOUND)])
    g = -np.linalg.solve(upper.T, rows.T)
    h = rows @ unconstrained - limits
    last = np.zeros(n + 1)
    last[-1] = 1.0
    weights, distance = nnls(np.vstack([g, h]), last)
    if distance < 1e-12:
        raise ValueError("problem: no policy in the action space meets all constraints")
    multipliers = weights / distance**2
    policy = unconstrained + np.linalg.solve(upper, g @ multipliers)
    return Solution(clip_action(policy), multipliers[:n])


def road(states: int) -> Problem:
    """The problem of the pictures: wish for 0.8 everywhere, and two stretches that allow less, one wide, one narrow."""
    x = midpoints(states)
    bound = 6.4 - 6.0 * np.exp(-(((x - 0.3) / 0.1) ** 2)) - 4.8 * np.exp(-(((x - 0.75) / 0.04) ** 2))
    return discretise(np.full(states, 0.8), bound, worth=160.0, scale=6.0, reach=0.1, smoothness=1e-4)
