"""What the files of a run say of it while another process writes them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from statewise.errors import CheckpointError, RunError
from statewise.storage import checkpoint, metrics
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.run_folder import RunFolder


class RunWatch:
    """Progress of one run, read again where its files have changed."""

    def __init__(self, path: Path) -> None:
        self.run = RunFolder(path)
        self.step = 0
        """Environment steps of the newest row of metrics or checkpoint."""
        self.checkpoint_step = 0
        """Environment steps of the newest checkpoint."""
        self.figures: dict[str, float] = {}
        """Return and cost of the newest evaluation."""
        self.rate = 0.0
        """Environment steps a second, of the newest row of timings."""
        self._seen: tuple[int, ...] = ()

    def refresh(self) -> bool:
        """Look again; whether anything has changed since the last look."""
        latest = self._store.latest()
        self.checkpoint_step = 0 if latest is None else latest[0]
        seen = (self.checkpoint_step, *_mark(self.run.metrics_path), *_mark(self.run.timing_path))
        if seen == self._seen:
            return False
        self._seen = seen
        self.step, self.figures, self.rate = self.checkpoint_step, {}, 0.0
        with contextlib.suppress(CheckpointError):  # not begun yet, or just being begun anew
            self._read_rows()
        return True

    def is_finished(self, total_steps: int) -> bool:
        """Whether the newest checkpoint is the last one."""
        return self.checkpoint_step >= total_steps

    def is_free(self) -> bool:
        """Whether no process works on the run."""
        if not self.run.path.exists():
            return True
        try:
            self.run.lock()
        except RunError:
            return False
        self.run.unlock()
        return True

    def conclude(self, keep_replay: bool) -> None:
        """Tidy up behind a finished run, of which no process is left.

        A process may have died between writing the last checkpoint and marking it as the best one.
        """
        latest = self._store.latest()
        assert latest is not None
        step, path = latest
        if checkpoint.load(path)[1].get("best_step") == step:
            self._store.mark_best(step)
        if not keep_replay:
            self.run.replay_path.unlink(missing_ok=True)

    @property
    def _store(self) -> CheckpointStore:
        return CheckpointStore(self.run.checkpoints, keep=1)

    def _read_rows(self) -> None:
        rows = metrics.read(self.run.metrics_path)
        if len(rows):
            self.step = max(self.step, int(rows["step"][-1]))
        evaluations = rows.filter(rows["phase"] == "eval")
        if len(evaluations):
            self.figures = {name: float(evaluations[name][-1]) for name in ("return", "cost")}
        timing = metrics.read(self.run.timing_path)
        if len(timing):
            self.rate = float(timing["steps_per_second"][-1])


def _mark(path: Path) -> tuple[int, int]:
    """Size and time of a file, which change whenever a row is written or cut off."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return -1, -1
    return stat.st_size, stat.st_mtime_ns
