"""Runs as tasks of Ray, on this machine or on a cluster; the only module that imports it.

A task only starts the process that trains and waits for it, so a worker of Ray never holds JAX. Every node has to see
the grid's folder, on a shared file system where there is more than one.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from statewise.experiments.grid.child import STOP_SECONDS
from statewise.experiments.grid.executor import RunProcess, log_path
from statewise.experiments.grid.plan import GridRun
from statewise.experiments.grid.watch import RunWatch
from statewise.runtime import available_cores

MEMORY_BYTES = 3 * 2**29
"""What each run declares to Ray: 1.5 GB, which the presets' runs stay below."""
POLL_SECONDS = 0.2
KILLED = -signal.SIGKILL
"""Status of a run whose worker or node was lost."""
REFUSED = 2
"""Status of a run whose folder a node can't see."""


class RayTasks:
    """One task a run, with its cores and its memory declared; as many as the cluster has room for, at most `jobs`."""

    def __init__(self, jobs: int, cores: int, logs: Path, *, address: str | None, retries: int) -> None:
        """jobs: 0 for as many as fit; address: of a cluster, None for one of this machine alone.

        retries: times that Ray itself repeats a task whose worker died. ValueError where the cluster can't be reached.
        """
        self.jobs = jobs
        self.cores = cores
        self.logs = logs
        self._running: list[RayTask] = []
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
        try:
            if address is None:
                ray.init("local", num_cpus=available_cores(), include_dashboard=False, **quiet)
            else:
                ray.init(address, **quiet)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ValueError(f"address: no cluster of Ray at {address!r} ({error})") from error
        if self._fitting() < 1:
            raise ValueError(
                f"cores: {cores} and {MEMORY_BYTES / 1e9:.1f} GB for each run are more than any node of Ray has"
            )
        self._task = ray.remote(num_cpus=cores, memory=MEMORY_BYTES, max_retries=retries)(carry_out)

    def has_room(self) -> bool:
        """Whether the cluster, as large as it is now, can take another run."""
        self._running = [task for task in self._running if task.poll() is None]
        fitting = self._fitting()
        return len(self._running) < (min(self.jobs, fitting) if self.jobs else fitting)

    def start(self, run: GridRun) -> RayTask:
        """Hand a run to the cluster."""
        task = RayTask(self._task.remote(str(run.path), str(log_path(self.logs, run)), self.cores, run.spec.modules))
        self._running.append(task)
        return task

    def _fitting(self) -> int:
        """Runs that the nodes have cores and memory for."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return sum(int(min(n.get("CPU", 0) // self.cores, n.get("memory", 0) // MEMORY_BYTES)) for n in nodes)

    def close(self) -> None:
        """End what still runs, and leave the cluster."""
        for task in self._running:
            if task.poll() is None:
                task.kill()
        self._running.clear()
        ray.shutdown()


class RayTask:
    """A run in the hands of Ray."""

    def __init__(self, reference: ray.ObjectRef) -> None:
        self._reference = reference
        self._outcome: tuple[int, str] | None = None

    def poll(self) -> int | None:
        """Exit status of the run's process, KILLED where its worker was lost, or None while it goes on."""
        if self._outcome is None and ray.wait([self._reference], timeout=0)[0]:
            try:
                self._outcome = ray.get(self._reference)
            except RayError as error:
                self._outcome = KILLED, str(error)
        return None if self._outcome is None else self._outcome[0]

    def stop(self) -> None:
        """Let the worker pass a SIGTERM on: a checkpoint at the next block border."""
        ray.cancel(self._reference, force=False)

    def kill(self) -> None:
        """End the worker; the process that it started ends when it notices that."""
        ray.cancel(self._reference, force=True)

    def last_words(self) -> str:
        """The last line of the process, or what Ray says of a lost worker."""
        return "" if self._outcome is None else self._outcome[1]


def carry_out(path: str, log: str, cores: int, modules: tuple[str, ...]) -> tuple[int, str]:
    """Bring a run to its end on whatever node this is; exit status and last words of its process.

    Called again where a worker died, so a process of the worker before may still be writing its checkpoint.
    """
    # Ray cancels a task by SIGINT, which nodes that a shell started in its background ignore.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run = Path(path)
    if not (run / "config.json").exists():
        return REFUSED, f"{socket.gethostname()} doesn't see {run}: put the grid's --root on a shared file system"
    deadline = time.monotonic() + STOP_SECONDS
    while not RunWatch(run).is_free() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    process = RunProcess(run, Path(log), cores, modules=modules)
    try:
        while (status := process.poll()) is None:
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:  # the driver's `stop`
        process.stop()
        deadline = time.monotonic() + STOP_SECONDS
        while (status := process.poll()) is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if status is None:
            process.kill()
        raise
    return status, process.last_words()
