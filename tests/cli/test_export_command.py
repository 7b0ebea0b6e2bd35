"""The command that writes a run's policy for NumPy or ONNX Runtime."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from statewise.cli import main
from statewise.monitor.export import write_numpy
from statewise.monitor.sources import export_from


@pytest.mark.parametrize("kind", ["numpy", "onnx"])
def test_the_command_exports_a_run(
    finished: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out"
    assert main(["export", str(finished), "--format", kind, "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"file     {path}\n"
    assert path.stat().st_size > 1000


def test_the_example_runs(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples"))
    write_numpy(tmp_path / "policy.safetensors", export_from(finished))
    importlib.import_module("monitor").main("policy.safetensors", steps=20)
    assert "readings.jsonl has them all" in capsys.readouterr().out
    readings = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    assert [reading["step"] for reading in readings] == list(range(21))
    assert all(reading["fault"] is None for reading in readings)


@pytest.mark.slow
def test_a_calibration_goes_into_the_card(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", str(copied), "--episodes", "2", "--horizon", "10"]) == 0
    said, warned = capsys.readouterr()
    assert warned == ""  # off a terminal, a line every ten seconds
    assert "brier" in said
    assert "no figures of denser layouts: " in said
    assert (copied / "calibration.png").stat().st_size > 10_000
    report = json.loads((copied / "calibration.json").read_text())
    assert report["episodes"] == 2
    assert export_from(copied).card["calibration"] == report
    (copied / "calibration.json").write_text(json.dumps({**report, "gradient_steps": 1}))
    assert export_from(copied).card["calibration"] is None
    (copied / "calibration.json").write_text("[]")
    assert main(["export", str(copied)]) == 2
    assert "isn't a calibration" in capsys.readouterr().err


def test_a_run_tells_the_card_what_it_knows(finished: Path) -> None:
    exported = export_from(finished)
    training = exported.card["training"]
    assert training["checkpoint"] == "latest"
    assert training["evaluation"]["step"] == 512
    assert {"return", "cost", "f_bias"} < training["evaluation"].keys()
    assert "replay" in exported.card["range"]
    low, high = exported.arrays["range/low"], exported.arrays["range/high"]
    assert (low < high).all()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("export", "RUN is missing"),
        ("export nowhere", "nowhere: there is no such checkpoint"),
        ("export {run} --format tflite", "'tflite' is not allowed"),
        ("export {run} -o {run}", "output: "),
        ("export {run} -o {run}/missing/file", "output: "),
        ("export {run}/config.json", "config.json: "),
        ("calibrate {run} --miss-rate 1", "miss_rate: 1 is not allowed"),
        ("calibrate {run} --episodes 0", "episodes: 0 is not allowed"),
        ("calibrate {run} --crowding 0.5", "crowding: 0.5 is not allowed"),
    ],
)
def test_bad_input_is_one_sentence(finished: Path, line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.format(run=finished).split()) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
