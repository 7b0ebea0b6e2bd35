"""One problem in detail: dual ascent and ALaM with several steps, wrong updates, finer grids, multiplier networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from statewise.config import AlamConfig, AlamGaConfig, LagNetConfig, MultiplierConfig
from statewise.core.ops import lagrangian
from statewise.theory.claim import INEQUALITY_TOLERANCE, KKT_TOLERANCE, Claim
from statewise.theory.learned import Learned, learn
from statewise.theory.problem import Problem, Solution, norm, road, solve
from statewise.theory.updates import PAPER_RULE, DualUpdate, History, PenaltyRule, alam, dual_ascent, stable_step

STATES = 64
ITERATIONS = 300
STEP_SIZES = (0.5, 0.95, 1.5, 4.0)
"""Of the dual steps, as multiples of 2/L (`stable_step`)."""
LATE = 50
"""Iterations at the end over which an oscillation is measured."""
CYCLES = 150
"""Dual cycles of a network."""
_SHARED: dict[str, Any] = {
    "hidden": (64, 64),
    "batch_size": 64,
    "optimizer": "adam",
    "cost_threshold": 0.0,
    "dual_steps": 20,
    "multiplier_bias": 0.0,
}


class RoadRuns(NamedTuple):
    """`road` and what each update went through on it, by step size as in `STEP_SIZES`."""

    problem: Problem
    optimum: Solution
    scheduled: History
    """ALaM with the paper's rule for ρ."""
    augmented: dict[float, History]
    """ALaM with ρ held at the step size."""
    ascent: dict[float, History]
    networks: dict[str, Learned]
    """Multiplier networks, by what moves them."""


NETWORKS: dict[str, MultiplierConfig] = {
    "regression": AlamConfig(multiplier_learning_rate=1e-3, **_SHARED),
    "ascent": AlamGaConfig(multiplier_learning_rate=1e-3, **_SHARED),
    "slow ascent": AlamGaConfig(multiplier_learning_rate=1e-4, **_SHARED),
    "ascent, no penalty": LagNetConfig(multiplier_learning_rate=1e-3, **_SHARED),
}
"""SAC-ALaM, SAC-ALaM-GA at two rates and SAC-LagNet, with as many inner steps a dual cycle."""


def run_road(done: Callable[[], None]) -> RoadRuns:
    """All runs; `done` is called after the exact updates and after each network."""
    problem = road(STATES)
    start, limit = np.zeros(STATES), stable_step(problem)
    sizes = {multiple: multiple * limit for multiple in STEP_SIZES}
    held = {m: alam(problem, start, ITERATIONS, PenaltyRule(size, 1.0, size)) for m, size in sizes.items()}
    ascent = {m: dual_ascent(problem, start, ITERATIONS, size) for m, size in sizes.items()}
    scheduled = alam(problem, start, ITERATIONS)
    done()
    networks = {}
    for name, config in NETWORKS.items():
        networks[name] = learn(problem, config, CYCLES)
        done()
    return RoadRuns(problem, solve(problem), scheduled, held, ascent, networks)


def road_claims(runs: RoadRuns) -> list[Claim]:
    """What is to be seen in the runs, and on finer grids."""
    return [*_controls(runs), *_ascent_claims(runs), _functions_claim(runs), _grid_claim(), _networks_claim(runs)]


def _controls(runs: RoadRuns) -> list[Claim]:
    """The inequality has to break where the update is wrong; else it says nothing that it holds."""
    wrong: dict[str, DualUpdate] = {
        "an update with the wrong sign": lambda lam, f, rho: np.maximum(0.0, lam - rho * f),
        "an update without its projection": lambda lam, f, rho: lam + rho * f,
    }
    claims = []
    for name, update in wrong.items():
        rise = alam(runs.problem, np.zeros(STATES), 20, update=update).rise(runs.optimum)
        claims.append(
            Claim(f"Control: {name} breaks Theorem 1", f"largest rise {rise:.2g}", rise > INEQUALITY_TOLERANCE)
        )
    return claims


def _ascent_claims(runs: RoadRuns) -> list[Claim]:
    distances = {size: run.distances(runs.optimum) / norm(runs.optimum.lam) for size, run in runs.ascent.items()}
    below, beyond = ([size for size in STEP_SIZES if (size < 1.0) is stable] for stable in (True, False))
    late = {size: distances[size][-LATE - 1 :] for size in beyond}
    rising = {size: float(np.mean(np.diff(late[size]) > 0.0)) for size in beyond}
    kkt = max(float(run.kkt_residuals(runs.problem)[-1]) for run in runs.augmented.values())
    rise = max(run.rise(runs.optimum) for run in runs.augmented.values())
    ends = max(float(distances[size][-1]) for size in below)
    return [
        Claim(
            f"Dual ascent settles with steps of {_sizes(below)}",
            f"‖λ − λ*‖/‖λ*‖ ends at {ends:.0e} after {ITERATIONS} iterations",
            ends < KKT_TOLERANCE,
        ),
        Claim(
            f"and oscillates for ever with steps of {_sizes(beyond)}",
            f"‖λ − λ*‖/‖λ*‖ over the last {LATE} iterations: "
            + ", ".join(f"{late[s].min():.2g} to {late[s].max():.2g}, rising in {rising[s]:.0%}" for s in beyond),
            all(float(late[s].min()) > 0.05 and rising[s] > 0.3 for s in beyond),
        ),
        Claim(
            f"ALaM takes all of these steps as ρ ({_sizes(STEP_SIZES)})",
            f"KKT residual ≤ {kkt:.0e}, largest rise of ‖λ − λ*‖ {rise:.0e}",
            kkt < KKT_TOLERANCE and rise <= INEQUALITY_TOLERANCE,
        ),
    ]


def _functions_claim(runs: RoadRuns) -> Claim:
    """The functions that training calls, in its float32, along the iterates of the exact updates."""
    history, rule = runs.scheduled, PAPER_RULE
    errors = []
    for k in range(0, ITERATIONS, 10):
        lam, rho = jnp.asarray(history.lam[k], jnp.float32), float(history.rho[k])
        f = jnp.asarray(runs.problem.constraint(history.policy[k]), jnp.float32)
        target = np.asarray(lagrangian.dual_target(lam, f, rho))
        v = lagrangian.violation(lam, f, rho)
        grown = lagrangian.penalty_growth(rho, float(history.v[k]), rule.growth, rule.largest)
        errors += [
            float(np.abs(target - history.lam[k + 1]).max()) / (1.0 + float(np.abs(lam).max())),
            abs(float(v) - float(history.v[k])),
            abs(float(grown) - float(history.rho[k + 1])),
        ]
    return Claim(
        "Training's own functions (core/ops/lagrangian.py) make these updates",
        f"dual target, violation and growth of ρ agree to {max(errors):.0e}, in float32",
        max(errors) < 1e-5,
    )


def _grid_claim() -> Claim:
    """There is one function λ* behind the grids, so that what holds on one isn't of its spacing."""
    lams = [solve(road(states)).lam for states in (32, 64, 128, 256)]
    changes = [norm(np.repeat(a, 2) - b) / norm(b) for a, b in itertools.pairwise(lams)]
    return Claim(
        "λ* on ever finer grids comes to one function of x",
        "change on doubling 32, 64 and 128 states: " + ", ".join(f"{change:.1%}" for change in changes),
        all(after < before for before, after in itertools.pairwise(changes)),
    )


def _networks_claim(runs: RoadRuns) -> Claim:
    last = CYCLES // 4
    late = {name: float(run.distances(runs.optimum.lam)[-last:].mean()) for name, run in runs.networks.items()}
    others = [distance for name, distance in late.items() if name != "regression"]
    return Claim(
        "A multiplier network learns λ* by regression, and comes nearer than by ascent",
        f"‖λ_w − λ*‖/‖λ*‖ over the last {last} cycles: " + ", ".join(f"{name} {d:.3f}" for name, d in late.items()),
        late["regression"] < 0.05 and late["regression"] < min(others),
    )


def _sizes(multiples: Iterable[float]) -> str:
    return ", ".join(f"{multiple:g}" for multiple in multiples) + " · 2/L"
