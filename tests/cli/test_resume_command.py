"""`statewise resume`: it extends a run, makes up for what a kill left undone, and touches nothing of others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.tiny_runs import TASK, only_run

from statewise.cli import main
from statewise.storage import metrics
from statewise.storage.checkpoint import CheckpointStore


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_a_missing_best_checkpoint_and_picture_are_made(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.utime(copied / "progress.png")
    before = contents(copied)
    best, picture = copied / "checkpoints" / "best.safetensors", copied / "progress.png"
    if CheckpointStore(copied / "checkpoints", keep=2).load_latest()[2]["best_step"] not in (256, 512):
        pytest.fail("the best step has no checkpoint of its own any more")
    best.write_bytes(b"stale")
    assert main(["resume", str(copied), "--quiet"]) == 0
    assert "what was still missing is made" in capsys.readouterr().out
    assert contents(copied) == before
    for late in (picture.unlink, lambda: os.utime(picture, (0, 0))):
        late()
        assert main(["resume", str(copied), "--quiet"]) == 0
        said = capsys.readouterr().out
        assert "what was still missing is made" in said
        assert f"picture  {picture}" in said
    assert main(["resume", str(copied), "--quiet"]) == 0
    assert "there is nothing left to do" in capsys.readouterr().out
    assert {path.name for path in contents(copied)} == {path.name for path in before}


def test_a_finished_run_is_extended(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (copied / "metrics.csv").read_bytes()
    configuration = (copied / "config.json").read_bytes()
    assert main(["resume", str(copied), "--quiet", "--total-steps", "640"]) == 0
    said = capsys.readouterr().out
    assert "goes on from step 512 of 640" in said
    assert "RAD's N stays that of 512 steps: behind them its ζ is 1" in said
    rows = metrics.read(copied / "metrics.csv")
    assert rows.filter(rows["phase"] == "eval")["step"].to_list() == [256, 512, 640]
    assert (copied / "metrics.csv").read_bytes().startswith(before)
    assert (copied / "config.json").read_bytes() == configuration
    for more in ([], ["--total-steps", "640"]):
        assert main(["resume", str(copied), "--quiet", *more]) == 0
        assert "is finished at step 640: there is nothing left to do" in capsys.readouterr().out


def test_total_steps_that_make_no_sense(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", str(copied), "--total-steps", "0"]) == 2
    assert "total_steps: 0 is not allowed" in capsys.readouterr().err


def test_an_on_policy_run_is_not_extended_beyond_its_learning_rate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = "--hidden 8 --num-envs 1 --epoch-steps 64 --minibatch-size 64 --total-steps 64 --eval-envs 1"
    assert main(["train", "ppo", TASK, "--root", str(tmp_path), "--quiet", *fields.split()]) == 0
    before = contents(only_run(tmp_path))
    assert main(["resume", str(only_run(tmp_path)), "--total-steps", "128"]) == 2
    assert "total_steps: 128 is not allowed; the learning rates of ppo are 0 behind" in capsys.readouterr().err
    assert contents(only_run(tmp_path)) == before


def test_an_edited_configuration_is_one_sentence(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = copied / "config.json"
    content = json.loads(path.read_text())
    content["config"] |= {"total_steps": 4096, "learning_rate": 0.5}
    path.write_text(json.dumps(content))
    before = contents(copied)
    for command in (["resume"], ["evaluate"]):
        assert main([*command, str(copied)]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "total_steps (4096, not 512), learning_rate (0.5, not" in said
    assert contents(copied) == before


def test_resume_in_a_foreign_folder_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (".git/HEAD", "thesis/chapter.tex", "checkpoints/weights.bin", "metrics.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
    (tmp_path / "config.json").write_text('{"method": "sac", "task": "x", "config": {}, "version": "1"}')
    before = contents(tmp_path)
    monkeypatch.chdir(tmp_path)
    for argv in (["resume", "."], ["evaluate", "."], ["plot", "."]):
        assert main(argv) == 2
        assert "is not a run folder: its config.json" in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_tensorboard_shows_no_step_twice_after_a_kill(copied: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    newest = copied / "checkpoints" / "step-000000000512.safetensors"
    newest.unlink()  # as if the process had died right before it was there
    assert main(["resume", str(copied), "--quiet", "--tensorboard"]) == 0
    events = EventAccumulator(str(copied / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Tensors("train/q_loss")] == list(range(64, 513, 64))
    assert [event.step for event in events.Tensors("eval/return")] == [256, 512]
