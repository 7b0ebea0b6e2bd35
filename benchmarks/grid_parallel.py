"""Do runs side by side get in each other's way? Two of a grid in parallel beside the same two one after the other.

    python benchmarks/grid_parallel.py               # SAC-ALaM with `standard` on PointGoal1; some ten minutes
    python benchmarks/grid_parallel.py --steps 5000 --repeats 1     # a quick look

Each run is the process that `statewise grid` starts: its threads capped to its cores, and a core of its own where there
are enough. Beside that the same with two threads each, as without a cap. The seconds are of whole processes with warm
caches; a ratio is the time of two in parallel over that of one alone, which is half of both one after the other. The
aim is 1.15 at most. Writes benchmarks/results/grid-parallel.md. Let nothing else run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from statewise.experiments.grid.executor import LocalProcesses
from statewise.experiments.grid.plan import GridRun, plan
from statewise.experiments.grid.spec import GridSpec
from statewise.runtime import available_cores
from statewise.storage.files import write_text_atomic

RESULTS = Path(__file__).parent / "results" / "grid-parallel.md"
LIMIT = 1.15
RUNS = 2


class Timing(NamedTuple):
    """Seconds of two runs with so many threads each, one after the other and side by side."""

    threads: int
    in_turn: float
    in_parallel: float

    @property
    def ratio(self) -> float:
        """The time of two side by side, over that of one alone."""
        return self.in_parallel / (self.in_turn / RUNS)


def seconds_of(runs: list[GridRun], jobs: int, threads: int, logs: Path) -> float:
    """Carry the runs out, so many side by side."""
    executor = LocalProcesses(jobs, threads, logs)
    waiting, running = list(runs), []
    began = time.monotonic()
    while waiting or any(process.poll() is None for process in running):
        if waiting and executor.has_room():
            run = waiting.pop(0)
            run.prepare()
            running.append(executor.start(run))
        time.sleep(0.05)
    elapsed = time.monotonic() - began
    for run, process in zip(runs, running, strict=True):
        if process.poll():
            raise RuntimeError(f"{run.name}: {process.last_words()}")
    return elapsed


def measure(spec: GridSpec, threads: int, root: Path) -> Timing:
    """Both orders once, on runs of their own."""
    in_turn = seconds_of(plan(spec, root / "in-turn", threads), 1, threads, root / "logs")
    in_parallel = seconds_of(plan(spec, root / "in-parallel", threads), RUNS, threads, root / "logs")
    return Timing(threads, in_turn, in_parallel)


def row(timings: list[Timing]) -> str:
    """A line of the table: medians over the repetitions."""
    in_turn, in_parallel, ratio = (
        statistics.median(values)
        for values in zip(*((t.in_turn, t.in_parallel, t.ratio) for t in timings), strict=True)
    )
    ratios = ", ".join(f"{t.ratio:.2f}" for t in timings)
    return f"| {timings[0].threads} | {in_turn:.1f} | {in_parallel:.1f} | {ratio:.2f} | {ratios} |"


def main() -> None:
    """Print and write the table; exit status 1 where the capped runs miss the aim."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    spec = GridSpec(
        tasks=("SafetyPointGoal1-v0",),
        methods=("sac-alam",),
        seeds=tuple(range(RUNS)),
        fields={"total_steps": options.steps},
    )
    table = [
        f"`python benchmarks/grid_parallel.py`: two runs of {options.steps:,} steps on {available_cores()} cores.\n",
        "| threads of a run | one after the other, s | side by side, s | side by side / one alone | each repetition |",
        "|---|---|---|---|---|",
    ]
    capped: list[Timing] = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in (1, 2):
            seconds_of(plan(spec, Path(folder) / f"warm-{threads}", threads)[:1], 1, threads, Path(folder) / "logs")
            timings = [
                measure(spec, threads, Path(folder) / f"{threads}-{number}") for number in range(options.repeats)
            ]
            table.append(row(timings))
            print(table[-1], flush=True)
            capped = capped or timings
    write_text_atomic(RESULTS, "\n".join(table) + "\n")
    sys.exit(0 if statistics.median(timing.ratio for timing in capped) <= LIMIT else 1)


if __name__ == "__main__":
    main()
