"""SAC-ALaM on two navigation tasks, for as many steps as so many minutes allow: tables, curves, a strip of film.

    python benchmarks/navigation_learning.py --minutes 60        # both tasks at once, one core each
    python benchmarks/navigation_learning.py --report            # draw the runs that are there again

Writes learning.md, learning-<task>.png and film-<task>.png into benchmarks/results. The preset is `quick` with some
levers on (`LEVERS`).
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import matplotlib.image
import numpy as np
import polars as pl

from statewise import Agent, metrics
from statewise.envs import SafeVectorEnv
from statewise.figures import run_picture
from statewise.files import write_text_atomic
from statewise.runs import RunFolder

TASKS = ("SafetyPointCircle2-v0", "SafetyPointGoal1-v0")
LEVERS = {"dual-start": 20_000, "dual-pace": 25, "multiplier-max": 20, "replay-capacity": 1_000_000}
STEPS, EVAL_INTERVAL = 1_000_000, 25_000
FRAMES = 6
RESULTS = Path(__file__).parent / "results"


def command(task: str, root: Path) -> list[str]:
    """The command line that trains on a task."""
    levers = [word for name, value in LEVERS.items() for word in (f"--{name}", str(value))]
    length = ["--total-steps", str(STEPS), "--eval-interval", str(EVAL_INTERVAL), "--root", str(root)]
    return ["statewise", "train", "sac-alam", task, "--preset", "quick", *length, *levers, "--per-state-scale"]


def train(root: Path, minutes: float) -> None:
    """Train on all tasks at once, each on a core of its own, and interrupt them after so long."""
    cores = sorted(os.sched_getaffinity(0))
    running = []
    for i, task in enumerate(TASKS):
        process = subprocess.Popen([sys.executable, "-m", *command(task, root)])
        os.sched_setaffinity(process.pid, {cores[i % len(cores)]})
        running.append(process)
    end = time.monotonic() + 60.0 * minutes
    for process in running:
        try:
            process.wait(max(end - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait()


def evaluations(run: Path) -> str:
    """A table of a run's evaluations, with the multiplier as training last reported it."""
    rows = metrics.read(RunFolder(run).metrics_path)
    training = rows.filter(pl.col("phase") == "train").select(
        "step", "gradient_step", "lam", "lam_boundary", "rho", "f"
    )
    found = rows.filter(pl.col("phase") == "eval").select("step", "return", "cost")
    joined = found.sort("step").join_asof(training.sort("step"), on="step")
    lines = [f"| {' | '.join(joined.columns)} |", "|---" * len(joined.columns) + "|"]
    rounded = (["–" if value is None else f"{value:,.4g}" for value in row] for row in joined.iter_rows())
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rounded)])


def film_strip(run: Path, output: Path) -> None:
    """Some frames of one evaluation episode, from above, side by side; a red ball marks a cost."""
    agent, frames, steps = Agent.load(run), [], 500 if "Circle" in run.as_posix() else 1000
    count = 0

    def look(env: SafeVectorEnv) -> None:
        nonlocal count
        if count % (steps // FRAMES) == 0 and len(frames) < FRAMES:
            rendered = env.render()
            assert rendered is not None
            frames.append(rendered[0][::2, ::2])
        count += 1

    looks = {"camera": "top", "show_cost": True}
    agent.evaluate(1, render_mode="rgb_array", render_options=looks, on_step=look)
    matplotlib.image.imsave(output, np.concatenate(frames, axis=1))


def main() -> None:
    """Train unless told not to, then write tables, curves and films."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--root", type=Path, default=Path("runs/navigation"))
    parser.add_argument("--report", action="store_true", help="train nothing")
    options = parser.parse_args()
    if not options.report:
        train(options.root, options.minutes)
    RESULTS.mkdir(exist_ok=True)
    parts = []
    for task in TASKS:
        run = max((options.root / task / "sac-alam").glob("seed-*"), key=lambda path: path.stat().st_mtime)
        run_picture(run, RESULTS / f"learning-{task}.png")
        film_strip(run, RESULTS / f"film-{task}.png")
        pictures = f"![curves](learning-{task}.png)\n\n![one episode](film-{task}.png)"
        parts.append(f"## {task}\n\n{evaluations(run)}\n\n{pictures}\n")
    heading = f"`{' '.join(command('TASK', options.root))}`"
    write_text_atomic(RESULTS / "learning.md", "\n".join([heading, "", *parts]))


if __name__ == "__main__":
    main()
