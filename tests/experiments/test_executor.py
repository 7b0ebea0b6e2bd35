"""Processes on this machine: capped, on cores of their own, heard to their last line, gone when they are told to."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from statewise.experiments.grid import child
from statewise.experiments.grid.executor import LocalProcesses, RunProcess
from statewise.experiments.grid.plan import GridRun, plan
from statewise.experiments.grid.spec import GridSpec
from statewise.runtime import available_cores

BOUND = "import os, time\nwhile len(os.sched_getaffinity(0)) > 1: time.sleep(0.01)\nprint(os.sched_getaffinity(0))"
SLEEPING = "import time; print('sleeps', flush=True); time.sleep(1000)"


@pytest.fixture
def runs(tmp_path: Path) -> list[GridRun]:
    return plan(GridSpec(tasks=("A",), methods=("sac",), seeds=(0, 1)), tmp_path)


def do_instead(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes run this in place of a training run."""
    monkeypatch.setattr(child, "command", lambda *_: [sys.executable, "-c", code])


def wait(process: RunProcess) -> int:
    while (status := process.poll()) is None:
        time.sleep(0.01)
    return status


def test_threads_are_capped_and_flags_of_ones_own_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    one, two = child.environment(1), child.environment(2)
    assert one["OMP_NUM_THREADS"] == one["POLARS_MAX_THREADS"] == one["NPROC"] == "1"
    assert one["XLA_FLAGS"] == "--mine --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    assert two["OMP_NUM_THREADS"] == "2"
    assert two["XLA_FLAGS"] == "--mine"


@pytest.mark.skipif(available_cores() < 2, reason="needs two cores")
def test_each_process_has_a_core_of_its_own(
    runs: list[GridRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_instead(BOUND, monkeypatch)
    executor = LocalProcesses(2, 1, tmp_path / "logs")
    assert executor.has_room()
    processes = [executor.start(run) for run in runs]
    assert [wait(process) for process in processes] == [0, 0]
    assert len({process.last_words() for process in processes}) == 2
    assert executor.has_room()


def test_no_more_processes_than_asked_for_and_none_is_left(
    runs: list[GridRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do_instead(SLEEPING, monkeypatch)
    executor = LocalProcesses(1, 1, tmp_path / "logs")
    process = executor.start(runs[0])
    assert not executor.has_room()
    executor.close()
    assert process.poll() == -signal.SIGKILL


def test_a_stopped_process_can_say_a_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    do_instead(SLEEPING, monkeypatch)
    log = tmp_path / "logs" / "run.log"
    for _ in range(2):  # the second one's words are not those of the first
        process = RunProcess(tmp_path, log, 1)
        while process.last_words() != "sleeps":
            time.sleep(0.01)
        process.stop()
        assert wait(process) == -signal.SIGTERM
    assert log.read_text() == "sleeps\nsleeps\n"


def test_a_child_ends_with_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    received: list[tuple[int, int]] = []
    monkeypatch.setattr(child, "STOP_SECONDS", 0.0)
    monkeypatch.setattr(os, "read", lambda descriptor, count, read=os.read: read(reading, count))
    monkeypatch.setattr(os, "kill", lambda process, number: received.append((process, number)))
    os.close(writing)
    child.stop_with_the_parent()
    os.close(reading)
    assert received == [(os.getpid(), signal.SIGTERM), (os.getpid(), signal.SIGKILL)]


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray isn't installed (the extra `grid`)")
def test_a_task_of_ray_can_be_stopped_where_its_node_ignores_interrupts(tmp_path: Path) -> None:
    """A shell's background job ignores SIGINT, by which Ray cancels, and so do the workers of a node begun in one."""
    from statewise.experiments.grid.on_ray import REFUSED, carry_out

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert carry_out(str(tmp_path / "nowhere"), str(tmp_path / "log"), 1, ())[0] == REFUSED
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
