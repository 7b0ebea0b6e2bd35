"""What goes wrong is one line on standard error, which names what is wrong, and the exit status."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny_runs import TASK, train

from statewise.cli import main
from statewise.errors import DivergenceError, EnvironmentFault


def complaint(argv: list[str], capsys: pytest.CaptureFixture[str], status: int = 2) -> str:
    """The one line that a command ends with."""
    assert main(argv) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("statewise: ")
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian", ["'trian'", "'train'"]),
        ("train", ["method", "sac-alam"]),
        ("train sac-alm X", ["'sac-alm'", "'sac-alam'"]),
        ("train sac-alam", ["TASK is missing"]),
        ("train sac-alam SafetySwimerVelocity-v1", ["'SafetySwimerVelocity-v1'", "SafetySwimmerVelocity-v1"]),
        ("train sac-alam X --gama 1", ["--gama", "--gamma"]),
        ("train sac-alam X --xyzzy", ["--xyzzy", "no such option"]),
        ("train sac-alam X Y", ["'Y'", "too many"]),
        ("train sac-alam X --gamma 2", ["gamma", "2.0", ">= 0 and <= 1"]),
        ("train sac-alam X --gamma high", ["--gamma", "'high'", "a number"]),
        ("train sac-alam X --seed 1.5", ["--seed", "'1.5'", "a whole number"]),
        ("train sac-alam X --zeta low", ["--zeta", "'low'", "a number or None"]),
        ("train sac-alam X --optimizer sgd", ["--optimizer", "'sgd'", "'rad', 'adam'"]),
        ("train sac-alam X --seed", ["--seed", "missing"]),
        ("train sac-alam X --rho-max 0.01", ["rho_max", "0.01", "rho_init"]),
        ("train sac-alam X --preset slow", ["'slow'", "standard, paper, demo"]),
        ("train sac X --method sac", ["--method", "by its place", "statewise train sac --help"]),
        ("plot X --runs Y", ["--runs", "by its place"]),
        ("train sac X --rho-max 2", ["--rho-max", "no such option"]),
        (f"train sac {TASK} --constraint nowhere:h", ["constraint", "'nowhere:h'", "No module named"]),
        (f"train sac {TASK} --constraint h", ["constraint", "'h'", "module:function"]),
        (f"train sac {TASK} --constraint math:pi", ["constraint", "'math:pi'", "module:function"]),
        ("config sac-alam --preset slow", ["'slow'", "'standard', 'paper', 'demo'"]),
        ("methods all", ["'all'", "too many"]),
        ("plot", ["runs", "statewise plot RUN"]),
        ("resume", ["RUN is missing"]),
    ],
)
def test_bad_input(line: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(line.split(), capsys)
    assert all(word in said for word in words)


@pytest.mark.parametrize("command", ["resume", "evaluate", "plot"])
def test_folder_that_is_no_run(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a run folder" in complaint([command, str(tmp_path)], capsys)


def test_run_that_exists(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    again = train(finished.parents[2])
    assert "holds a run: resume it" in complaint(again, capsys)


def test_damaged_checkpoint(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = max((copied / "checkpoints").glob("step-*"))
    data = bytearray(last.read_bytes())
    data[-1] ^= 1
    last.write_bytes(data)
    assert str(last) in complaint(["evaluate", str(copied)], capsys)


def test_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing.safetensors" in complaint(["evaluate", str(tmp_path / "nothing.safetensors")], capsys)


@pytest.mark.parametrize("output", ["picture.jpg", "nowhere/picture.png"])
def test_picture_that_cannot_be_written(
    output: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "output: " in complaint(["plot", str(finished), "--output", str(tmp_path / output)], capsys)


def test_film_of_unknown_kind(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ".mp4 or .gif" in complaint(["evaluate", str(finished), "--video", "film.avi"], capsys)


@pytest.mark.parametrize(("error", "status"), [(DivergenceError, 3), (EnvironmentFault, 3), (KeyboardInterrupt, 130)])
def test_status_of_a_run_that_breaks_off(
    error: type[BaseException],
    status: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def break_off(*_: object) -> None:
        raise error("q_loss became nan")

    monkeypatch.setattr("statewise.training.loop.Trainer.block", break_off)
    said = complaint(train(tmp_path), capsys, status)
    assert ("no checkpoint yet" in said) == (status == 3)
