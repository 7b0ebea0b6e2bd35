"""A run through the command line: train, resume, evaluate, plot."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from support.tiny_runs import only_run, train

from statewise.cli import main
from statewise.spec import RunSpec
from statewise.storage import metrics
from statewise.storage.checkpoint import CheckpointStore


def png_size(path: Path) -> tuple[int, int]:
    """Width and height from the header, after checking that it is a whole PNG."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert data.endswith(b"IEND\xaeB`\x82")
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def test_trained_run_is_complete(finished: Path) -> None:
    spec = RunSpec.read(finished / "config.json")
    assert spec.config.total_steps == 512
    rows = metrics.read(finished / "metrics.csv")
    assert rows.filter(rows["phase"] == "eval")["step"].to_list() == [256, 512]
    # A film strip is below the curves where there is OpenGL to draw it with.
    assert png_size(finished / "progress.png") in ((1320, 900), (1320, 1156))


def test_finished_run_is_left_alone(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != ".lock"}

    before = times()
    assert main(["resume", str(finished)]) == 0
    assert "finished at step 512" in capsys.readouterr().out
    assert times() == before


@pytest.mark.parametrize("which", ["latest", "best"])
def test_evaluation_as_json(finished: Path, which: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(finished), "--episodes", "1", "--checkpoint", which, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["episodes"] == 1
    assert figures["length"] == 1000
    if which == "latest":  # the same seed as the evaluations in training
        rows = metrics.read(finished / "metrics.csv")
        assert figures["return"] == rows.filter(rows["phase"] == "eval")["return"][-1]


def test_evaluation_of_the_sampled_policy(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    returns = []
    for flags in ([], ["--sampled"]):
        assert main(["evaluate", str(finished), "--episodes", "1", "--json", *flags]) == 0
        returns.append(json.loads(capsys.readouterr().out)["return"])
    assert returns[0] != returns[1]


def test_evaluation_as_a_line(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(finished), "--episodes", "1", "--seed", "5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 episodes: return ")
    assert all(word in said for word in ("±", "cost", "rate", "length 1000"))


def test_pictures_of_one_and_of_several_runs(
    finished: Path, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, several = tmp_path / "one.png", tmp_path / "several.png"
    assert main(["plot", str(finished), "--output", str(one)]) == 0
    assert main(["plot", str(finished), str(copied), "--output", str(several)]) == 0
    assert capsys.readouterr().out == f"{one}\n{several}\n"
    assert png_size(one) == (1320, 900)
    assert png_size(several) == (1320, 516)


def test_stopped_run_goes_on_to_the_same_figures(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from statewise.training.loop import Trainer

    block = Trainer.block

    def stop_in_the_warm_up(trainer: Trainer, total: int) -> None:
        block(trainer, total)
        if trainer.engine.step == 8:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "block", stop_in_the_warm_up)
    assert main(train(tmp_path)) == 130
    run = only_run(tmp_path)
    stopped = capsys.readouterr().err
    assert "step 8" in stopped
    assert stopped.endswith(f"statewise resume {run}\n")
    assert main(["resume", str(run), "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "goes on from step 8 of 512" in said
    assert str(run / "progress.png") in said
    assert "--preset paper, 4,000,000 steps" in said
    assert (run / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()


def test_run_without_a_checkpoint_starts_again(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (copied / "metrics.csv").read_bytes()
    shutil.rmtree(copied / "checkpoints")
    assert main(["resume", str(copied), "--quiet"]) == 0
    assert "starts from the beginning" in capsys.readouterr().out
    assert (copied / "metrics.csv").read_bytes() == before
    assert CheckpointStore(copied / "checkpoints", keep=1).steps()[-1] == 512
