"""The training loop: blocks, rows of metrics, evaluations and checkpoints at their intervals, exact resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from statewise import __version__
from statewise.config import RunConfig
from statewise.errors import DivergenceError
from statewise.report.progress import Progress, Silent
from statewise.runtime import machine
from statewise.storage.run_files import RunFiles
from statewise.training.engine import Engine
from statewise.training.evaluator import Evaluator
from statewise.training.signals import Interrupted, stop_requests

RowListener = Callable[[dict[str, float | str]], None]
"""Told of every row of metrics, say to pass it to another logger."""


class Trainer:
    """One run: an engine, its evaluator, and the files of both.

    Rows, evaluations and checkpoints fall on the first block border at or behind each multiple of their interval, so
    everything is a function of the configuration and the seed, kills and resumes included.
    """

    def __init__(
        self,
        engine: Engine,
        evaluator: Evaluator,
        files: RunFiles,
        *,
        progress: Progress | None = None,
        listeners: tuple[RowListener, ...] = (),
    ) -> None:
        self.engine = engine
        self.evaluator = evaluator
        self.files = files
        self.progress = progress or Silent()
        self.listeners = listeners
        self.config: RunConfig = engine.config

    def start(self) -> None:
        """Open the files, and start from the seed or from the newest checkpoint."""
        saved = self.files.latest()
        if saved is None:
            self.engine.restart()
        else:
            self.engine.about.require_same(saved.metadata, saved.path)
            self.engine.load(saved.arrays, saved.metadata)
            self.evaluator.load(saved.arrays, saved.metadata)
            self.engine.stopwatch.restart(self.engine.step)
            if not self.engine.env.exact_state:
                self.progress.say(
                    f"{self.engine.env.task} can't restore its state: the running episodes start afresh"
                    f" from step {self.engine.step:,}"
                )
            self.files.settle(saved)
        if changed := self.files.note_machine(self.engine.step, {"statewise": __version__, **machine()}):
            self.progress.say(
                f"the run goes on with {', '.join(changed)}: it may not give the bits that it would have given before"
            )
        self.files.open(saved)

    def train(self, total_steps: int | None = None) -> None:
        """Train until `total_steps` environment steps in all (the configuration's, if None) have been taken.

        Raises DivergenceError (last checkpoint kept, report in failure.json), Interrupted after a checkpoint where the
        process was asked to stop, EnvironmentFault and RunError from below.
        """
        total = self.config.total_steps if total_steps is None else total_steps
        self.progress.start(self.engine.step, total)
        try:
            with stop_requests() as stop_requested:
                while self.engine.step < total:
                    self.block(total)
                    if stop_requested() and self.engine.step < total:
                        self.save()
                        raise Interrupted(f"stopped at step {self.engine.step:,}; resume to go on")
            if warning := self.evaluator.warning():
                self.progress.say(warning)
        except DivergenceError as error:
            counters = {"step": self.engine.step, "gradient_step": self.engine.learner.gradient_step}
            self.files.report_failure({"error": str(error), **counters})
            raise
        finally:
            self.progress.close()

    def block(self, total: int) -> None:
        """One block, then whatever is due behind it; at `total` everything is."""
        c, before = self.config, self.engine.step
        self.engine.block()
        step = self.engine.step
        self.progress.advance(step)

        def due(interval: int) -> bool:
            return step // interval > before // interval or step >= total

        if due(c.log_interval):
            self._write({"phase": "train", **self.engine.take_metrics()})
            self.files.append_timing(self.engine.stopwatch.take_row(step))
        improved = due(c.eval_interval) and self._evaluate()
        if improved or due(c.checkpoint_interval):
            self.save()
            self._mark_best()

    def save(self) -> None:
        """Write a checkpoint: replay and metrics first, then the file that refers to them."""
        with self.engine.stopwatch.timed("checkpoint"):
            arrays = {**self.engine.arrays(), **self.evaluator.arrays()}
            self.engine.memory.flush()
            metadata = {**self.engine.metadata(), **self.evaluator.metadata()}
            self.files.save(self.engine.step, arrays, metadata)

    def _evaluate(self) -> bool:
        with self.engine.stopwatch.timed("evaluate"):
            metrics, improved = self.evaluator.evaluate(self.engine.step)
        self._write({"phase": "eval", **metrics})
        return improved

    def _mark_best(self) -> None:
        if self.evaluator.best_step == self.engine.step:
            self.files.mark_best(self.engine.step)

    def _write(self, metrics: dict[str, Any]) -> None:
        row = {"step": self.engine.step, "gradient_step": self.engine.learner.gradient_step, **metrics}
        self.files.append(row)
        self.progress.row(row)
        for listener in self.listeners:
            listener(row)
