"""Brings every run of a grid to its end: starts, watches, restarts, and stops them in order."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from statewise.errors import CheckpointError, RunError
from statewise.experiments.grid.child import STOP_SECONDS
from statewise.experiments.grid.executor import Executor, Job
from statewise.experiments.grid.results import Results
from statewise.experiments.grid.spec import GridSpec
from statewise.experiments.grid.state import Entry, GridFolder
from statewise.training.signals import Interrupted, stop_requests

POLL_SECONDS = 0.2
LOOK_SECONDS = 1.0
"""Between two looks at the files of the runs."""
FAULT_STATUS = 3
"""Of a run that diverged or whose environment broke its contract: tried again it would do the same."""
FIRST_PAUSE = 1.0
"""Seconds before a run that died is tried again; four times as long before each further try."""
SPACE_NEEDED = 2**28
"""Bytes that have to be free on the disk before a run is started."""


class Display(Protocol):
    """Shows a person how a grid fares."""

    def show(self, entries: Sequence[Entry]) -> None:
        """The runs as they are now; called often."""
        ...

    def say(self, text: str) -> None:
        """Something happened."""
        ...

    def close(self) -> None:
        """Nothing more will come."""
        ...


@dataclass(frozen=True)
class Rules:
    """When runs are given up, and what stays of them.

    tries: deaths in a row without a new checkpoint between them. hang_seconds: without a new row of metrics or
    checkpoint. keep_replays: of finished runs.
    """

    tries: int = 3
    hang_seconds: float = 900.0
    keep_replays: bool = False


DEFAULT_RULES = Rules()


@dataclass
class _Work:
    """A run in the hands of this driver."""

    entry: Entry
    job: Job | None = None
    moved: float = 0.0
    """When its files last changed."""
    deaths: int = 0
    """In a row, without a new checkpoint between them."""
    died_at: int = 0
    """Step of the newest checkpoint at the last death."""
    not_before: float = 0.0
    """When it may be tried again."""


class Scheduler:
    """One driver's work on a grid."""

    def __init__(
        self,
        folder: GridFolder,
        spec: GridSpec,
        entries: list[Entry],
        executor: Executor,
        display: Display,
        rules: Rules,
        results: Results | None = None,
    ) -> None:
        """results: where what came of the runs is recorded; None records nothing."""
        self.folder = folder
        self.spec = spec
        self.entries = entries
        self.executor = executor
        self.display = display
        self.rules = rules
        self.results = results
        self._work = [_Work(entry, died_at=entry.watch.checkpoint_step) for entry in entries]
        self._looked = 0.0

    def run(self) -> None:
        """Work until every run is finished or given up.

        Raises Interrupted, with every run checkpointed, where the process is asked to stop.
        """
        try:
            with stop_requests() as stop_requested:
                self._find_finished()
                if done := self._finished():
                    recorded = sum(entry.recorded for entry in self.entries)
                    where = f", {recorded} of them recorded in {self.results.folder}" if self.results else ""
                    self.display.say(f"{done} of {len(self.entries)} runs are finished already{where}")
                while not all(entry.is_over for entry in self.entries):
                    self._collect()
                    self._look()
                    self._start()
                    if stop_requested():
                        self._stop()
                        raise Interrupted(f"stopped with {self._finished()} of {len(self.entries)} runs finished")
                    time.sleep(POLL_SECONDS)
                self.display.show(self.entries)
        finally:
            self.executor.close()
            self.display.close()

    def _finished(self) -> int:
        return sum(entry.state == "finished" for entry in self.entries)

    # --- starting ------------------------------------------------------------------------------------------------

    def _find_finished(self) -> None:
        """See what anyone has brought to its end."""
        for entry in self.entries:
            entry.watch.refresh()
            if entry.recorded or (entry.has_reached_its_end and not entry.is_over and entry.watch.is_free()):
                self._finish(entry)
        self._record()

    def _start(self) -> None:
        now = time.monotonic()
        for work in self._work:
            if not self.executor.has_room():
                return
            if work.entry.state != "waiting" or now < work.not_before:
                continue
            obstacle = self._obstacle(work.entry)
            if obstacle:
                work.entry.reason, work.not_before = obstacle, now + FIRST_PAUSE
            else:
                self._start_one(work)

    def _obstacle(self, entry: Entry) -> str:
        """What a run has to wait for, if anything."""
        if not entry.watch.is_free():
            return "another process works on it"
        if shutil.disk_usage(self.folder.root).free < SPACE_NEEDED:
            return f"less than {SPACE_NEEDED >> 20} MB are free on the disk"
        return ""

    def _start_one(self, work: _Work) -> None:
        entry = work.entry
        entry.watch.refresh()
        if entry.watch.is_finished(entry.run.total_steps):
            self._finish(entry)
            self._record()
            return
        try:
            entry.run.prepare()
            work.job = self.executor.start(entry.run)
        except (OSError, RunError) as error:
            self._died(work, str(error))
            return
        work.moved = time.monotonic()
        entry.state, entry.starts, entry.reason = "running", entry.starts + 1, ""
        step = entry.watch.checkpoint_step
        self.display.say(f"{entry.run.name}: " + (f"goes on from step {step:,}" if step else "starts"))
        self._record()

    # --- ending --------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        for work, job in self._jobs():
            status = job.poll()
            if status is not None:
                self._ended(work, status, _cause(status, job.last_words()))

    def _jobs(self) -> list[tuple[_Work, Job]]:
        return [(work, work.job) for work in self._work if work.job is not None]

    def _ended(self, work: _Work, status: int, cause: str) -> None:
        work.job = None
        work.entry.watch.refresh()
        if work.entry.watch.is_finished(work.entry.run.total_steps):
            self._finish(work.entry)
            self._record()
        elif status == FAULT_STATUS:
            self._give_up(work.entry, cause)
            self._record_failure(work.entry)
        else:
            self._died(work, cause)

    def _finish(self, entry: Entry) -> None:
        try:
            if not entry.recorded:
                self._conclude(entry)
        except (CheckpointError, RunError) as error:
            self._give_up(entry, str(error))
            return
        entry.state, entry.reason = "finished", ""
        if entry.starts:
            self.display.say(f"{entry.run.name}: finished")

    def _conclude(self, entry: Entry) -> None:
        if entry.starts or not self.folder.was_finished(entry.run):
            entry.watch.conclude(self.rules.keep_replays)
        if self.results is not None:
            self.results.keep(entry.run)

    def _died(self, work: _Work, cause: str) -> None:
        step = work.entry.watch.checkpoint_step
        work.deaths = 1 if step > work.died_at else work.deaths + 1
        work.died_at = step
        if work.deaths >= self.rules.tries:
            self._give_up(work.entry, f"{cause} (tried {work.deaths} times)")
            return
        pause = FIRST_PAUSE * 4 ** (work.deaths - 1)
        work.not_before = time.monotonic() + pause
        work.entry.state, work.entry.reason = "waiting", cause
        self.display.say(f"{work.entry.run.name}: {cause}; tried again in {pause:.0f} s")
        self._record()

    def _give_up(self, entry: Entry, cause: str) -> None:
        entry.state, entry.reason = "failed", cause
        self.display.say(f"{entry.run.name}: failed: {cause}")
        self._record()

    def _record_failure(self, entry: Entry) -> None:
        """So that who has the records alone knows of the run too; it doesn't count as done."""
        try:
            if self.results is not None and entry.watch.step:
                self.results.keep(entry.run)
        except (CheckpointError, RunError) as error:
            self.display.say(f"{entry.run.name}: not recorded: {error}")

    # --- watching and stopping -----------------------------------------------------------------------------------

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        for work, job in self._jobs():
            if work.entry.watch.refresh():
                work.moved = now
            elif now - work.moved > self.rules.hang_seconds:
                job.kill()
                self._ended(work, -signal.SIGKILL, f"no progress for {self.rules.hang_seconds:g} s")
        self.display.show(self.entries)

    def _stop(self) -> None:
        """Let every run write a checkpoint and end; those that take too long are killed."""
        jobs = self._jobs()
        self.display.say(f"stopping {len(jobs)} runs, each with a checkpoint")
        for _, job in jobs:
            job.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while any(job.poll() is None for _, job in jobs) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self.executor.close()
        for work, _ in jobs:
            work.entry.state = "waiting"
        self._find_finished()

    def _record(self) -> None:
        try:
            self.folder.write(self.spec, self.entries)
        except RunError as error:  # a full disk: the runs' own files say enough to go on
            self.display.say(str(error))


def _cause(status: int, last_words: str) -> str:
    """Why a process ended, in a few words."""
    if status >= 0:
        return last_words or f"ended with status {status}"
    known = -status in set(signal.Signals)
    return f"killed by {signal.Signals(-status).name if known else f'signal {-status}'}"
