"""How fast the navigation tasks step: the vector environment against the physics alone, resets, and memory.

    python benchmarks/navigation.py [--tasks PointGoal1 Car] [--num-envs 64] [--threads 1 2] [--output DIR]

Bare physics is the same model in `mujoco.batch`, ten substeps and one forward computation a step, from the same states
with the same random actions. The two take turns, `--repeats` times; medians are shown, so that a busy machine slows
both alike. `--clock cpu` counts processor time (of all threads) instead of wall time.
"""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.envs.navigation.robots import FRAME_SKIP

TASKS = [task for task in NAVIGATION_TASKS if not task.endswith("0-v0")]
HEADER = "| task | threads | env, steps/s | physics, steps/s | env / physics | reset (ms) |"
Clock = Callable[[], float]


def bare_physics(env: NavigationVectorEnv, threads: int, actions: NDArray[np.float64], clock: Clock) -> float:
    """Steps per second of the model alone, from where the worlds of `env` stand."""
    worlds = env.worlds
    model = worlds.scene.model
    sleeps = bool(model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP)
    batch = Batch(model, env.num_envs, nthread=threads, persistent=sleeps)
    state = env.get_state()
    for name in ("qpos", "qvel", "mocap_pos", "mocap_quat", "time"):
        batch.bind(name)[...] = state[name]
    batch.forward()
    start_of = np.array(state["mocap_pos"])
    gremlins = worlds.scene.slots.get("gremlin")
    acceleration = int(mujoco.mjtStage.mjSTAGE_ACC)
    ctrl, mocap, now = batch.bind("ctrl"), batch.bind("mocap_pos"), batch.bind("time")
    start = clock()
    for action in actions:
        ctrl[:] = action
        if gremlins is None:
            batch.step(nstep=FRAME_SKIP, stage=acceleration)
            continue
        for _ in range(FRAME_SKIP - 1):
            _drag(mocap, start_of, now, gremlins.mocap, gremlins.objects.count)
            batch.step()
        _drag(mocap, start_of, now, gremlins.mocap, gremlins.objects.count)
        batch.step(stage=acceleration)
    return len(actions) * env.num_envs / (clock() - start)


def _drag(mocap: NDArray, start: NDArray, now: NDArray, first: int, count: int) -> None:
    mocap[:, first : first + count, :2] = start[:, first : first + count, :2]
    mocap[:, first : first + count, 0] += 0.35 * np.sin(now)[:, None]
    mocap[:, first : first + count, 1] += 0.35 * np.cos(now)[:, None]


def whole_env(env: NavigationVectorEnv, actions: NDArray[np.float64], clock: Clock) -> float:
    """Steps per second of the vector environment, everything included."""
    start = clock()
    for action in actions:
        env.step(action)
    return len(actions) * env.num_envs / (clock() - start)


def reset_time(env: NavigationVectorEnv, clock: Clock) -> float:
    """Seconds of one world's reset."""
    start = clock()
    env.reset()
    return (clock() - start) / env.num_envs


def measure(task: str, options: argparse.Namespace, clock: Clock) -> list[str]:
    """The rows of one task."""
    rows = []
    for threads in options.threads:
        env = NavigationVectorEnv(task, options.num_envs, threads=threads)
        env.reset(seed=0)
        random = np.random.default_rng(0)
        rates, ratios, resets = [], [], []
        for repeat in range(options.repeats + 1):
            actions = random.uniform(-1.0, 1.0, (options.steps, options.num_envs, 2))
            reset = reset_time(env, clock)
            whole_env(env, actions[:20], clock)  # the vases come to rest
            physics = bare_physics(env, threads, actions, clock)
            rate = whole_env(env, actions, clock)
            if repeat:  # the first round warms up
                rates.append((rate, physics))
                ratios.append(rate / physics)
                resets.append(reset)
        env.close()
        rate, physics = (statistics.median(values) for values in zip(*rates, strict=True))
        share, reset = statistics.median(ratios), statistics.median(resets) * 1e3
        rows.append(f"| {task} | {threads} | {rate:,.0f} | {physics:,.0f} | {share:.2f} | {reset:.2f} |")
        print(rows[-1], flush=True)
    return rows


def memory_per_world(task: str, num_envs: int = 256) -> float:
    """MB that a world adds to a process, stepped a few times."""
    sizes = []
    for count in (1, num_envs + 1):
        command = [sys.executable, __file__, "--resident", task, str(count)]
        sizes.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return (sizes[1] - sizes[0]) / num_envs / 1024.0


def resident(task: str, count: int) -> None:
    """Print the resident size of this process, in KiB, after some steps of `count` worlds."""
    env = NavigationVectorEnv(task, count)
    env.reset(seed=0)
    for _ in range(30):
        env.step(np.ones((count, 2)))
    status = Path("/proc/self/status").read_text()
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def main() -> None:
    """Measure, print the tables, and write them where `--output` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="*", default=[""], help="parts of task ids; all when left out")
    parser.add_argument("--num-envs", type=int, default=64)
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--steps", type=int, default=60, help="steps of all worlds in one measurement")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--output", type=Path, help="folder for navigation.md")
    parser.add_argument("--resident", nargs=2, metavar=("TASK", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resident:
        resident(options.resident[0], int(options.resident[1]))
        return
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    tasks = [task for task in TASKS if any(part in task for part in options.tasks)]
    lines = [f"MuJoCo {mujoco.__version__}, {options.num_envs} worlds, {options.clock} clock", ""]
    lines += [HEADER, "|---" * HEADER.count(" | ") + "|---|"]
    print("\n".join(lines))
    for task in tasks:
        lines += measure(task, options, clock)
    memory = ["", "| task | MB for each further world |", "|---|---|"]
    memory += [f"| {task} | {memory_per_world(task):.2f} |" for task in tasks if "Point" in task]
    print("\n".join(memory))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "navigation.md").write_text("\n".join(lines + memory) + "\n")


if __name__ == "__main__":
    main()
