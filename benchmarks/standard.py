"""Where the seconds of a `standard` run go: SAC-ALaM on PointGoal1, part by part, on one core and on all.

    python benchmarks/standard.py                        # 200,000 steps each; some ten minutes on two quiet cores
    python benchmarks/standard.py --beside OLD/src       # in turns with the sources of another checkout
    python benchmarks/standard.py --steps 1000000 --cores 1 --precision bfloat16 --beside OLD/src  # whole runs

Each run is one `statewise train` in a process of its own, so that imports, compilation (from an empty cache) and the
picture at the end count too; parts are the run's own timing.csv. Compilation is what the first learning row of
the timings has above the median row. Writes benchmarks/results/standard.md, other lengths to standard-STEPS.md. Let
nothing else run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from statewise.storage.files import write_text_atomic

TASK = "SafetyPointGoal1-v0"
STEPS = 200_000
RESULTS = Path(__file__).parent / "results"
OWN = Path(__file__).parents[1] / "src"
PARTS = ("sample", "update", "evaluate", "checkpoint")
SINGLE = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

Figures = dict[str, float]


def measure(source: Path, cores: set[int], steps: int, flags: Sequence[str]) -> Figures:
    """Seconds of a whole run by part, with those of the process and of its processor time."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PYTHONPATH": str(source), "STATEWISE_CACHE_DIR": f"{folder}/cache"}
        if len(cores) == 1:
            environment |= {"XLA_FLAGS": SINGLE, "NPROC": "1"}
        words = ["train", "sac-alam", TASK, "--total-steps", str(steps), "--threads", str(len(cores)), *flags]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "statewise", *words, "--root", folder, "--quiet"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        os.sched_setaffinity(process.pid, cores)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"a run of {source} ended with status {process.returncode}")
        wall = time.monotonic() - began
        (timing,) = Path(folder).glob("*/*/*/timing.csv")
        parts = account(pl.read_csv(timing))
    whole = {"whole process": wall, "processor": usage.ru_utime + usage.ru_stime}
    rest = {"start, picture, the rest": wall - sum(parts.values()), "memory at its peak, MB": usage.ru_maxrss / 1e3}
    return {**whole, **parts, **rest}


def account(timing: pl.DataFrame) -> Figures:
    """Seconds by part of a run's timings; what compiling takes of the update apart."""
    seconds = {part: float(timing[f"{part}_seconds"].sum()) for part in PARTS}
    learning = timing["update_seconds"].filter(timing["update_seconds"] > 0.0)
    compiling = max(0.0, float(learning[0]) - float(learning[1:].median() or 0.0))  # pyright: ignore[reportArgumentType]
    return {**seconds, "update": seconds["update"] - compiling, "compilation": compiling}


def table(measured: dict[str, list[Figures]], steps: int) -> list[str]:
    """Medians over the repeats, a column for each side."""
    lines = [
        f"# A `standard` run of SAC-ALaM on {TASK}, {steps:,} steps",
        "",
        f"`python benchmarks/standard.py --steps {steps}`: seconds, medians over the repeats.",
        "",
        f"| | {' | '.join(measured)} |",
        "|---" * (len(measured) + 1) + "|",
    ]
    for name in next(iter(measured.values()))[0]:
        medians = (median(figures[name] for figures in runs) for runs in measured.values())
        lines += [f"| {name} | {' | '.join(f'{seconds:.1f}' for seconds in medians)} |"]
    return lines


def main() -> None:
    """Measure in turns, print, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS, help="environment steps of each run")
    parser.add_argument("--cores", type=int, nargs="+", help="numbers of cores, 1 and all by default")
    parser.add_argument("--precision", nargs="+", default=("float32", "bfloat16"), help="products of our side")
    parser.add_argument("--repeats", type=int, default=1, help="turns")
    parser.add_argument("--beside", type=Path, help="the src folder of another checkout, to be run in turns with this")
    options = parser.parse_args()
    available = sorted(os.sched_getaffinity(0))
    sides: dict[str, tuple[Any, ...]] = {}
    for count in options.cores or (1, len(available)):
        cores = set(available[:count])
        on = f"{len(cores)} core{'s' * (len(cores) > 1)}"
        if options.beside is not None:
            sides[f"before, {on}"] = (options.beside, cores, options.steps, ())
        for precision in options.precision:
            sides[f"{precision}, {on}"] = (OWN, cores, options.steps, ("--precision", precision))
    measured: dict[str, list[Figures]] = {name: [] for name in sides}
    for _ in range(options.repeats):
        for name, side in sides.items():
            measured[name].append(measure(*side))
            print(name, {part: round(value, 1) for part, value in measured[name][-1].items()}, flush=True)
    lines = table(measured, options.steps)
    print("\n".join(lines))
    name = "standard.md" if options.steps == STEPS else f"standard-{options.steps}.md"
    write_text_atomic(RESULTS / name, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
