"""A run that is stopped or killed at any moment goes on to the very same bytes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.small_runs import TINY_ALAM, MakeAgent, assert_same_files, checkpoint_steps, files_of, folder_of
from support.toys import ExactPoint

from benchmarks import kills
from statewise import Agent
from statewise.config import SacConfig

DYING = """
import os, signal, sys
from pathlib import Path

root, victim, when, *folders = sys.argv[1:]
sys.path[:0] = folders
replace = os.replace

def deadly(source, target, **options):
    hit = Path(target).name.startswith(victim)
    if not hit or when == "after":
        replace(source, target, **options)
    if hit:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = deadly

from support.small_runs import TINY_ALAM
from support.toys import ExactPoint
from statewise import Agent

run = next(Path(root).glob("*/*/*/checkpoints"), None)
if run is None:
    Agent("sac-alam", ExactPoint, root=root, **TINY_ALAM).learn(overwrite=True)
else:
    Agent.load(run.parent, ExactPoint).learn()
"""
"""Trains like `reference`, but dies of SIGKILL before or after a file gets its final name."""


class Stopped(BaseException):
    """Raised by a listener to end a run in the middle."""


def stop_at_row(number: int):
    rows = iter(range(number))

    def listener(row: dict[str, float | str]) -> None:
        del row
        if next(rows, None) is None:
            raise Stopped

    return listener


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """A run from start to end, undisturbed."""
    return Agent("sac-alam", ExactPoint, root=tmp_path_factory.mktemp("reference"), **TINY_ALAM).learn()


def test_the_reference_run_is_worth_comparing(reference: Agent) -> None:
    rows = files_of(reference)["metrics.csv"].decode().splitlines()
    assert sum(",eval," in row for row in rows) == 2
    assert checkpoint_steps(reference) == [120, 160]
    assert (folder_of(reference) / "checkpoints" / "best.safetensors").exists()
    assert isinstance(reference.config, SacConfig)
    assert reference.config.total_steps > reference.config.replay_capacity + 2 * 48  # the replay's file wraps around


def test_same_seed_gives_the_same_bytes_and_another_seed_others(reference: Agent, tiny_agent: MakeAgent) -> None:
    assert_same_files(tiny_agent(ExactPoint, "sac-alam").learn(), reference)
    one, other = files_of(tiny_agent(ExactPoint, "sac-alam", seed=1).learn()), files_of(reference)
    assert all(one[name] != other[name] for name in other if name != "config.json")


def test_stops_at_every_row_leave_no_trace(reference: Agent, tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint, "sac-alam")
    for rows in (0, 2, 3, 1, 4, 0, 3):
        with pytest.raises(Stopped):
            agent.learn(listeners=(stop_at_row(rows),))
    assert_same_files(agent.learn(), reference)


def test_a_loaded_run_goes_on_to_the_same_bytes(reference: Agent, tiny_agent: MakeAgent) -> None:
    begun = tiny_agent(ExactPoint, "sac-alam")
    with pytest.raises(Stopped):
        begun.learn(listeners=(stop_at_row(5),))
    assert checkpoint_steps(begun) == [40]
    assert_same_files(Agent.load(folder_of(begun), ExactPoint).learn(), reference)


def test_a_finished_run_stays_as_it_is(reference: Agent) -> None:
    before = files_of(reference)
    reference.learn()
    assert files_of(reference) == before


def test_learning_in_two_parts_equals_learning_in_one(reference: Agent, tiny_agent: MakeAgent) -> None:
    """Where the parts meet at a multiple of every interval; elsewhere the first part's end adds rows of its own."""
    agent = tiny_agent(ExactPoint, "sac-alam")
    agent.learn(total_steps=80)
    assert checkpoint_steps(agent)[-1] == 80
    assert_same_files(agent.learn(), reference)


def test_a_first_part_within_the_warm_up(tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint)
    agent.learn(total_steps=16)
    agent.learn(total_steps=80)
    assert checkpoint_steps(agent)[-1] == 80


def test_overwriting_starts_from_the_seed_again(reference: Agent, tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint, "sac-alam")
    agent.learn(total_steps=80)
    assert_same_files(agent.learn(overwrite=True), reference)


def die(root: Path, victim: str, when: str) -> None:
    """Go on with the run in `root` until the file whose name starts with `victim` is put into place."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", DYING, str(root), victim, when, str(here), str(here.parent)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL


def test_killed_at_creation_and_around_the_best_checkpoint(reference: Agent, tmp_path: Path) -> None:
    die(tmp_path, "config.json", "before")
    assert not list(tmp_path.rglob("config.json"))
    die(tmp_path, "step-000000000080", "after")
    run = next(tmp_path.glob("*/*/*"))
    assert not (run / "checkpoints" / "best.safetensors").exists()
    assert_same_files(Agent.load(run, ExactPoint).learn(), reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "when"),
    [
        ("config.json", "after"),
        ("replay.bin", "before"),
        ("metrics.csv", "before"),
        ("step-000000000040", "before"),
        ("step-000000000040", "after"),
        ("step-000000000160", "before"),
        ("best", "before"),
        ("best", "after"),
    ],
)
def test_killed_while_a_file_gets_its_name(reference: Agent, tmp_path: Path, victim: str, when: str) -> None:
    die(tmp_path, victim, when)
    run = next(tmp_path.glob("*/*/*"))
    if kills.newest_step(run) is None:
        agent = Agent("sac-alam", ExactPoint, root=tmp_path, **TINY_ALAM).learn(overwrite=True)
    else:
        agent = Agent.load(run, ExactPoint).learn()
    assert_same_files(agent, reference)


def test_killed_processes_of_a_native_task_resume_to_the_same_bytes(tmp_path: Path) -> None:
    kills.finish(tmp_path / "alone")
    expected = kills.digests(tmp_path / "alone")
    run = kills.disturbed(tmp_path / "killed", expected, [kills.Moment(400, 0.05), kills.Moment(1600, 0.0)])
    assert len(run.killed) == 2
    assert run.resumed_from[0] >= 400
    assert run.different == []


@pytest.mark.slow
def test_runs_killed_some_ten_times_at_random_moments(tmp_path: Path) -> None:
    runs, _ = kills.kill_runs(6, seed=0, root=tmp_path)
    assert [run.different for run in runs] == [[]] * 6
    assert sum(len(run.killed) for run in runs) >= 6
