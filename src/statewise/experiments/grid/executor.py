"""What carries out runs: the interface that the scheduler knows, and plain processes on this machine's cores."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from statewise.experiments.grid import child
from statewise.experiments.grid.plan import GridRun
from statewise.runtime import available_cores


class Job(Protocol):
    """A run that an executor has started."""

    def poll(self) -> int | None:
        """Its exit status, minus the signal that killed it, or None while it goes on."""
        ...

    def stop(self) -> None:
        """Ask it to write a checkpoint and end."""
        ...

    def kill(self) -> None:
        """End it at once, wherever it is."""
        ...

    def last_words(self) -> str:
        """The last line that it wrote, empty where there is none."""
        ...


class Executor(Protocol):
    """Carries out runs beside one another, each in a process started afresh."""

    def has_room(self) -> bool:
        """Whether another run can start now."""
        ...

    def start(self, run: GridRun) -> Job:
        """Begin a run, or go on with it from its last checkpoint."""
        ...

    def close(self) -> None:
        """End whatever still runs."""
        ...


class LocalProcesses:
    """`jobs` processes side by side, each on cores of its own where there are enough of them."""

    def __init__(self, jobs: int, cores: int, logs: Path) -> None:
        """jobs: 0 for as many as there are cores for; cores: of each run; logs: folder of what the processes print."""
        jobs = jobs or usual_jobs(cores)
        self.cores = cores
        self.logs = logs
        self._places = _places(jobs, cores)
        self._running: list[RunProcess | None] = [None] * jobs

    def has_room(self) -> bool:
        """Whether fewer than `jobs` processes run."""
        return any(process is None or process.poll() is not None for process in self._running)

    def start(self, run: GridRun) -> RunProcess:
        """Begin a run, or go on with it. OSError where no process can be started."""
        slot = next(i for i, process in enumerate(self._running) if process is None or process.poll() is not None)
        process = RunProcess(
            run.path, log_path(self.logs, run), self.cores, self._places[slot], modules=run.spec.modules
        )
        self._running[slot] = process
        return process

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._running:
            if process is not None:
                process.kill()


class RunProcess:
    """A process that begins a run, or goes on with it, and brings it to its end."""

    def __init__(
        self, run: Path, log: Path, cores: int, place: tuple[int, ...] = (), *, modules: Sequence[str] = ()
    ) -> None:
        """log: the file that its output is added to; place: the cores that it may use, () for any.

        modules: those that it may import for the run's files.
        """
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as said:
            self._begins = said.tell()
            self._process = subprocess.Popen(
                child.command(run, modules),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=child.environment(cores),
                start_new_session=True,  # Ctrl-C reaches the driver alone, which stops its children in order
            )
        if place:
            with suppress(ProcessLookupError):  # it may have ended already
                os.sched_setaffinity(self._process.pid, place)

    def poll(self) -> int | None:
        """Exit status, or None while it goes on."""
        status = self._process.poll()
        if status is not None:
            self._close_pipe()
        return status

    def stop(self) -> None:
        """SIGTERM: a checkpoint at the next block border, then exit status 130."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self._process.kill()
        self._process.wait()
        self._close_pipe()

    def last_words(self) -> str:
        """The last line that it wrote."""
        with self._log.open("rb") as said:
            said.seek(self._begins)
            lines = said.read().decode(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("statewise: ") if lines else ""

    def _close_pipe(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()


def usual_jobs(cores: int) -> int:
    """As many runs of that many cores as this machine has room for."""
    return max(1, available_cores() // cores)


def log_path(logs: Path, run: GridRun) -> Path:
    """Where the output of a run's processes is kept."""
    task, method, seed = run.path.parts[-3:]
    return logs / f"{task}-{method}-{seed}.log"


def _places(jobs: int, cores: int) -> list[tuple[int, ...]]:
    """Cores for each process: its own where there are enough, or none in particular."""
    if not hasattr(os, "sched_setaffinity") or jobs * cores > available_cores():
        return [()] * jobs
    own = sorted(os.sched_getaffinity(0))
    return [tuple(own[i * cores : (i + 1) * cores]) for i in range(jobs)]
