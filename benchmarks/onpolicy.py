"""How fast the on-policy methods train: sampling, learning from an epoch, and both together.

    python benchmarks/onpolicy.py [--task SafetyHalfCheetahVelocity-v1] [--epochs 5] [--output benchmarks/results]

The default configurations, one epoch of 20,000 steps each in turn; medians over epochs, the first left out as it holds
the compilation.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from statewise.config import OnPolicyConfig
from statewise.envs import make_vector
from statewise.files import write_text_atomic
from statewise.learner import OnPolicyLearner
from statewise.methods import METHODS
from statewise.runs import RunFolder
from statewise.spec import RunSpec, make_config
from statewise.train import Trainer, make_learner

ON_POLICY = [name for name, method in METHODS.items() if issubclass(method.config, OnPolicyConfig)]


class Run:
    """A method's worlds and learner, and the seconds of each epoch."""

    def __init__(self, method: str, task: str, root: Path) -> None:
        config = make_config(method, "paper")
        env, spare = (make_vector(task, config.num_envs) for _ in range(2))
        learner = make_learner(config, env)
        assert isinstance(learner, OnPolicyLearner)
        self.steps = config.block_env_steps
        self.learner = learner
        self._folder = RunFolder.create(root / method, RunSpec(task, config).to_json())
        self._trainer = Trainer(self._folder.__enter__(), config, env, spare, learner)
        self.sampling: list[float] = []
        self.learning: list[float] = []
        self.gradient_steps: list[int] = []

    def epoch(self) -> None:
        """Sample an epoch and learn from it."""
        trainer, before = self._trainer, self.learner.gradient_step
        began = time.perf_counter()
        rows = trainer.collector.collect(trainer._act, self.steps // trainer.env.num_envs)
        sampled = time.perf_counter()
        self.learner.remember(trainer.memory, rows)
        self.learner.learn(trainer.memory)
        self.sampling.append(sampled - began)
        self.learning.append(time.perf_counter() - sampled)
        self.gradient_steps.append(self.learner.gradient_step - before)

    def close(self) -> None:
        """Close the files."""
        self._trainer.close()
        self._folder.__exit__(None, None, None)

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
    with tempfile.TemporaryDirectory() as root:
        runs = {method: Run(method, options.task, Path(root)) for method in ON_POLICY}
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
