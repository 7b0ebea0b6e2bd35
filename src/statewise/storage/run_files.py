"""The files that a run writes while it trains: rows of metrics and timings, and checkpoints that refer to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, SupportsFloat

from statewise.core.columns import TIMING_COLUMNS, Column
from statewise.errors import CheckpointError, RunError
from statewise.storage import checkpoint
from statewise.storage.checkpoint import Arrays, CheckpointStore
from statewise.storage.files import write_text_atomic
from statewise.storage.metrics import MetricsWriter
from statewise.storage.run_folder import RunFolder

Row = Mapping[str, SupportsFloat | str]


class Saved(NamedTuple):
    """A checkpoint that was read: its step, arrays, metadata and file."""

    step: int
    arrays: Arrays
    metadata: dict[str, Any]
    path: Path


class RunFiles:
    """Metrics, timings and checkpoints of one run, whose lock the caller holds; as a context manager it closes them.

    After `latest`, and before the first row, `open` says where the files go on.
    """

    def __init__(self, run: RunFolder, columns: Sequence[Column], checkpoints_kept: int) -> None:
        """columns: of the metrics."""
        self.run = run
        self._columns = columns
        self._store = CheckpointStore(run.checkpoints, checkpoints_kept)
        self._metrics: MetricsWriter | None = None
        self._timing: MetricsWriter | None = None

    def latest(self) -> Saved | None:
        """The newest checkpoint; None before the first. Raises CheckpointError where it is damaged."""
        if self._store.latest() is None:
            return None
        step, arrays, metadata = self._store.load_latest()
        return Saved(step, arrays, metadata, self._store.path(step))

    def open(self, saved: Saved | None = None) -> None:
        """Begin the files anew, or go on where a checkpoint left them; later rows are cut off."""
        metadata, step = ({}, 0) if saved is None else (saved.metadata, saved.step)
        self._metrics = MetricsWriter(
            self.run.metrics_path,
            self._columns,
            position=metadata.get("metrics_position", 0),
            digest=metadata.get("metrics_sha256"),
        )
        rows = _position_behind(self.run.timing_path, step)
        self._timing = MetricsWriter(self.run.timing_path, TIMING_COLUMNS, position=rows)

    def append(self, row: Row) -> None:
        """Add a row of metrics."""
        assert self._metrics is not None
        self._metrics.append(row)

    def append_timing(self, row: Row) -> None:
        """Add a row of timings."""
        assert self._timing is not None
        self._timing.append(row)

    def save(self, step: int, arrays: Arrays, metadata: Mapping[str, Any]) -> Path:
        """Write a checkpoint behind the rows so far, which are made durable first."""
        assert self._metrics is not None
        assert self._timing is not None
        self._metrics.flush()
        self._timing.flush()
        rows = {"metrics_position": self._metrics.position, "metrics_sha256": self._metrics.digest}
        path = self._store.save(step, arrays, {**metadata, **rows})
        if self.run.failure_path.exists():  # of an earlier process, behind whose last checkpoint this one has come
            self.run.failure_path.unlink()
        return path

    def settle(self, saved: Saved) -> bool:
        """Finish what a kill behind that checkpoint left undone; whether there was anything.

        That is the copy of the best checkpoint, and the removal of those beyond the kept ones. CheckpointError where
        that copy is damaged and can't be made again.
        """
        best = saved.metadata["best_step"]
        marked = best in self._store.steps() and self._store.mark_best(best)
        if not marked and self._store.best_path.exists():
            checkpoint.load(self._store.best_path)
        return self._store.prune(saved.step) or marked

    def mark_best(self, step: int) -> None:
        """Keep a copy of the checkpoint of `step` as the best one."""
        self._store.mark_best(step)

    def note_machine(self, step: int, machine: Mapping[str, str | int]) -> list[str]:
        """Record what computes the run from `step` on; returns what differs from what computed it before.

        machine.json holds one entry for each change. RunError where it is damaged.
        """
        path = self.run.machine_path
        try:
            entries = json.loads(path.read_bytes()) if path.exists() and step else []
            if not isinstance(entries, list):
                raise TypeError("it is no list")
            before = [entry for entry in entries if entry["from_step"] < step]
            version = json.loads(self.run.config_path.read_bytes())["statewise"]
            last = dict(before[-1]) if before else {"statewise": version}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{path}: is damaged; remove it to go on") from error
        changed = [f"{name} {last[name]} -> {now}" for name, now in machine.items() if last.get(name, now) != now]
        if not before or changed:
            text = json.dumps([*before, {"from_step": step, **machine}], indent=2) + "\n"
            write_text_atomic(path, text)
        return changed

    def report_failure(self, report: Mapping[str, Any]) -> None:
        """Write failure.json, with the last checkpoint's step added."""
        report = {**report, "last_checkpoint": (self._store.steps() or [None])[-1]}
        write_text_atomic(self.run.failure_path, json.dumps(report, indent=2) + "\n")

    def close(self) -> None:
        """Make all rows durable and close the files, the second even where the first has no space left."""
        writers, self._metrics, self._timing = (self._metrics, self._timing), None, None
        with ExitStack() as stack:
            for writer in writers:
                if writer is not None:
                    stack.callback(writer.close)

    def __enter__(self) -> RunFiles:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def checkpoint_in(run: Path, which: str) -> Path:
    """The "latest" or "best" checkpoint of a run folder.

    RunError where the folder isn't a run, CheckpointError where there is none yet.
    """
    folder = RunFolder.open(run)
    if which not in ("latest", "best"):
        raise ValueError(f"which: {which!r} is not allowed; it must be latest or best")
    store = CheckpointStore(folder.checkpoints, keep=1)
    found = store.latest()
    path = store.best_path if which == "best" else found[1] if found else None
    if path is None or not path.exists():
        raise CheckpointError(f"{run} holds no {which} checkpoint yet")
    return path


def _position_behind(path: Path, step: int) -> int:
    """Bytes of a timing file up to the rows behind `step`; 0 where there is nothing to keep."""
    if step == 0 or not path.exists():
        return 0
    position = 0
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True)):
        first = line.split(b",", 1)[0]
        if not line.endswith(b"\n") or (number > 0 and not (first.isdigit() and int(first) <= step)):
            break
        position += len(line)
    return position
