"""Ours beside the original, safety-gymnasium 1.0.0: speed of one environment, and a fixed policy's statistics.

    python benchmarks/original.py --output benchmarks/results                    # speed, resets included
    python benchmarks/original.py --policy benchmarks/policies/seek.py --episodes 100 --output benchmarks/results

The original needs Python 3.10; it is installed once, from the package index, into `--environment`. The two take turns.
Any policy file will do that defines `act(obs, task)`. Without Python 3.10 the command says so and stops.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROLLOUTS = HERE / "rollouts.py"
PACKAGES = ("safety-gymnasium==1.0.0", "mujoco==2.3.3", "numpy==1.23.5", "gymnasium==0.28.1")
TASKS = [
    f"Safety{robot}{task}{level}-v0"
    for robot in ("Point", "Car")
    for task in ("Goal", "Circle", "Button")
    for level in (1, 2)
]


def original_python(environment: Path) -> str:
    """The interpreter that has the original, built if it isn't there; SystemExit without Python 3.10."""
    python = environment / "bin" / "python"
    if not python.exists():
        base = find_python()
        if base is None:
            raise SystemExit(
                "the original needs Python 3.10, and none was found: install one, say with pyenv install 3.10, "
                "or name an interpreter that has safety-gymnasium with --python"
            )
        subprocess.run([base, "-m", "venv", environment], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return str(python)


def find_python() -> str | None:
    """A Python 3.10, on the path or under pyenv."""
    candidates = [shutil.which("python3.10"), *sorted(Path.home().glob(".pyenv/versions/3.10*/bin/python3.10"))]
    for candidate in candidates:
        if candidate and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(candidate)
    return None


def ask(python: str, *arguments: str) -> dict[str, Any]:
    """What `rollouts.py` prints under one of the two interpreters."""
    done = subprocess.run([python, ROLLOUTS, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{python} {ROLLOUTS} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def speed(python: str, tasks: list[str], rounds: int) -> str:
    """A table of steps per second, with the resets that an episode of full length brings."""
    lines = [
        "| task | step, original (µs) | ours | reset, original (ms) | ours | steps/s, original | ours | ratio |",
        "|---" * 8 + "|",
    ]
    for task in tasks:
        limit = 500 if "Circle" in task else 1000
        pairs = []
        for _ in range(rounds):
            theirs = ask(python, "--original", "--task", task, "--steps", "200", "--repeats", "3")
            ours = ask(sys.executable, "--task", task, "--steps", "400", "--repeats", "5")
            pairs.append((theirs, ours, *(1.0 / (each["step"] + each["reset"] / limit) for each in (theirs, ours))))
        ratio = statistics.median(ours / theirs for _, _, theirs, ours in pairs)
        theirs, ours, their_rate, our_rate = sorted(pairs, key=lambda pair: pair[3] / pair[2])[len(pairs) // 2]
        cells = [f"{theirs['step'] * 1e6:.0f}", f"{ours['step'] * 1e6:.0f}", f"{theirs['reset'] * 1e3:.0f}"]
        cells += [f"{ours['reset'] * 1e3:.2f}", f"{their_rate:.0f}", f"{our_rate:.0f}", f"{ratio:.1f}"]
        lines.append(f"| {task} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def statistics_table(python: str, tasks: list[str], policy: str, episodes: int) -> str:
    """A table of mean return, cost and goals of both, and how many standard errors they are apart."""
    lines = [
        "| task | return, original | ours | z | cost, original | ours | z | goals, original | ours | z |",
        "|---" * 10 + "|",
    ]
    for task in tasks:
        arguments = ("--task", task, "--policy", policy, "--episodes", str(episodes))
        theirs = np.array(ask(python, "--original", *arguments)["episodes"])
        ours = np.array(ask(sys.executable, *arguments)["episodes"])
        cells = []
        for column in range(3):
            a, b = theirs[:, column], ours[:, column]
            error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
            z = (b.mean() - a.mean()) / error if error else 0.0
            cells += [f"{a.mean():.2f} ± {a.std(ddof=1) / math.sqrt(len(a)):.2f}", f"{b.mean():.2f}", f"{z:+.1f}"]
        lines.append(f"| {task} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return "\n".join(lines)


def main() -> None:
    """Measure what is asked for, print the table, and write it where `--output` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--environment", type=Path, default=Path(".venv-original"), help="where the original is installed"
    )
    parser.add_argument("--python", help="an interpreter that has the original already")
    parser.add_argument("--tasks", nargs="*", default=[""], help="parts of task ids; all when left out")
    parser.add_argument("--policy", help="compare statistics of this policy file rather than speed")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3, help="turns of the two in a measurement of speed")
    parser.add_argument("--output", type=Path, help="folder for original.md or statistics.md")
    options = parser.parse_args()
    python = options.python or original_python(options.environment)
    tasks = [task for task in TASKS if any(part in task for part in options.tasks)]
    if options.policy is None:
        name, text = "original.md", speed(python, tasks, options.rounds)
    else:
        name, text = "statistics.md", statistics_table(python, tasks, options.policy, options.episodes)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / name).write_text(text + "\n")


if __name__ == "__main__":
    main()
