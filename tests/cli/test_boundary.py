"""No exception leaves the command line: whatever is raised is one sentence on standard error, and a status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium.error
import mujoco
import pytest
from support.tiny_runs import TASK, train

from statewise.cli import commands, main
from statewise.cli.status import TRACEBACK_VARIABLE
from statewise.envs.navigation.layout import LayoutError
from statewise.errors import CheckpointError, EnvironmentFault, RunError
from statewise.training.signals import Interrupted


class Foreign(BaseException):
    """As compiled extensions raise: no Exception."""


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (EnvironmentFault("world 0, step 1: cost is -1.0"), 3, "world 0, step 1: cost is -1.0"),
        (LayoutError("no free place was found"), 3, "no free place was found"),
        (RunError("runs/x holds a run"), 2, "runs/x holds a run"),
        (CheckpointError("damaged"), 2, "damaged"),
        (PermissionError(13, "Permission denied", "runs/x"), 2, "runs/x: Permission denied"),
        (NotADirectoryError(20, "Not a directory", "a/b"), 2, "a/b: Not a directory"),
        (IsADirectoryError(21, "Is a directory", "a", None, "b"), 2, "a, b: Is a directory"),
        (OSError("what a library says"), 2, "OSError: what a library says"),
        (MemoryError("unable to allocate 1 TiB"), 2, "out of memory: unable to allocate 1 TiB"),
        (
            gymnasium.error.DependencyNotInstalled('pygame: pip install "gymnasium[classic_control]"'),
            2,
            "[classic_control]",
        ),
        (mujoco.FatalError("no OpenGL platform library"), 2, "set MUJOCO_GL=egl"),  # pyright: ignore[reportAttributeAccessIssue]
        (KeyError("beacn"), 3, "KeyError: 'beacn' in raising, "),
        (RecursionError("too deep"), 3, "RecursionError: too deep"),
        (TypeError("two\nlines"), 3, "TypeError: two lines"),
        (SystemExit(0), 3, "sys.exit(0) was called"),
        (SystemExit("bye"), 3, "sys.exit('bye') was called"),
        (Foreign("panic"), 3, "Foreign: panic"),
        (UnicodeEncodeError("ascii", "±", 0, 1, "ordinal not in range"), 2, "ascii"),
        (Interrupted("stopped at step 8"), 130, "stopped at step 8"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_is_raised(
    error: BaseException, status: int, words: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def raising(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(commands, "methods", raising)
    assert main(["methods"]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert said.err.startswith("statewise: ")
    assert words in said.err


def test_the_traceback_is_there_for_who_asks(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def raising(argv: list[str]) -> int:
        raise KeyError("beacn")

    monkeypatch.setattr(commands, "methods", raising)
    monkeypatch.setenv(TRACEBACK_VARIABLE, "1")
    assert main(["methods"]) == 3
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("Traceback")
    assert last.startswith("statewise: KeyError")


TOYS = """
import gymnasium
from support import toy_envs

class Negative(toy_envs.Point):
    def info(self):
        return {"cost": -1.0}

class OldStep(toy_envs.Point):
    def step(self, action):
        return self.obs(), 0.0, False, {}

class Raising(toy_envs.Point):
    def __init__(self):
        raise KeyError("beacn")

class Exiting(toy_envs.Point):
    def step(self, action):
        raise SystemExit(0)

class ExitingLater(toy_envs.Point):
    count = 0
    def step(self, action):
        ExitingLater.count += 1
        if ExitingLater.count > 6:
            raise SystemExit(0)
        return super().step(action)

class ExitingAtOnce(toy_envs.Point):
    def __init__(self):
        raise SystemExit(0)

class BadState(toy_envs.Point):
    def get_state(self):
        raise LookupError("no state")
    def set_state(self, state):
        raise LookupError("no state")

class BadClose(toy_envs.Point):
    def close(self):
        raise LookupError("no end")

for kind in (Negative, OldStep, Raising, Exiting, ExitingLater, ExitingAtOnce, BadState, BadClose):
    gymnasium.register(kind.__name__ + "-v0", kind, max_episode_steps=20)
"""


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that registers environments with a fault each."""
    (tmp_path / "faulty_toys.py").write_text(TOYS)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "faulty_toys"
    sys.modules.pop("faulty_toys", None)
    for name in [name for name in gymnasium.registry if str(gymnasium.registry[name].entry_point).find("faulty") > 0]:
        del gymnasium.registry[name]


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("Negative-v0", 3, ["cost is -1.0"]),
        ("OldStep-v0", 3, ["step() raised ValueError", "got 4"]),
        ("Raising-v0", 2, ["could not be built", "KeyError"]),
        ("Exiting-v0", 3, ["step() raised SystemExit"]),
        ("ExitingLater-v0", 3, ["step() raised SystemExit", "no checkpoint yet"]),
        ("ExitingAtOnce-v0", 2, ["could not be built", "SystemExit"]),
        ("BadState-v0", 3, ["get_state() raised LookupError: no state"]),
        ("BadClose-v0", 3, ["close() raised LookupError: no end"]),
    ],
)
def test_an_environment_with_a_fault(
    name: str, status: int, words: list[str], toys: str, tmp_path: Path, capsys: Any
) -> None:
    argv = train(tmp_path / "runs", "--checkpoint-interval", "8")  # in the warm-up, before anything is compiled
    argv[2] = f"{toys}:{name}"
    assert main(argv) == status
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(word in said for word in words), said


def test_a_root_that_is_a_file(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "file").touch()
    assert main(train(tmp_path / "file")) == 2
    assert "Not a directory" in capsys.readouterr().err


def test_a_working_folder_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for argv in (["config", "nowhere:sac"], train(Path("runs")), ["evaluate", "x", "--allow-module", "y"]):
        assert main(argv) == 2
        assert "the working folder has been deleted" in capsys.readouterr().err
    os.chdir(tmp_path)


def test_a_finished_run_is_plotted_from_a_deleted_folder(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    (copied / "progress.png").unlink()
    assert main(["plot", str(copied)]) == 0
    assert (copied / "progress.png").exists()
    os.chdir(tmp_path)


def test_a_film_needs_no_display(tmp_path: Path) -> None:
    """Gymnasium's own MuJoCo environments draw as the native tasks do, or say what is missing."""
    from statewise.envs import make_vector

    env = make_vector("HalfCheetah-v5", 1, constraint=lambda obs, action, next_obs: -1.0, render_mode="rgb_array")
    env.reset(seed=0)
    try:
        drawn = env.render()
    except RuntimeError as error:
        assert "MUJOCO_GL" in str(error)  # noqa: PT017
    else:
        assert drawn is not None
        assert drawn[0].shape == (480, 480, 3)
    finally:
        env.close()


def test_a_missing_package_of_a_film_is_named(finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from statewise.envs.velocity_env import VelocityVectorEnv

    def render(self: object) -> None:
        raise RuntimeError('render() raised DependencyNotInstalled: pip install "gymnasium[classic_control]"')

    monkeypatch.setattr(VelocityVectorEnv, "render", render)
    film = finished.parent / "film.gif"
    assert main(["evaluate", str(finished), "--episodes", "1", "--video", str(film)]) == 2
    assert "gymnasium[classic_control]" in capsys.readouterr().err
    assert not film.exists()


def test_help_of_a_train_command_is_no_failure(capsys: Any) -> None:
    assert main(["train", "sac", TASK, "--help"]) == 0
    assert capsys.readouterr().err == ""
