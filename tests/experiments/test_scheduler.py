"""The scheduler's decisions, with jobs that only write the files that runs would."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from statewise.errors import RunError
from statewise.experiments.grid import scheduler as scheduling
from statewise.experiments.grid.plan import GridRun, plan
from statewise.experiments.grid.results import Results
from statewise.experiments.grid.scheduler import Rules, Scheduler
from statewise.experiments.grid.spec import GridSpec
from statewise.experiments.grid.state import Entry, GridFolder, read_runs
from statewise.experiments.records import find_records, read_record
from statewise.methods import metric_columns
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.metrics import MetricsWriter
from statewise.storage.run_folder import RunFolder
from statewise.training.signals import Interrupted

TOTAL = 1_000
SPEC = GridSpec(tasks=("A",), methods=("sac",), seeds=(0, 1), fields={"total_steps": TOTAL})


class Script:
    """An executor whose jobs do what a list says for each of a run's processes, one step a poll.

    A number is a checkpoint at that step; "hang" lasts; any other word is the process's end.
    """

    def __init__(self, scripts: dict[int, list[list[int | str]]], room: int = 2) -> None:
        self.scripts = scripts
        self.room = room
        self.jobs: list[Job] = []
        self.began: list[tuple[int, int]] = []
        """Seed, and step of its newest checkpoint, of every start."""

    def has_room(self) -> bool:
        return sum(job.status is None for job in self.jobs) < self.room

    def start(self, run: GridRun) -> Job:
        seed = run.spec.config.seed
        self.began.append((seed, newest(run)))
        self.jobs.append(Job(run, self.scripts[seed].pop(0)))
        return self.jobs[-1]

    def close(self) -> None:
        for job in self.jobs:
            job.kill()


ENDS = {"done": 0, "killed": -signal.SIGKILL, "fault": 3}
"""Exit statuses."""


class Job:
    """A process that follows its script."""

    def __init__(self, run: GridRun, script: list[int | str]) -> None:
        self.run = run
        self.script = script
        self.status: int | None = None

    def poll(self) -> int | None:
        if self.status is None and self.script:
            step = self.script[0]
            if isinstance(step, int):
                save(self.run, step)
            elif step in ENDS:
                self.status = ENDS[step]
            self.script = self.script if step == "hang" else self.script[1:]
        return self.status

    def stop(self) -> None:
        self.status = 130

    def kill(self) -> None:
        if self.status is None:
            self.status = -signal.SIGKILL

    def last_words(self) -> str:
        return "its last words"


class Quiet:
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown = 0

    def show(self, entries: Sequence[Entry]) -> None:
        self.shown += 1

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        pass


def save(run: GridRun, step: int) -> None:
    """Write the checkpoint of a step, the best one so far, and its evaluation."""
    store = CheckpointStore(RunFolder(run.path).checkpoints, keep=2)
    store.save(step, {"w": np.zeros(1)}, {"best_step": step})
    (run.path / "replay.bin").write_bytes(b"rows")
    with MetricsWriter(run.path / "metrics.csv", metric_columns("sac")) as rows:
        rows.append({"step": step, "gradient_step": 0, "phase": "eval", "return": 1.0, "cost": 0.0, "length": 10.0})


def newest(run: GridRun) -> int:
    latest = CheckpointStore(RunFolder(run.path).checkpoints, keep=1).latest()
    return 0 if latest is None else latest[0]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_SECONDS", "LOOK_SECONDS", "FIRST_PAUSE"):
        monkeypatch.setattr(scheduling, name, 0.0)


RULES = Rules(tries=2, hang_seconds=0.05)


def work(
    root: Path,
    executor: Script,
    rules: Rules = RULES,
    display: Quiet | None = None,
    results: Results | None = None,
) -> list[Entry]:
    """What a driver makes of the grid."""
    with GridFolder(root) as folder:
        runs = plan(SPEC, root)
        entries = [Entry(run, recorded=results is not None and results.has(run)) for run in runs]
        Scheduler(folder, SPEC, entries, executor, display or Quiet(), rules, results).run()
    return entries


def states(entries: list[Entry]) -> list[str]:
    return [entry.state for entry in entries]


def test_a_killed_run_goes_on_and_a_finished_one_is_tidied_up(tmp_path: Path) -> None:
    executor = Script({0: [[300, "killed"], [TOTAL, "done"]], 1: [[TOTAL, "done"]]})
    entries = work(tmp_path, executor)
    assert states(entries) == ["finished", "finished"]
    assert executor.began == [(0, 0), (1, 0), (0, 300)]
    assert not list(tmp_path.rglob("replay.bin"))
    assert (entries[0].run.path / "checkpoints" / "best.safetensors").exists()


def test_replays_stay_where_they_are_asked_for(tmp_path: Path) -> None:
    work(tmp_path, Script({0: [[TOTAL, "done"]], 1: [[TOTAL, "done"]]}), Rules(keep_replays=True))
    assert len(list(tmp_path.rglob("replay.bin"))) == 2


def test_deaths_without_a_checkpoint_between_them_are_counted(tmp_path: Path) -> None:
    dies: list[list[int | str]] = [["killed"], [200, "killed"], [400, "killed"], ["killed"]]
    entries = work(tmp_path, Script({0: dies, 1: [[TOTAL, "done"]]}))
    assert states(entries) == ["failed", "finished"]
    assert entries[0].starts == 4
    assert entries[0].reason == "killed by SIGKILL (tried 2 times)"


def test_divergence_is_not_tried_again_and_stops_no_other_run(tmp_path: Path) -> None:
    entries = work(tmp_path, Script({0: [[100, "fault"]], 1: [[TOTAL, "done"]]}))
    assert states(entries) == ["failed", "finished"]
    assert entries[0].reason == "its last words"
    assert entries[0].starts == 1


def test_a_run_that_hangs_is_killed_and_goes_on(tmp_path: Path) -> None:
    executor = Script({0: [[500, "hang"], [TOTAL, "done"]], 1: [[TOTAL, "done"]]})
    display = Quiet()
    assert states(work(tmp_path, executor, display=display)) == ["finished", "finished"]
    assert executor.began[-1] == (0, 500)
    assert any("no progress for 0.05 s" in line for line in display.said)


def test_a_grid_started_again_does_only_what_is_missing(tmp_path: Path) -> None:
    work(tmp_path, Script({0: [["fault"]], 1: [[TOTAL, "done"]]}))
    executor = Script({0: [[TOTAL, "done"]]})
    display = Quiet()
    assert states(work(tmp_path, executor, display=display)) == ["finished", "finished"]
    assert executor.began == [(0, 0)]
    assert display.said[0] == "1 of 2 runs are finished already"


def test_what_is_recorded_is_done_and_what_is_done_is_recorded(tmp_path: Path) -> None:
    """On another machine nothing of it is run again; without the records everything is, and tidied up as ever."""
    kept, there = tmp_path / "results", tmp_path / "there"
    work(tmp_path / "here", Script({0: [[TOTAL, "done"]], 1: [[500, "fault"]]}), results=Results(kept))
    assert [read_record(path).last_step for path in find_records(kept)] == [TOTAL, 500]
    display, executor = Quiet(), Script({1: [[TOTAL, "done"]]})
    entries = work(there, executor, display=display, results=Results(kept))
    assert display.said[0] == f"1 of 2 runs are finished already, 1 of them recorded in {kept}"
    assert [(entry.state, entry.starts, entry.step) for entry in entries] == [
        ("finished", 0, TOTAL),
        ("finished", 1, TOTAL),
    ]
    assert executor.began == [(1, 0)]
    assert [run["state"] for run in read_runs(there)] == ["finished", "finished"]
    assert all(read_record(path).is_finished for path in find_records(kept))
    executor = Script({0: [[TOTAL, "done"]]})
    assert states(work(there, executor)) == ["finished", "finished"]
    assert executor.began == [(0, 0)]
    assert not list(there.rglob("replay.bin"))


def test_a_recorded_run_is_left_alone_whatever_its_folder_holds(tmp_path: Path) -> None:
    kept = tmp_path / "results"
    work(tmp_path / "here", Script({0: [[TOTAL, "done"]], 1: [[TOTAL, "done"]]}), results=Results(kept))
    run, _ = plan(SPEC, tmp_path / "there")
    run.prepare()
    save(run, 300)
    other = RunFolder(run.path)
    with other:
        assert states(work(tmp_path / "there", Script({}), results=Results(kept))) == ["finished", "finished"]
    assert newest(run) == 300


def test_a_run_that_died_after_its_last_checkpoint_gets_its_best_one(tmp_path: Path) -> None:
    run, _ = plan(SPEC, tmp_path)
    run.prepare()
    save(run, TOTAL)
    work(tmp_path, Script({1: [[TOTAL, "done"]]}))
    checkpoints = RunFolder(run.path).checkpoints
    assert (checkpoints / "best.safetensors").read_bytes() == (
        checkpoints / "step-000000001000.safetensors"
    ).read_bytes()


def test_a_run_that_another_process_works_on_is_waited_for(tmp_path: Path) -> None:
    run, _ = plan(SPEC, tmp_path)
    run.prepare()
    other = RunFolder(run.path)
    other.lock()
    reasons: list[str] = []

    class Patient(Quiet):
        def show(self, entries: Sequence[Entry]) -> None:
            if entries[1].state == "finished" and not reasons:
                reasons.append(entries[0].reason)
                save(run, TOTAL)
                other.unlock()

    executor = Script({1: [[TOTAL, "done"]]})
    assert states(work(tmp_path, executor, display=Patient())) == ["finished", "finished"]
    assert reasons == ["another process works on it"]


def test_a_request_to_stop_ends_every_run_in_order(tmp_path: Path) -> None:
    class Impatient(Quiet):
        def show(self, entries: Sequence[Entry]) -> None:
            if all(entry.state == "running" for entry in entries):
                os.kill(os.getpid(), signal.SIGTERM)

    executor = Script({0: [[100, "hang"]], 1: [[200, "hang"]]})
    with pytest.raises(Interrupted, match="0 of 2 runs finished"):
        work(tmp_path, executor, Rules(), Impatient())
    assert [job.status for job in executor.jobs] == [130, 130]
    assert [(run["state"], run["step"]) for run in read_runs(tmp_path)] == [("waiting", 100), ("waiting", 200)]


def test_no_run_starts_on_a_disk_without_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "SPACE_NEEDED", 2**62)

    class Watcher(Quiet):
        def show(self, entries: Sequence[Entry]) -> None:
            if "are free on the disk" in entries[0].reason:
                monkeypatch.setattr(scheduling, "SPACE_NEEDED", 0)

    executor = Script({0: [[TOTAL, "done"]], 1: [[TOTAL, "done"]]})
    assert states(work(tmp_path, executor, display=Watcher())) == ["finished", "finished"]


def test_what_the_folder_says_of_its_runs_keeps_those_of_earlier_specs(tmp_path: Path) -> None:
    work(tmp_path, Script({0: [[TOTAL, "done"]], 1: [["fault"]]}))
    later = SPEC.replace(labels={"short": {"method": "sac", "total_steps": 10}}, methods=(), seeds=(5,))
    with GridFolder(tmp_path) as folder:
        folder.write(later, [Entry(run) for run in plan(later, tmp_path)])
    rows = [(run["label"], run["seed"], run["state"]) for run in read_runs(tmp_path)]
    assert rows == [("sac", 0, "finished"), ("sac", 1, "failed"), ("short", 5, "waiting")]


def test_a_folder_is_one_drivers_alone(tmp_path: Path) -> None:
    with GridFolder(tmp_path), pytest.raises(RunError, match="in use by process"), GridFolder(tmp_path):
        pytest.fail("two drivers")


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": 3}', json.dumps({"runs": [{}]})])
def test_a_damaged_state_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text(text)
    with pytest.raises(RunError, match=r"grid\.json: can't be read"), GridFolder(tmp_path):
        pytest.fail("accepted")
