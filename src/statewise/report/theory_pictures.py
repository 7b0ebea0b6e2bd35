"""Pictures of the theory: multipliers' ways to λ*, networks that learn λ*, and safe sets of a double integrator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from statewise.report.pictures import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, drawing_style, write_picture
from statewise.theory.problem import Floats, norm
from statewise.theory.reachability import DoubleIntegrator, make_grid
from statewise.theory.road_runs import STEP_SIZES, RoadRuns
from statewise.theory.updates import History
from statewise.theory.verify import ReachRun, Verification

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#111827"
SIZE_COLOURS = dict(zip(STEP_SIZES, (GREEN, BLUE, ORANGE, RED), strict=True))
NETWORK_COLOURS = (BLUE, RED, ORANGE, PURPLE)
_SMALLEST = 1e-10
"""Lower end of the axes: below it is rounding."""
_SMALLEST_LAM = 1e-2


def theory_pictures(verification: Verification, folder: Path) -> list[Path]:
    """Draw updates.png, networks.png and safe-set.png into a folder that is there; returns their paths."""
    road, paths = verification.road, [folder / f"{name}.png" for name in ("updates", "networks", "safe-set")]
    updates_picture(road, paths[0])
    networks_picture(road, paths[1])
    safe_set_picture(verification.reach, paths[2])
    return paths


def updates_picture(road: RoadRuns, path: Path) -> None:
    """‖λ^k − λ*‖ and the KKT residual over the iterations: dual ascent on the left, ALaM on the right."""
    with drawing_style({"axes.titlepad": 10}):
        figure = Figure(figsize=(11, 7.5), layout="constrained")
        panels = figure.subplots(2, 2, sharex=True, sharey="row")
        columns = ("Dual ascent, step α", "ALaM, ρ = α"), (road.ascent, road.augmented)
        for (top, bottom), title, runs in zip(panels.T, *columns, strict=True):
            for size, history in reversed(runs.items()):  # wide swings behind narrow ones
                _way(top, bottom, road, history, SIZE_COLOURS[size], label=f"α = {size:g} · 2/L")
            top.set_title(title)
            bottom.set_xlabel("iteration k")
        _way(panels[0, 1], panels[1, 1], road, road.scheduled, INK, label="the paper's ρ", linestyle=(0, (4, 2)))
        panels[0, 0].set_ylabel("‖λᵏ − λ*‖ / ‖λ*‖")
        panels[1, 0].set_ylabel("KKT residual of (πᵏ, λᵏ)")
        for axes in panels[0]:
            axes.legend(loc="center right", reverse=True)
        for axes in panels.flat:
            axes.set_ylim(bottom=_SMALLEST)
        write_picture(figure, path)


def networks_picture(road: RoadRuns, path: Path) -> None:
    """The problem and its solution; λ* and what each network has of it; the distance over the dual cycles."""
    x, optimum = road.problem.states, road.optimum
    with drawing_style():
        figure = Figure(figsize=(13, 4.2), layout="constrained")
        problem, multipliers, ways = figure.subplots(1, 3)
        problem.plot(
            x, np.linalg.solve(road.problem.hessian, road.problem.pull), color=GREY, label="policy, unconstrained"
        )
        problem.plot(x, optimum.policy, color=BLUE, label="π*")
        problem.plot(x, road.problem.constraint(optimum.policy) / 10.0, color=GREEN, label="F of π*, a tenth")
        problem.set(title="The problem", xlabel="state x")
        for (name, run), colour in zip(road.networks.items(), NETWORK_COLOURS, strict=True):
            multipliers.plot(x, run.lam[-1], color=colour, linewidth=1.3, label=name)
            ways.semilogy(run.distances(optimum.lam), color=colour, linewidth=1.3, label=name)
        multipliers.plot(x, optimum.lam, color=INK, linestyle=(0, (4, 2)), label="λ*")
        multipliers.set(title="Multipliers after the last cycle", xlabel="state x", ylabel="λ")
        ways.set(title="Distance from λ*", xlabel="dual cycle", ylabel="‖λ_w − λ*‖ / ‖λ*‖")
        problem.legend(loc="lower right", bbox_to_anchor=(1.0, 0.2))
        figure.legend(*multipliers.get_legend_handles_labels(), loc="outside lower center", ncols=5)
        write_picture(figure, path)


def safe_set_picture(reach: ReachRun, path: Path) -> None:
    """The value of dynamic programming with its edge {V = 0}, and the edge in closed form."""
    with drawing_style():
        figure = Figure(figsize=(7.5, 4.4), layout="constrained")
        axes = figure.subplots()
        _map(figure, axes, reach.system, reach.value, "V(p, v), the smallest worst h in m")
        p, v = reach.grid.states()
        axes.contour(p, v, reach.value, levels=[0.0], colors=[RED], linewidths=3.0)
        handles = [Line2D([], [], color=RED, linewidth=3.0), Line2D([], [], color=INK, linestyle="dashed")]
        axes.legend(handles, ["dynamic programming", "closed form"], loc="upper center", ncols=2, frameon=True)
        axes.set_title("Maximal safe set of a double integrator")
        write_picture(figure, path)


def risk_picture(
    risk: Callable[[Floats], tuple[NDArray[Any], NDArray[Any]]],
    system: DoubleIntegrator,
    cost_threshold: float,
    path: Path,
) -> None:
    """A policy's λ and F̂ over (p, v), the learned edge {F̂ = d}, and the edge of the maximal safe set."""
    p, v = make_grid(system).states()
    lam, f = (part.reshape(p.shape) for part in risk(np.stack([p.ravel(), v.ravel()], axis=-1)))
    with drawing_style():
        figure = Figure(figsize=(13, 4.4), layout="constrained")
        free_f = np.where(system.penetration(p) <= 0.0, f, np.nan)
        values_of = np.maximum(lam, _SMALLEST_LAM), f
        for axes, values, name, scale in zip(
            figure.subplots(1, 2), values_of, ("λ", "F̂"), (LogNorm(), None), strict=True
        ):
            _map(figure, axes, system, values, name, scale)
            axes.contour(p, v, free_f, levels=[cost_threshold], colors=[RED], linewidths=1.4)
            axes.set_title(f"{name}(p, v)")
            handles = [Line2D([], [], color=RED), Line2D([], [], color=INK, linestyle="dashed")]
            axes.legend(handles, ["F̂ = d", "maximal safe set"], loc="upper center", ncols=2, frameon=True)
        write_picture(figure, path)


def _way(top: Axes, bottom: Axes, road: RoadRuns, history: History, colour: str, **line: Any) -> None:
    distances = history.distances(road.optimum)
    line = {"color": colour, "linewidth": 1.3, **line}
    top.semilogy(distances / norm(road.optimum.lam), **line)
    residuals = history.kkt_residuals(road.problem)
    bottom.semilogy(np.arange(1, len(residuals) + 1), residuals, **line)


def _map(
    figure: Figure, axes: Axes, system: DoubleIntegrator, values: NDArray[Any], name: str, scale: LogNorm | None = None
) -> None:
    """Values over (p, v), obstacles, and the exact edge of the maximal safe set."""
    coarse, grid = make_grid(system, *values.shape).states(), make_grid(system, 2001)
    image = axes.pcolormesh(*coarse, values, cmap="cividis", shading="nearest", norm=scale)
    figure.colorbar(image, ax=axes, label=name)
    walls = [grid.p[0], *(end for stretch in system.free for end in stretch), grid.p[-1]]
    for begin, end in zip(walls[::2], walls[1::2], strict=True):
        axes.axvspan(begin, end, color=GREY)
    axes.grid(visible=False)
    for low, high in system.free:
        p = grid.p[(grid.p >= low) & (grid.p <= high)]
        ahead, behind = (np.sqrt(2.0 * system.acceleration * way) for way in (high - p, p - low))
        for edge in (ahead, -behind):
            axes.plot(
                p,
                np.clip(edge, -system.top_speed, system.top_speed),
                color=INK,
                linestyle="dashed",
                linewidth=1.4,
                zorder=3,
            )
    axes.set(xlabel="position p in m", ylabel="speed v in m/s", xlim=(walls[0], walls[-1]))
