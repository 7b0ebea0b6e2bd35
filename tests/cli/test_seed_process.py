"""What a parent hears of a run in another process, and what becomes of one that is stopped, killed or left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from support.tiny_runs import only_run, train

from statewise import Agent
from statewise.cli import main, seed_process
from statewise.cli.seed_process import Told, learn_apart
from statewise.cli.status import FAULT, INTERRUPTED, Stopped
from statewise.cli.streams import Outlet
from statewise.errors import RunError
from statewise.storage.run_folder import RunFolder

Plays = Callable[[str], None]


class Heard:
    """A progress that keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *told: self.calls.append((name, *told))


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> Iterator[Plays]:
    """Lets a Python program stand for the process of a run; none of them is left behind."""
    begun: list[subprocess.Popen[str]] = []

    def play(program: str) -> None:
        def begin(*_: Any) -> subprocess.Popen[str]:
            command = [sys.executable, "-c", program]
            begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", start_new_session=True))
            return begun[-1]

        monkeypatch.setattr(seed_process, "_begin", begin)

    yield play
    for process in begun:
        process.kill()


def learn(progress: Any = None) -> None:
    """What `learn_apart` does of an agent whose folder is made somewhere else."""
    folder = nullcontext(SimpleNamespace(path=Path("run")))
    agent = cast("Agent", SimpleNamespace(open_run=lambda *_: folder))
    learn_apart(agent, progress, overwrite=False, tensorboard=False)


def test_the_parent_hears_what_the_process_tells(tmp_path: Path, plays: Plays) -> None:
    path = tmp_path / "told"
    with path.open("w", encoding="utf-8") as file:
        told = Told(Outlet(file))
        told.start(0, 64)
        told.advance(32)
        told.row({"phase": "eval", "step": 32, "return": 1.5, "cost": float("inf"), "f_bias": -0.25})
        told.say("λ\nis above its cap")
        told.close()
    plays(f"print(open({str(path)!r}, encoding='utf-8').read(), end='')")
    heard = Heard()
    learn(heard)
    assert heard.calls == [
        ("start", 0, 64),
        ("advance", 32),
        ("row", {"phase": "eval", "step": 32.0, "return": 1.5, "cost": float("inf"), "f_bias": -0.25}),
        ("say", "λ\nis above its cap"),
        ("close",),
    ]


def test_what_ended_a_run_early_has_its_status_and_sentence(plays: Plays) -> None:
    ended = json.dumps({"ended": [3, "q_loss became nan at gradient step 7"]})
    plays(f"import sys; print({ended!r}); sys.exit(3)")
    with pytest.raises(Stopped, match=r"^q_loss became nan at gradient step 7$") as caught:
        learn()
    assert caught.value.status == 3


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        ("import os; os.kill(os.getpid(), 9)", "its process was killed by signal 9"),
        ("import sys; sys.exit(5)", "its process ended with status 5"),
    ],
)
def test_a_process_that_dies_without_a_word_is_a_fault(program: str, sentence: str, plays: Plays) -> None:
    plays(program)
    with pytest.raises(Stopped, match=f"^{sentence}$") as caught:
        learn()
    assert caught.value.status == FAULT


WAITS = 'import time; print(\'{"say": ["waiting"]}\', flush=True); time.sleep(60)'
STOPS = f"""
import signal, sys
def stop(*_):
    print('{{"ended": [130, "stopped at step 8"]}}', flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
{WAITS}
"""


@pytest.mark.parametrize(
    ("program", "sentence"), [(STOPS, "stopped at step 8"), (WAITS, "stopped before it had begun")]
)
def test_a_request_to_stop_is_passed_on_once(program: str, sentence: str, plays: Plays) -> None:
    plays(program)
    progress = Heard()
    progress.say = lambda _: os.kill(os.getpid(), signal.SIGINT)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Stopped, match=f"^{sentence}$") as caught:
        learn(progress)
    assert caught.value.status == INTERRUPTED


def test_a_progress_that_fails_leaves_no_process(plays: Plays) -> None:
    plays(WAITS)
    progress = Heard()

    def fail(_: str) -> None:
        raise OSError("the terminal is gone")

    progress.say = fail  # pyright: ignore[reportAttributeAccessIssue]
    began = time.monotonic()
    with pytest.raises(OSError, match="the terminal is gone"):
        learn(progress)
    assert time.monotonic() - began < 30.0


@pytest.mark.slow
def test_seeds_stop_with_a_checkpoint_when_their_parent_is_killed_and_go_on(tmp_path: Path) -> None:
    """Two real runs; the parent dies of SIGKILL, which it can't pass on."""
    long = train(tmp_path, "--seeds", "0", "--total-steps", "4000000", "--checkpoint-interval", "4000000")
    parent = subprocess.Popen([sys.executable, "-m", "statewise", *long], start_new_session=True)
    try:
        _wait_for(lambda: any(tmp_path.rglob("timing.csv")))
    finally:
        parent.kill()
        parent.wait()
    run = only_run(tmp_path)
    _wait_for(lambda: any(run.glob("checkpoints/*")))
    _wait_for(lambda: _is_free(run))
    step = int(max(run.glob("checkpoints/step-*")).stem.removeprefix("step-"))
    assert 0 < step < 4_000_000
    assert main(["resume", str(run), "--quiet", "--total-steps", str(step + 512)]) == 0


def _is_free(run: Path) -> bool:
    try:
        with RunFolder.open(run):
            return True
    except RunError:
        return False


def _wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, a minute and a half at most."""
    deadline = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
