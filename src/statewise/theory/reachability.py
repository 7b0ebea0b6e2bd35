"""A double integrator between obstacles: its maximal safe set, by dynamic programming and in closed form.

A point at position p drives at speed v along a line with obstacles and chooses its acceleration, |a| ≤ a_max, constant
over a time step. A state is safe iff some choice of actions never leads into an obstacle; for v > 0 that is
v² ≤ 2·a_max·(distance ahead), for v < 0 the same with the distance behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from statewise.theory.problem import Floats

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DoubleIntegrator:
    """Free stretches (low, high) in m, with obstacles between and beside them; m/s², m/s and s for the rest.

    An obstacle has to be longer than the way of one step at top speed.
    """

    free: tuple[tuple[float, float], ...] = ((0.0, 2.0), (2.5, 4.5))
    acceleration: float = 1.0
    top_speed: float = 3.0
    time_step: float = 0.1

    def penetration(self, p: Floats) -> Floats:
        """h(p) in m: how deep p lies in an obstacle, negative in free space."""
        return np.min([np.maximum(low - p, p - high) for low, high in self.free], axis=0)

    def advance(self, p: Floats, v: Floats, action: Floats) -> tuple[Floats, Floats, Floats]:
        """Position and speed after one time step, and the largest h on the way; action in [−1, 1], all broadcast."""
        dt = self.time_step
        v_next = np.clip(v + self.acceleration * np.clip(action, -1.0, 1.0) * dt, -self.top_speed, self.top_speed)
        p_next = p + 0.5 * (v + v_next) * dt
        a = (v_next - v) / dt
        turns = v * v_next < 0.0
        turning = np.where(turns, p - v**2 / (2.0 * np.where(turns, a, 1.0)), p_next)
        return p_next, v_next, np.maximum(self.penetration(p_next), self.penetration(turning))

    def is_safe(self, p: Floats, v: Floats) -> Mask:
        """Whether (p, v) is in the maximal safe set: whether full braking stops in front of the obstacle ahead."""
        stop = p + v * np.abs(v) / (2.0 * self.acceleration)
        between = [(low <= p) & (p <= high) & (low <= stop) & (stop <= high) for low, high in self.free]
        return np.any(between, axis=0)


class Grid(NamedTuple):
    """Nodes of position p [P] and speed v [V], each evenly spaced."""

    p: Floats
    v: Floats

    def states(self) -> tuple[Floats, Floats]:
        """p and v of every state, each [P, V]."""
        p, v = np.meshgrid(self.p, self.v, indexing="ij")
        return p, v


def make_grid(system: DoubleIntegrator, positions: int = 201, speeds: int = 61, margin: float = 0.25) -> Grid:
    """Nodes from `margin` metres inside the first obstacle to as far inside the last, and over all speeds.

    The margin lets values beyond the grid, which are held, be those of states in an obstacle.
    """
    p = np.linspace(system.free[0][0] - margin, system.free[-1][1] + margin, positions)
    return Grid(p, np.linspace(-system.top_speed, system.top_speed, speeds))


def reach_value(system: DoubleIntegrator, grid: Grid, actions: int = 5, tolerance: float = 1e-9) -> Floats:
    """V(p, v) [P, V], the smallest worst h that any choice of actions leads to; {V ≤ 0} is the maximal safe set.

    The fixed point of V(x) = max(h(x), min_a max(h on the way, V(x'))), from V = h, linear between the nodes.
    """
    p, v = grid.states()
    choices = np.linspace(-1.0, 1.0, actions)[:, None, None]
    p_next, v_next, on_the_way = system.advance(p, v, choices)
    lookup = _interpolation(grid, p_next, v_next)
    value = here = system.penetration(p)
    while True:
        new = np.maximum(here, np.maximum(on_the_way, lookup(value)).min(axis=0))
        if np.abs(new - value).max() <= tolerance:
            return new
        value = new


def _interpolation(grid: Grid, p: Floats, v: Floats) -> Callable[[Floats], Floats]:
    """A function from values at the nodes to values at (p, v), linear between nodes and held beyond them."""
    row = np.clip((p - grid.p[0]) / (grid.p[1] - grid.p[0]), 0.0, len(grid.p) - 1)
    column = np.clip((v - grid.v[0]) / (grid.v[1] - grid.v[0]), 0.0, len(grid.v) - 1)
    i, j = np.minimum(row.astype(int), len(grid.p) - 2), np.minimum(column.astype(int), len(grid.v) - 2)
    di, dj = row - i, column - j

    def lookup(value: Floats) -> Floats:
        near = (1.0 - dj) * value[i, j] + dj * value[i, j + 1]
        far = (1.0 - dj) * value[i + 1, j] + dj * value[i + 1, j + 1]
        return (1.0 - di) * near + di * far

    return lookup


class Agreement(NamedTuple):
    """How well a learned region {F̂ ≤ d} and λ agree with a true safe set, over equally weighted states."""

    iou: float
    """Intersection over union of the learned region and the true one."""
    false_safe: float
    """Share of the unsafe states that count as safe."""
    false_unsafe: float
    """Share of the safe states that count as unsafe."""
    lam_auroc: float
    """Chance that λ at an unsafe state is above λ at a safe one, ties counting half."""


def agreement(safe: Mask, f: NDArray[Any], lam: NDArray[Any], cost_threshold: float) -> Agreement:
    """Hold F̂ and λ against the true set `safe`, all of one shape.

    ValueError where an answer isn't finite, or where all states are safe or none is.
    """
    if not (np.isfinite(f).all() and np.isfinite(lam).all()):
        raise ValueError("f, lam: hold NaN or infinity, which is neither safe nor unsafe")
    if safe.all() or not safe.any():
        raise ValueError("safe: holds states of one kind only; shares and AUROC need both")
    said = f <= cost_threshold
    pairs = float((~safe).sum()) * float(safe.sum())
    return Agreement(
        float((said & safe).sum() / (said | safe).sum()),
        float(said[~safe].mean()),
        float((~said)[safe].mean()),
        float(mannwhitneyu(lam[~safe], lam[safe]).statistic / pairs),
    )


def compare(
    risk: Callable[[Floats], tuple[NDArray[Any], NDArray[Any]]],
    system: DoubleIntegrator,
    cost_threshold: float,
    grid: Grid | None = None,
) -> Agreement:
    """A policy's λ and F̂ against the maximal safe set, over the states of the grid that are in free space.

    risk: `Policy.risk` of a policy that observes (p, v): [B, 2] -> λ [B], F̂ [B]. cost_threshold: its d.
    """
    p, v = (make_grid(system) if grid is None else grid).states()
    inside = system.penetration(p) <= 0.0
    lam, f = risk(np.stack([p[inside], v[inside]], axis=-1))
    return agreement(system.is_safe(p[inside], v[inside]), f, lam, cost_threshold)
