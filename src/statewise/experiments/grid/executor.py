"""What carries out runs: the interface that the scheduler knows, and plain processes on this machine's cores."""

from __future__ import annotations

import os
import subprocess
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
        """cores: of each run; logs: folder of what the processes print."""
        self.jobs = jobs
        self.cores = cores
        self.logs = logs
        self._free = _places(jobs, cores)
        self._running: list[LocalJob] = []

    def has_room(self) -> bool:
        """Whether fewer than `jobs` processes run."""
        return bool(self._free)

    def start(self, run: GridRun) -> LocalJob:
        """Begin a run, or go on with it. OSError where no process can be started."""
        self.logs.mkdir(parents=True, exist_ok=True)
        place = self._free.pop(0)
        try:
            job = LocalJob(run, log_path(self.logs, run), self.cores, place, self)
        except BaseException:
            self._free.insert(0, place)
            raise
        self._running.append(job)
        return job

    def release(self, job: LocalJob) -> None:
        """Take back the cores of a process that has ended."""
        if job in self._running:
            self._running.remove(job)
            self._free.append(job.place)

    def close(self) -> None:
        """Kill what still runs."""
        for job in tuple(self._running):
            job.kill()


class LocalJob:
    """A process that brings one run to its end."""

    def __init__(self, run: GridRun, log: Path, cores: int, place: tuple[int, ...], owner: LocalProcesses) -> None:
        self.place = place
        self._owner = owner
        self._log = log
        with log.open("ab") as said:
            self._begins = said.tell()
            self._process = subprocess.Popen(
                child.command(run.path),
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=subprocess.STDOUT,
                env=child.environment(cores),
                start_new_session=True,  # Ctrl-C reaches the driver alone, which stops its children in order
            )
        if place:
            os.sched_setaffinity(self._process.pid, place)

    def poll(self) -> int | None:
        """Exit status, or None while it goes on."""
        status = self._process.poll()
        if status is not None:
            self._end()
        return status

    def stop(self) -> None:
        """SIGTERM: a checkpoint at the next block border, then exit status 130."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL, and wait until the process is gone."""
        self._process.kill()
        self._process.wait()
        self._end()

    def last_words(self) -> str:
        """The last line that this process wrote."""
        with self._log.open("rb") as said:
            said.seek(self._begins)
            return last_line(said.read())

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._owner.release(self)


def log_path(logs: Path, run: GridRun) -> Path:
    """Where the output of a run's processes is kept."""
    task, method, seed = run.path.parts[-3:]
    return logs / f"{task}-{method}-{seed}.log"


def last_line(said: bytes) -> str:
    """The last line that isn't blank."""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("statewise: ") if lines else ""


def _places(jobs: int, cores: int) -> list[tuple[int, ...]]:
    """Cores for each process: its own where there are enough, or none in particular."""
    if not hasattr(os, "sched_setaffinity") or jobs * cores > available_cores():
        return [()] * jobs
    own = sorted(os.sched_getaffinity(0))
    return [tuple(own[i * cores : (i + 1) * cores]) for i in range(jobs)]
