"""Exact updates of a convex problem: ALaM's three (section IV of the paper), and plain dual ascent beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from statewise.config import AlamConfig
from statewise.theory.problem import Floats, Problem, Solution, clip_action, norm

DualUpdate = Callable[[Floats, Floats, float], Floats]
"""(λ^k [N], F^π [N], ρ or a step size) -> λ^{k+1} [N]."""

_STATIONARY = 1e-12
_NEWTON_STEPS = 200
_HALVINGS = 60


class PenaltyRule(NamedTuple):
    """ρ ← min(σρ, ρ_max) where v > 1/ρ: ρ₀, σ and ρ_max."""

    first: float
    growth: float
    largest: float

    def grown(self, rho: float, v: float) -> float:
        """The next ρ, v being the violation of the iterate before it."""
        return min(self.growth * rho, self.largest) if v > 1.0 / rho else rho


_PAPER = AlamConfig()
PAPER_RULE = PenaltyRule(_PAPER.rho_init, _PAPER.rho_growth, _PAPER.rho_max)


class History(NamedTuple):
    """What K iterations went through: lam [K + 1, N] and rho [K + 1] with their start, policy [K, N], v [K]."""

    lam: Floats
    policy: Floats
    rho: Floats
    v: Floats

    def distances(self, optimum: Solution) -> Floats:
        """‖λ^k − λ*‖ for every k [K + 1]."""
        return np.sqrt(np.mean(np.square(self.lam - optimum.lam), axis=1))

    def excess(self, optimum: Solution) -> float:
        """The largest ‖λ^{k+1} − λ*‖² + ‖λ^{k+1} − λ^k‖² − ‖λ^k − λ*‖², by Eq. (14) never above 0."""
        squared = np.square(self.distances(optimum))
        moved = np.mean(np.square(np.diff(self.lam, axis=0)), axis=1)
        return float(np.max(squared[1:] + moved - squared[:-1]))

    def rise(self, optimum: Solution) -> float:
        """The largest ‖λ^{k+1} − λ*‖ − ‖λ^k − λ*‖, by Theorem 1 never above 0."""
        return float(np.max(np.diff(self.distances(optimum))))

    def kkt_residuals(self, problem: Problem) -> Floats:
        """`Problem.kkt_residual` of (π^k, λ^k) for k = 1 … K [K]."""
        pairs = zip(self.policy, self.lam[1:], strict=True)
        return np.array([problem.kkt_residual(policy, lam) for policy, lam in pairs])

    def last_growth(self) -> int:
        """The iteration that last changed ρ; 0 where none did."""
        changed = np.flatnonzero(np.diff(self.rho))
        return int(changed[-1]) + 1 if len(changed) else 0


def dual_step(lam: Floats, f: Floats, size: float) -> Floats:
    """max(0, λ + size·F): the dual target where size = ρ, a projected ascent step otherwise."""
    return np.maximum(0.0, lam + size * f)


def policy_step(problem: Problem, lam: Floats, rho: float, start: Floats) -> Floats:
    """argmin over the action space of −J(π) + (‖max(0, λ + ρF^π)‖² − ‖λ‖²)/(2ρ), Eq. (6), to rounding.

    rho = 0 is the plain Lagrangian, for λ ≥ 0. Newton's method on the pieces of the piecewise quadratic, each step
    projected to the action space and halved until it descends (Bertsekas 1982); RuntimeError where that has no end.
    """
    policy = clip_action(start)
    for _ in range(_NEWTON_STEPS):
        pressure = lam + rho * problem.constraint(policy)
        gradient = problem.gradient(policy, np.maximum(pressure, 0.0))
        if np.abs(policy - clip_action(policy - gradient)).max() <= _STATIONARY * (1.0 + np.abs(lam).max()):
            return policy
        free = clip_action(policy - np.sign(gradient) * 1e-9) != policy
        rows = problem.sensitivity[pressure > 0.0]
        curvature = problem.hessian + rho * rows.T @ rows
        step = np.zeros_like(policy)
        step[free] = -np.linalg.solve(curvature[np.ix_(free, free)], gradient[free])
        policy = _descend(problem, lam, rho, policy, gradient, step)
    raise RuntimeError(f"policy step: not stationary after {_NEWTON_STEPS} Newton steps")


def alam(
    problem: Problem,
    lam: Floats,
    iterations: int,
    rule: PenaltyRule = PAPER_RULE,
    update: DualUpdate = dual_step,
) -> History:
    """ALaM with exact updates from λ⁰ = `lam`: policy by Eq. (6), λ to the dual target, ρ by the rule."""
    rho, policy = rule.first, np.zeros_like(lam)
    lams, policies, rhos, violations = [lam], [], [rho], []
    for _ in range(iterations):
        policy = policy_step(problem, lam, rho, policy)
        f = problem.constraint(policy)
        v = norm(np.maximum(f, -lam / rho))
        lam, rho = update(lam, f, rho), rule.grown(rho, v)
        lams.append(lam)
        policies.append(policy)
        rhos.append(rho)
        violations.append(v)
    return History(*(np.array(column) for column in (lams, policies, rhos, violations)))


def dual_ascent(problem: Problem, lam: Floats, iterations: int, step_size: float) -> History:
    """Plain dual ascent from λ⁰ = `lam`: π minimises −J + ⟨λ, F⟩, then λ ← max(0, λ + α·F^π); `rho` holds α."""
    policy = np.zeros_like(lam)
    lams, policies, violations = [lam], [], []
    for _ in range(iterations):
        policy = policy_step(problem, lam, 0.0, policy)
        f = problem.constraint(policy)
        violations.append(norm(np.maximum(f, -lam / step_size)))
        lam = dual_step(lam, f, step_size)
        lams.append(lam)
        policies.append(policy)
    return History(np.array(lams), np.array(policies), np.full(iterations + 1, step_size), np.array(violations))


def stable_step(problem: Problem) -> float:
    """2/L, with L the largest curvature of the dual: dual ascent settles with steps below it, and may not beyond it."""
    inner = np.linalg.solve(problem.hessian, problem.sensitivity.T)
    return 2.0 / float(np.linalg.eigvalsh(problem.sensitivity @ inner)[-1])


def _descend(problem: Problem, lam: Floats, rho: float, policy: Floats, gradient: Floats, step: Floats) -> Floats:
    """The policy behind the step, projected and halved until Armijo's condition holds up to rounding."""
    value = _augmented(problem, lam, rho, policy)
    for halvings in range(_HALVINGS):
        candidate = clip_action(policy + 0.5**halvings * step)
        allowed = value + 1e-4 * np.mean(gradient * (candidate - policy)) + 1e-14 * (1.0 + abs(value))
        if _augmented(problem, lam, rho, candidate) <= allowed:
            return candidate
    raise RuntimeError(f"policy step: no descent after {_HALVINGS} halvings")


def _augmented(problem: Problem, lam: Floats, rho: float, policy: Floats) -> float:
    """−J(π) + (‖max(0, λ + ρF^π)‖² − ‖λ‖²)/(2ρ), or −J(π) + ⟨λ, F^π⟩ for ρ = 0."""
    f = problem.constraint(policy)
    if rho:
        u = np.maximum(-lam / rho, f)
        return problem.objective(policy) + float(np.mean(lam * u + 0.5 * rho * u * u))
    return problem.objective(policy) + float(np.mean(lam * f))
