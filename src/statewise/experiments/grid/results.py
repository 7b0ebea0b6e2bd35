"""Results of a grid that outlive its runs: a small file a run, by which another machine knows what is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from statewise.errors import RunError
from statewise.experiments.grid.plan import GridRun
from statewise.experiments.logged import Logged, read_folder
from statewise.experiments.records import Record, find_records, key_of, read_record, write_record


class Results:
    """The records in a folder, which is made once there is one."""

    def __init__(self, folder: Path) -> None:
        """RunError where the folder is none or one of its records is damaged."""
        if folder.exists() and not folder.is_dir():
            raise RunError(f"results: {folder} is not a folder; name one, or one that is to be made")
        self.folder = folder
        records = [read_record(path) for path in find_records(folder)]
        self._by_run = {key_of(record.run.spec): record for record in records}
        self._by_label = {_labelled(record): record for record in records}

    def require_same(self, runs: Sequence[GridRun]) -> None:
        """Raise RunError where a run is recorded, under its label, task and seed, with another configuration."""
        for run in runs:
            label, task, seed = run.label, run.spec.task, run.spec.config.seed
            found = self._by_label.get((label, task, seed))
            if found is None or key_of(found.run.spec) == key_of(run.spec):
                continue
            mine, theirs = _values(run), _values(found.run)
            apart = [
                f"{n} ({theirs.get(n)!r}, not {mine.get(n)!r})" for n in mine | theirs if mine.get(n) != theirs.get(n)
            ]
            raise RunError(
                f"{found.run.place}: {run.name} is recorded with other values than this grid has:"
                f" {', '.join(apart)}; name another folder in --results, or give these runs a label of their own"
            )

    def has(self, run: GridRun) -> bool:
        """Whether the run is recorded to its last step."""
        record = self._by_run.get(key_of(run.spec))
        return record is not None and record.is_finished

    def keep(self, run: GridRun) -> None:
        """Record what the run's folder holds; one that is recorded to its end already, or has logged nothing, is left.

        RunError or CheckpointError where the folder can't be read or the disk is full.
        """
        if self.has(run):
            return
        logged = read_folder(run.path)
        if len(logged.rows):
            record = read_record(write_record(self.folder, logged, run.label))
            self._by_run[key_of(run.spec)] = record


def _labelled(record: Record) -> tuple[str, str, int]:
    spec = record.run.spec
    return record.label, spec.task, spec.config.seed


def _values(run: GridRun | Logged) -> dict[str, object]:
    config = run.spec.config
    return {"method": config.method, **config.identity()}
