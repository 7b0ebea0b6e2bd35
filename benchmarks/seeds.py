"""Five seeds at once against five after one another: wall clock and memory of whole processes.

    python benchmarks/seeds.py                     # 60,000 steps each; some five minutes on two quiet cores
    python benchmarks/seeds.py --steps 400000

At once is one `statewise train … --seeds 0 1 2 3 4`; after one another is one `statewise train` a seed, with
all cores, as one would type them. Both compile with a warm cache. Writes benchmarks/results/seeds.md.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from statewise.runtime import available_cores
from statewise.storage.files import write_text_atomic

TASK = "SafetyPointGoal1-v0"
SEEDS = ("0", "1", "2", "3", "4")
RESULTS = Path(__file__).parent / "results" / "seeds.md"


class Cost(NamedTuple):
    """Wall clock and processor time in seconds, and the largest process so far in MB."""

    wall: float
    cpu: float
    peak: float


def run(commands: Sequence[Sequence[str]], steps: int) -> Cost:
    """What commands cost, one after the other."""
    began, before = time.monotonic(), os.times()
    with tempfile.TemporaryDirectory() as root:
        for words in commands:
            command = [
                sys.executable,
                "-m",
                "statewise",
                "train",
                "sac-alam",
                TASK,
                *words,
                "--total-steps",
                str(steps),
            ]
            subprocess.run([*command, "--root", root, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.monotonic() - began, cpu, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3)


def main() -> None:
    """Measure both ways, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=60_000, help="environment steps of each run")
    steps = parser.parse_args().steps
    for warming in (("--seed", "0"), ("--seeds", "0", "1")):
        run([warming], 20_000)
    one_by_one = run([("--seed", seed) for seed in SEEDS], steps)
    at_once = run([("--seeds", *SEEDS)], steps)
    lines = [
        f"# {len(SEEDS)} seeds of SAC-ALaM on {TASK}, {steps:,} steps each, {available_cores()} cores",
        "",
        "`python benchmarks/seeds.py`: whole processes, in seconds.",
        "",
        "| | wall clock | processor | largest process, MB |",
        "|---|---|---|---|",
        f"| after one another | {one_by_one.wall:.0f} | {one_by_one.cpu:.0f} | {one_by_one.peak:.0f} |",
        f"| at once | {at_once.wall:.0f} | {at_once.cpu:.0f} | {at_once.peak:.0f} |",
        f"| ratio | {at_once.wall / one_by_one.wall:.2f} | {at_once.cpu / one_by_one.cpu:.2f} | |",
    ]
    print("\n".join(lines))
    write_text_atomic(RESULTS, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
