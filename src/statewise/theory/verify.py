"""Each claim of the theory, what was computed for it, and whether it held."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from statewise.theory.claim import INEQUALITY_TOLERANCE, KKT_TOLERANCE, Claim
from statewise.theory.problem import Floats, norm, random_problem, solve
from statewise.theory.reachability import DoubleIntegrator, Grid, agreement, make_grid, reach_value
from statewise.theory.road_runs import NETWORKS, RoadRuns, road_claims, run_road
from statewise.theory.updates import PAPER_RULE, DualUpdate, alam, dual_step

STATES = 32
"""Of a random problem."""


class ReachRun(NamedTuple):
    """The double integrator's grid, V and the true safe set, each [P, V]."""

    system: DoubleIntegrator
    grid: Grid
    value: Floats


class Verification(NamedTuple):
    """All claims, and what the pictures show."""

    claims: tuple[Claim, ...]
    road: RoadRuns
    reach: ReachRun

    @property
    def holds(self) -> bool:
        """Whether every claim held."""
        return all(claim.holds for claim in self.claims)


def units(problems: int) -> int:
    """How many pieces of work `verify` does."""
    return problems + len(NETWORKS) + 2


def verify(
    problems: int = 100,
    iterations: int = 500,
    seed: int = 0,
    update: DualUpdate = dual_step,
    advance: Callable[[int], None] = lambda done: None,
) -> Verification:
    """Check the theorems on random problems, then one problem in detail, then the safe set.

    update: the dual update that the theorems are checked with. advance: told how many of `units` pieces are done.
    """
    finished = itertools.count(1)

    def done() -> None:
        advance(next(finished))

    claims = theorem_claims(problems, iterations, seed, update, done)
    road = run_road(done)
    reach = _reach_run()
    done()
    return Verification((*claims, *road_claims(road), *_reach_claims(reach)), road, reach)


# --- Theorems 1 and 2 --------------------------------------------------------------------------------------------


def theorem_claims(
    problems: int,
    iterations: int,
    seed: int = 0,
    update: DualUpdate = dual_step,
    done: Callable[[], None] = lambda: None,
) -> list[Claim]:
    """Theorems 1 and 2 on random problems: half start from λ⁰ = 0, half from a random λ⁰ mostly above λ*."""
    rng = np.random.default_rng(seed)
    exact, active, rise, excess, kkt, off, infeasible, settled, largest_rho = ([] for _ in range(9))
    for number in range(problems):
        problem = random_problem(rng, STATES)
        optimum = solve(problem)
        exact.append(problem.kkt_residual(*optimum))
        active.append(float(np.mean(optimum.lam > 0.0)))
        above = rng.exponential(2.0 * optimum.lam.max(), STATES)
        history = alam(problem, above if number % 2 else np.zeros(STATES), iterations, update=update)
        last = history.policy[-1]
        rise.append(history.rise(optimum))
        excess.append(history.excess(optimum))
        kkt.append(problem.kkt_residual(last, history.lam[-1]))
        off.append(norm(last - optimum.policy))
        infeasible.append(float(problem.constraint(last).max()))
        settled.append(history.last_growth())
        largest_rho.append(float(history.rho[-1]))
        done()
    most = f"{problems} problems × {iterations} iterations"
    return [
        Claim(
            "π* and λ* of the QP are exact",
            f"KKT residual ≤ {max(exact):.0e}, constraints active at {np.mean(active):.0%} of states",
            max(exact) <= INEQUALITY_TOLERANCE and min(active) > 0.0,
        ),
        Claim(
            "Theorem 1: ‖λ^k − λ*‖ never rises",
            f"{most}: largest rise {max(rise):.0e}, allowed {INEQUALITY_TOLERANCE:.0e}",
            max(rise) <= INEQUALITY_TOLERANCE,
        ),
        Claim(
            "Eq. (14): ‖λ^{k+1} − λ*‖² + ‖λ^{k+1} − λ^k‖² ≤ ‖λ^k − λ*‖²",
            f"largest excess {max(excess):.0e}, allowed {INEQUALITY_TOLERANCE:.0e}",
            max(excess) <= INEQUALITY_TOLERANCE,
        ),
        Claim(
            "Theorem 2: the KKT residual goes to 0",
            f"largest after {iterations} iterations {max(kkt):.0e}, allowed {KKT_TOLERANCE:.0e}",
            max(kkt) < KKT_TOLERANCE,
        ),
        Claim(
            "Theorem 2: the limit is the optimal feasible policy",
            f"‖π^k − π*‖ ≤ {max(off):.0e}, F ≤ {max(infeasible):.0e}",
            max(off) < KKT_TOLERANCE and max(infeasible) < KKT_TOLERANCE,
        ),
        Claim(
            "ρ is constant after finitely many iterations",
            f"last change at iteration {max(settled)} of {iterations}, largest ρ {max(largest_rho):.2f}",
            max(settled) < iterations // 2 and max(largest_rho) <= PAPER_RULE.largest,
        ),
    ]


# --- reachability ------------------------------------------------------------------------------------------------


def _reach_run() -> ReachRun:
    system = DoubleIntegrator()
    grid = make_grid(system)
    return ReachRun(system, grid, reach_value(system, grid))


def _reach_claims(reach: ReachRun) -> list[Claim]:
    p, v = reach.grid.states()
    inside = reach.system.penetration(p) <= 0.0
    safe, value = reach.system.is_safe(p, v)[inside], reach.value[inside]
    found = agreement(safe, value, value, 1e-9)
    brave = DoubleIntegrator(acceleration=2.0 * reach.system.acceleration).is_safe(p, v)[inside]
    known = agreement(safe, np.where(brave, 0.0, 1.0), np.where(brave, 0.0, 1.0), 0.5)
    return [
        Claim(
            "Dynamic programming finds the maximal safe set v² ≤ 2·a·distance",
            f"{inside.sum():,} states: IoU {found.iou:.4f}, false-safe rate {found.false_safe:.2%}",
            found.iou > 0.99 and found.false_safe < 0.01,
        ),
        Claim(
            "The comparison of F̂ with it tells a known error",
            f"an F̂ that believes in twice the brakes: IoU {known.iou:.3f}, in theory 1/√2 = {2**-0.5:.3f};"
            f" false-safe rate {known.false_safe:.1%}",
            abs(known.iou - 2**-0.5) < 0.01,
        ),
    ]
