"""How fast the on-policy methods train: sampling, learning from an epoch, and both together.

    python benchmarks/onpolicy.py [--task SafetyHalfCheetahVelocity-v1] [--epochs 5] [--output benchmarks/results]

The default configurations, one epoch of 20,000 steps each in turn; medians over epochs, the first left out as it holds
the compilation.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from statewise.config import OnPolicyConfig
from statewise.envs import make_vector
from statewise.methods import METHODS
from statewise.spec import make_config
from statewise.storage.files import write_text_atomic
from statewise.training.engine import Engine

ON_POLICY = [name for name, method in METHODS.items() if issubclass(method.config, OnPolicyConfig)]


class Run:
    """A method's worlds and learner, and the seconds of each epoch."""

    def __init__(self, method: str, task: str) -> None:
        config = make_config(method, "paper")
        env = make_vector(task, config.num_envs)
        self.steps = config.block_env_steps
        self.engine = Engine.for_task(config, env)
        self.engine.restart()
        self.sampling: list[float] = []
        self.learning: list[float] = []
        self.gradient_steps: list[int] = []

    def epoch(self) -> None:
        """Sample an epoch and learn from it."""
        learner, before = self.engine.learner, self.engine.learner.gradient_step
        self.engine.block()
        seconds = self.engine.stopwatch.take_row(self.engine.step)
        self.sampling.append(seconds["sample_seconds"])
        self.learning.append(seconds["update_seconds"])
        self.gradient_steps.append(learner.gradient_step - before)

    def close(self) -> None:
        """Close the environments."""
        self.engine.env.close()

    def row(self, method: str) -> str:
        """A line of the table."""
        sampling, learning = median(self.sampling[1:]), median(self.learning[1:])
        both = median(a + b for a, b in zip(self.sampling[1:], self.learning[1:], strict=True))
        compiling = self.learning[0] - learning
        cells = [f"{self.steps / sampling:,.0f}", f"{learning:.2f}", f"{median(self.gradient_steps[1:]):,.0f}"]
        cells += [f"{self.steps / both:,.0f}", f"{compiling:.1f}"]
        return f"| {method} | {' | '.join(cells)} |"


def main() -> None:
    """Measure in turns, print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", default="SafetyHalfCheetahVelocity-v1")
    parser.add_argument("--epochs", type=int, default=5, help="epochs that are measured")
    parser.add_argument("--output", type=Path, help="folder for onpolicy.md")
    options = parser.parse_args()
    runs = {method: Run(method, options.task) for method in ON_POLICY}
    for _ in range(options.epochs + 1):
        for run in runs.values():
            run.epoch()
    lines = [
        f"{options.task}, defaults",
        "",
        "| method | sampling, steps/s | learning (s an epoch) | gradient steps | both, steps/s | compiles (s) |",
        "|---" * 6 + "|",
        *(run.row(method) for method, run in runs.items()),
    ]
    for run in runs.values():
        run.close()
    print("\n".join(lines))
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        write_text_atomic(options.output / "onpolicy.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
