"""`statewise train … --seeds`: each seed is the run that it is alone, and one that fails or stops harms no other."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.tiny_runs import train

from statewise import Agent
from statewise.cli import main
from statewise.errors import DivergenceError
from statewise.runtime import available_cores
from statewise.seeds import learn_seeds
from statewise.training.signals import Interrupted, stop_requests


def agents(*seeds: int) -> list[Agent]:
    """What `learn_seeds` needs of an agent where something else learns."""
    return [cast("Agent", SimpleNamespace(config=SimpleNamespace(seed=seed))) for seed in seeds]


def contents(run: Path) -> dict[str, bytes]:
    files = [*(run / "checkpoints").iterdir(), run / "metrics.csv", run / "replay.bin", run / "config.json"]
    return {file.name: file.read_bytes() for file in files}


def run_of(root: Path, seed: int) -> Path:
    (run,) = root.glob(f"*/*/seed-{seed}-*")
    return run


def test_each_seed_is_the_run_that_it_is_alone_and_a_second_call_makes_what_is_missing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NPROC", os.environ.get("NPROC", str(available_cores())))
    assert main(train(tmp_path, "--seeds", "0", "1")) == 0
    said = capsys.readouterr().out
    assert contents(run_of(tmp_path, 0)) == contents(finished)
    assert contents(run_of(tmp_path, 1))["metrics.csv"] != contents(finished)["metrics.csv"]
    before = {seed: contents(run_of(tmp_path, seed)) for seed in (0, 1)}
    assert all(f"run      {run_of(tmp_path, seed)}" in said for seed in (0, 1))
    began = time.time_ns()
    assert main(train(tmp_path, "--seeds", "2", "1", "0")) == 0
    assert {seed: contents(run_of(tmp_path, seed)) for seed in (0, 1)} == before
    made = [path for path in tmp_path.rglob("*.csv") if path.stat().st_mtime_ns > began]
    assert {path.parent for path in made} == {run_of(tmp_path, 2)}
    began = time.time_ns()
    assert main(train(tmp_path, "--seeds", "0", "--overwrite")) == 0
    made = [path for path in tmp_path.rglob("*.csv") if path.stat().st_mtime_ns > began]
    assert {path.parent for path in made} == {run_of(tmp_path, 0)}
    assert contents(run_of(tmp_path, 0)) == contents(finished)


def test_one_that_fails_does_not_stop_the_others() -> None:
    learned: list[int] = []

    def learn(agent: Any) -> None:
        if agent.config.seed == 1:
            raise DivergenceError("q_loss became nan at gradient step 7")
        learned.append(agent.config.seed)

    errors = learn_seeds(agents(0, 1, 2), workers=2, learn=learn)
    assert sorted(learned) == [0, 2]
    assert {seed: str(error) for seed, error in errors.items() if error} == {1: "q_loss became nan at gradient step 7"}


def test_a_signal_stops_those_that_learn_and_those_to_come() -> None:
    begun: list[int] = []

    def learn(agent: Any) -> None:
        begun.append(agent.config.seed)
        with stop_requests() as requested:
            if len(begun) == 1:
                os.kill(os.getpid(), signal.SIGINT)
            deadline = time.monotonic() + 20.0
            while not requested() and time.monotonic() < deadline:
                time.sleep(0.01)
            if requested():
                raise Interrupted("stopped at step 8; resume to go on")

    errors = learn_seeds(agents(3, 4), workers=1, learn=learn)
    assert begun == [3]
    assert {seed: str(error) for seed, error in errors.items()} == {
        3: "stopped at step 8; resume to go on",
        4: "seed 4 was not begun",
    }


def test_without_the_main_thread_waiting_a_thread_is_never_asked_to_stop() -> None:
    asked: list[bool] = []

    def look() -> None:
        with stop_requests() as requested:
            asked.append(requested())

    with stop_requests():
        pass
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert asked == [False]


def test_as_many_learn_at_a_time_as_there_are_workers() -> None:
    together = threading.Barrier(2, timeout=20.0)
    errors = learn_seeds(agents(0, 1), workers=2, learn=lambda _: together.wait())
    assert errors == {0: None, 1: None}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--seeds", "0", "0"], "seeds: 0 is there twice"),
        (["--seeds", "0", "-1"], "seed: -1 is not allowed"),
        (["--seeds", "0", "x"], "seeds: ['0', 'x'] is not allowed; all have to be whole numbers"),
        (["--batch-seeds", "True"], "batch_seeds: True is not allowed without --seeds"),
        (["--seeds", "0", "1", "--wandb", "mine"], "wandb: can't hold several runs in one process"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(
    more: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NPROC", "1")
    assert main(train(tmp_path, *more)) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_number_of_workers_is_checked() -> None:
    with pytest.raises(ValueError, match="workers: 0 is not allowed; it must be at least 1"):
        learn_seeds(agents(0), workers=0, learn=lambda _: None)
