"""How fast the native Velocity tasks step: against one Gymnasium environment, and against the physics alone.

    python benchmarks/envs.py [--tasks HalfCheetah Ant] [--num-envs 16 64] [--threads 1 2] [--output DIR]

The variants of a task take turns, `--repeats` times, and medians are shown, so that a busy machine slows all of them
alike. Actions are random and resets are included. `--clock cpu` counts processor time instead of wall time: what one
core could do if no other program ran.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import mujoco

from statewise.envs import TASKS
from statewise.envs.velocity_env import VelocityVectorEnv

COLUMNS = ("task", "environment", "N", "threads", "steps/s", "x Gymnasium", "physics share")
Clock = Callable[[], float]


class Rate(NamedTuple):
    """Steps per second, and the share of the time spent in MuJoCo where that was measured."""

    steps_per_second: float
    physics_share: float | None = None


def single_run(env_id: str, steps: int, clock: Clock) -> Callable[[], Rate]:
    """Steps of one environment as `gymnasium.make` gives it."""
    env = gymnasium.make(env_id)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps)]

    def run() -> Rate:
        start = clock()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return Rate(steps / (clock() - start))

    return run


def vector_run(task: str, num_envs: int, threads: int, steps: int, clock: Clock) -> Callable[[], Rate]:
    """Steps of `num_envs` native worlds together; with one thread, also how much of it is physics."""
    env = VelocityVectorEnv(task, num_envs, threads=threads)
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(steps // num_envs)]
    worlds = env.worlds
    simulate, physics = worlds._simulate, [0.0]

    def timed(datas: Any) -> None:
        start = clock()
        simulate(datas)
        physics[0] += clock() - start

    if threads == 1:
        worlds._simulate = timed

    def run() -> Rate:
        physics[0], start = 0.0, clock()
        for action in actions:
            env.step(action)
        seconds = clock() - start
        return Rate(len(actions) * num_envs / seconds, physics[0] / seconds if threads == 1 else None)

    return run


def measure(task: str, options: argparse.Namespace, clock: Clock) -> list[dict[str, Any]]:
    """One row for each variant of a task."""
    plain = f"{task.removeprefix('Safety').removesuffix('Velocity-v1')}-v5"
    runs = {
        (plain, 1, 1): single_run(plain, options.steps, clock),
        (task, 1, 1): single_run(task, options.steps, clock),
    }
    for num_envs in options.num_envs:
        for threads in options.threads:
            runs["native vector", num_envs, threads] = vector_run(task, num_envs, threads, options.steps, clock)
    rates: dict[tuple[str, int, int], list[Rate]] = {key: [] for key in runs}
    for repeat in range(options.repeats + 1):
        for key, run in runs.items():
            rate = run()
            if repeat > 0:  # the first round warms up
                rates[key].append(rate)
    rows = []
    for (name, num_envs, threads), measured in rates.items():
        ratios = [mine[0] / reference[0] for mine, reference in zip(measured, rates[plain, 1, 1], strict=True)]
        shares = [rate.physics_share for rate in measured if rate.physics_share is not None]
        share = f"{statistics.median(shares):.0%}" if shares else ""
        steps_per_second = round(statistics.median(rate.steps_per_second for rate in measured))
        values = (task, name, num_envs, threads, steps_per_second, round(statistics.median(ratios), 2), share)
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *(row.values() for row in rows)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main() -> None:
    """Measure and print the table; with `--output`, also write it to DIR/envs.md and DIR/envs.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=[""], help="parts of task ids; all when left out")
    parser.add_argument("--num-envs", nargs="*", type=int, default=[16, 64])
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--steps", type=int, default=3200, help="environment steps in one measurement")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--output", type=Path, help="folder for envs.md and envs.json")
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    rows = []
    # MuJoCo writes a log about a model of Gymnasium's into the working directory.
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        for task in TASKS:
            if any(part in task for part in options.tasks):
                rows += measure(task, options, clock)
    heading = f"MuJoCo {mujoco.__version__}, Gymnasium {gymnasium.__version__}, {options.clock} clock"
    print(f"{heading}\n\n{markdown(rows)}")
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "envs.md").write_text(f"{heading}\n\n{markdown(rows)}\n")
        (options.output / "envs.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
