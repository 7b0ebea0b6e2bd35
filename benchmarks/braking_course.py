"""SAC-ALaM's policy in the course of a run on the braking problem, whose end alone says little: it swings.

    python benchmarks/braking_course.py            # five seeds with rho_init of 1 and 0.3; some ten minutes of one core
    python benchmarks/braking_course.py --rho 1 --seeds 0

Every 1,000 steps of a run's second half the deterministic policy is measured as benchmarks/braking.py measures the last
one. Set NPROC=1 to get the table's bits on a machine with other cores. Writes benchmarks/results/braking-course.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.braking import Reached, measure, train
from statewise import Agent
from statewise.storage.files import write_text_atomic

EVERY = 1_000
UNSAFE = 0.05
"""Share of violating episodes beyond which a checkpoint counts as unsafe."""
RESULTS = Path(__file__).parent / "results" / "braking-course.md"

HEADER = """# Braking before a wall: the course of a run

`python benchmarks/braking_course.py`: SAC-ALaM's deterministic policy at every checkpoint of the second half of a run
(one every 1,000 steps), each from 300 safe starts; return is a share of the best safe policy's, violating a share of
episodes, unsafe a checkpoint with more than 5 % of them. The best checkpoint is the one that the run itself marks as
best, by its own evaluations.

| rho_init | seed | return, median | violating, median | mean | worst | unsafe | at the end | best checkpoint |
|---|---|---|---|---|---|---|---|---|
"""


class Course(NamedTuple):
    """What the policy reaches over the second half of a run, and by its best checkpoint."""

    checkpoints: list[Reached]
    best: Reached

    @property
    def returns(self) -> list[float]:
        """Of every checkpoint, in order."""
        return [reached.return_share for reached in self.checkpoints]

    @property
    def violating(self) -> list[float]:
        """Of every checkpoint, in order."""
        return [reached.violating for reached in self.checkpoints]


def course(seed: int, root: Path, episodes: int = 300, **changes: Any) -> Course:
    """Train a seed, and measure what it left behind."""
    agent = train("sac-alam", seed, root, checkpoint_interval=EVERY, checkpoints_kept=100, **changes)
    assert agent.run_path is not None
    files = sorted((agent.run_path / "checkpoints").glob("step-*.safetensors"))
    late = [file for file in files if int(file.stem.removeprefix("step-")) > agent.config.total_steps // 2]
    best = Agent.load(agent.run_path, which="best")
    return Course([measure(Agent.load(file), episodes) for file in late], measure(best, episodes))


def row(rho: float, seed: int, found: Course) -> str:
    """A line of the table."""
    shares = np.array(found.violating)
    last = found.checkpoints[-1]
    return (
        f"| {rho:g} | {seed} | {np.median(found.returns):.3f} | {np.median(shares):.1%} | {shares.mean():.1%} "
        f"| {shares.max():.1%} | {(shares > UNSAFE).sum()} of {len(shares)} "
        f"| {last.return_share:.3f}, {last.violating:.1%} | {found.best.return_share:.3f}, {found.best.violating:.1%} |"
    )


def main() -> None:
    """Train, measure, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rho", nargs="+", type=float, default=[1.0, 0.3], help="values of rho_init")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    args = parser.parse_args()
    rows = []
    for rho in args.rho:
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as root:
                rows.append(row(rho, seed, course(seed, Path(root), rho_init=rho)))
            print(rows[-1], flush=True)
    write_text_atomic(RESULTS, HEADER + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
