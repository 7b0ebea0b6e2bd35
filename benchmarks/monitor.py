"""What the monitor costs, what its alarm is worth, and what a braking fallback makes of it.

    python benchmarks/monitor.py                     # latency of one observation: NumPy, ONNX Runtime, JAX
    python benchmarks/monitor.py --run RUN           # and alarms and fallback with a run's policy on PointGoal1
    python benchmarks/monitor.py --output DIR        # also writes DIR/monitor.md

Latency is of `RiskMonitor.step` on networks of the size of `standard`, 2×128 units, on PointGoal1's 156 embedded
inputs, one thread, K = 5 actions in F̂; JAX is `Policy.risk` of one observation. The three take turns.

Lead: at each violation's first step, the steps that the alarm had been on for. Two fallbacks brake, with force against
the robot's own forward speed: to a stop, or down to 0.2 m/s. Episodes are the same with and without them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # before NumPy is loaded

import gymnasium
import numpy as np
from numpy.typing import NDArray

import statewise.envs  # noqa: F401  # registers the tasks
from statewise.actions import Bounds
from statewise.core.types import Dims, TaskFacts
from statewise.monitor import RiskMonitor
from statewise.monitor.export import export_policy, write_numpy
from statewise.monitor.guard import Guarded
from statewise.monitor.numpy_runner import NumpyPolicy
from statewise.monitor.onnx_graph import write_onnx
from statewise.monitor.risk_monitor import Hysteresis
from statewise.monitor.sources import export_from
from statewise.policy import Policy, PolicyFacts
from statewise.runtime import available_cores
from statewise.spec import make_config
from statewise.storage.files import write_text_atomic

TASK = "SafetyPointGoal1-v0"
OBS, PROXIMITY = 60, tuple(range(12, 60))
CALLS, WARM_UP, ROUND = 20_000, 500, 100
FORWARD_SPEED = 3
"""Entry of the observation, m/s."""
FORCE = 0.05
SLOW = 0.2
EPISODES, FIRST_SEED, BOUND_SEED = 20, 3_000_003, 4_000_003
QUANTILES = (0.8, 0.95, 0.99)
"""Of F̂ over half as many other episodes: the alarm's bounds."""


class Episode(NamedTuple):
    """One episode [steps]: F̂ and alarm of the observation before each step, reward and cost of the step."""

    f: NDArray[Any]
    alarm: NDArray[Any]
    reward: NDArray[Any]
    cost: NDArray[Any]


def latencies(calls: dict[str, Callable[[NDArray[Any]], Any]], obs: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Microseconds of every call by name; the calls take turns, a round each, so that all see the same load."""
    took: dict[str, list[int]] = {name: [] for name in calls}
    for start in range(0, len(obs), ROUND):
        for name, call in calls.items():
            for row in obs[start : start + ROUND]:
                before = time.perf_counter_ns()
                call(row)
                took[name].append(time.perf_counter_ns() - before)
    return {name: np.array(times[WARM_UP:]) / 1e3 for name, times in took.items()}


def latency_table(folder: Path) -> list[str]:
    """Median and 99.9 % quantile, and the largest, of NumPy, ONNX Runtime and JAX."""
    facts = TaskFacts(Dims(OBS, 2), proximity=PROXIMITY)
    bounds = Bounds(np.full(2, -1.0, np.float32), np.full(2, 1.0, np.float32))
    policy = Policy(PolicyFacts(make_config("sac-alam"), TASK, facts, bounds))
    exported = export_policy(policy)
    write_numpy(folder / "policy.safetensors", exported)
    write_onnx(folder / "policy.onnx", exported)
    obs = np.random.default_rng(0).uniform(0.0, 1.0, (CALLS + WARM_UP, OBS))
    took = latencies(
        {
            "NumPy": RiskMonitor.load(folder / "policy.safetensors").step,
            "ONNX Runtime": RiskMonitor.load(folder / "policy.onnx").step,
            "JAX": policy.risk,
        },
        obs,
    )
    rows = [f"| {name} | {' | '.join(f'{q:.1f}' for q in np.quantile(t, (0.5, 0.999)))} |" for name, t in took.items()]
    load = f"Load average {os.getloadavg()[0]:.0f} on {available_cores()} cores"
    load += "; beyond the cores, 99.9 % is the scheduler's."
    return ["| one observation | median (µs) | 99.9 % (µs) |", "|---|---|---|", *rows, "", load]


# --- alarms and fallback ---------------------------------------------------------------------------------------------


def stop(obs: NDArray[Any]) -> NDArray[np.float32]:
    """Force against the forward speed, no turning: the Point robot's action."""
    return np.array([-np.clip(obs[FORWARD_SPEED], -FORCE, FORCE), 0.0], np.float32)


def slow_down(policy: NumpyPolicy) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Brakes down to SLOW, and leaves the rest to the policy: who stops in a hazard stays in it."""
    return lambda obs: stop(obs) if abs(obs[FORWARD_SPEED]) > SLOW else policy.act(obs)


def play(policy: NumpyPolicy, monitor: RiskMonitor, fallback: Any, seeds: range) -> list[Episode]:
    """An episode a seed of the deterministic policy under the monitor."""
    env, episodes = Guarded(gymnasium.make(TASK), monitor, fallback), []
    for seed in seeds:
        obs, info = env.reset(seed=seed)
        steps, over = [], False
        while not over:
            before = info["risk"]
            obs, reward, terminated, truncated, info = env.step(policy.act(obs))
            steps.append((before["f"], before["alarm"], float(reward), info["cost"]))
            over = terminated or truncated
        episodes.append(Episode(*map(np.array, zip(*steps, strict=True))))
    env.close()
    return episodes


def leads(episodes: list[Episode], bounds: Hysteresis) -> tuple[float, list[int]]:
    """Share of steps with an alarm, and for every violation's first step the steps that the alarm had been on for."""
    found, share = [], []
    for episode in episodes:
        bounds.reset()
        on_for, costly = 0, False
        for f, cost in zip(episode.f, episode.cost, strict=True):
            on_for = on_for + 1 if bounds.update(f) else 0
            share.append(on_for > 0)
            if cost > 0.0 and not costly:
                found.append(on_for)
            costly = cost > 0.0
    return float(np.mean(share)), found


def fallback_table(run: Path, folder: Path) -> list[str]:
    """Alarms at several bounds on F̂, alone and with the brake."""
    path = folder / "run.safetensors"
    write_numpy(path, export_from(run))
    policy = NumpyPolicy.load(path)
    other = play(policy, RiskMonitor.load(path), None, range(BOUND_SEED, BOUND_SEED + EPISODES // 2))
    seeds = range(FIRST_SEED, FIRST_SEED + EPISODES)
    alone = play(policy, RiskMonitor.load(path), None, seeds)
    known = policy.card["training"]["evaluation"]
    lines = [
        f"{policy.card['method']} after {known['step']:,} steps on {TASK}, F̂'s bias in its evaluation"
        f" {known['f_bias']:+.2f}; {EPISODES} episodes. Without a monitor: {_outcome(alone)}.",
        "",
        "| alarm above | quantile of F̂ | alarmed steps | foretold | lead, quartiles | slowing down | stopping |",
        "|---" * 7 + "|",
    ]
    for quantile in QUANTILES:
        bound = float(np.quantile(np.concatenate([episode.f for episode in other]), quantile))
        monitor = RiskMonitor.load(path, alarm_above=bound)
        share, found = leads(alone, monitor.hysteresis)
        ahead = [lead for lead in found if lead]
        quartiles = " / ".join(f"{q:.0f}" for q in np.quantile(ahead, (0.25, 0.5, 0.75))) if ahead else "–"
        outcomes = [_outcome(play(policy, monitor, fallback, seeds)) for fallback in (slow_down(policy), stop)]
        row = [f"{bound:.2f}", f"{quantile:.0%}", f"{share:.0%}", f"{len(ahead)} of {len(found)}", quartiles, *outcomes]
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    return lines


def _outcome(episodes: list[Episode]) -> str:
    reward, cost = (np.mean([getattr(e, name).sum() for e in episodes]) for name in ("reward", "cost"))
    violations = sum(np.count_nonzero(np.diff(e.cost > 0.0, prepend=False) & (e.cost > 0.0)) for e in episodes)
    return f"return {reward:.1f}, cost {cost:.1f}, {violations} violations"


def main() -> None:
    """Measure, print, and write the tables where they are wanted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = ["# The monitor", "", *latency_table(Path(folder))]
        print("\n".join(lines), flush=True)
        if options.run is not None:
            lines += ["", *fallback_table(options.run, Path(folder))]
    print("\n".join(lines))
    if options.output is not None:
        write_text_atomic(options.output / "monitor.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
