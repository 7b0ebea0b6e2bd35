"""`statewise risk`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from statewise import Agent
from statewise.cli import main
from statewise.maps.outputs import labels
from statewise.policy import Policy


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an untrained policy of a navigation task."""
    path = tmp_path_factory.mktemp("policies") / "untrained.safetensors"
    Agent("sac-alam", "SafetyPointGoal1-v0", preset="demo", hidden=(8, 8)).save(path)
    return path


def test_plane_as_picture_page_and_numbers(untrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = [str(tmp_path / name) for name in ("maps.png", "maps.html", "maps.csv")]
    assert main(["risk", str(untrained), "--speeds", "0", "1", "-o", *outputs]) == 0
    said = capsys.readouterr().out
    assert said.endswith("\n".join(["", *outputs, ""]))
    assert "sac-alam: mean λ(x) by distance to the nearest violation, m" in said
    assert "1 m/s, towards" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps.csv", "maps.html", "maps.png"]
    rows = list(csv.DictReader((tmp_path / "maps.csv").read_text(encoding="utf-8").splitlines()))
    # Every place is in one class of distance and, where it moves, heads one way.
    counted = [
        sum(int(row["states"]) for row in rows if row["speed"] == speed and row["measure"] == "mean" and chosen(row))
        for speed in ("0", "1")
        for chosen in (
            lambda row: row["heading"] == "all",
            lambda row: row["heading"] in ("away", "across", "towards"),
        )
    ]
    assert counted == [3000, 0, 3000, 3000]


def test_two_entries_of_any_observation(
    finished: Path, copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [str(tmp_path / name) for name in ("maps.svg", "maps.csv")]
    line = ["risk", str(finished), str(copied), "--coordinates", "1", "3", "--step", "10", "--seed", "4"]
    assert main([*line, "-o", *outputs]) == 0
    said = capsys.readouterr().out
    assert f"{finished}: λ " in said
    rows = list(csv.DictReader((tmp_path / "maps.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * 49 * 49
    ours, theirs = ([row["lam"] for row in rows if row["run"] == str(run)] for run in (finished, copied))
    assert ours == theirs
    assert len(set(ours)) > 1000
    picture = (tmp_path / "maps.svg").read_text(encoding="utf-8")
    assert "the rest as at step 10 of the episode of seed 4" in picture


def test_one_run_keeps_its_maps_in_its_folder(copied: Path) -> None:
    assert main(["risk", str(copied), "--coordinates", "0", "1"]) == 0
    assert (copied / "risk.png").is_file()
    assert (copied / "risk.html").is_file()


def test_names_of_policies(untrained: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    Agent("sac-alam", "SafetyPointGoal1-v0", preset="demo", hidden=(8, 8), seed=4).save(other)
    one, two = Policy.read(untrained), Policy.read(other)
    assert labels({"a": one}) == ["sac-alam"]
    assert labels({"a": one, "b": two}) == ["sac-alam, seed 0", "sac-alam, seed 4"]
    assert labels({"a": one, "b": one}) == ["a", "b"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["-o", "maps.txt"], ["output", "'maps.txt'", ".png, .svg, .pdf, .html, .csv"]),
        (["-o", "nowhere/maps.png"], ["output", "there is no folder nowhere"]),
        (["--speeds", "-1"], ["speeds", "-1.0"]),
        (["--speeds", "fast"], ["--speeds", "'fast'"]),
        (["--step", "3"], ["step", "--coordinates"]),
        (["--coordinates", "0", "60"], ["coordinates", "0 60", "0 to 59"]),
        (["--coordinates", "0", "1", "--speeds", "1"], ["speeds", "--coordinates"]),
        (["--coordinates", "0", "1", "--step", "1000"], ["step", "1000", "0 to 999"]),
    ],
)
def test_choices_that_do_not_fit(
    more: list[str],
    words: list[str],
    untrained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = complaint([str(untrained), *more], capsys)
    assert all(word in said for word in words), said
    assert not list(tmp_path.iterdir())


def test_runs_that_cannot_be_set_side_by_side(
    untrained: Path, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "name one run, or two" in complaint([], capsys)
    assert "named twice" in complaint([str(untrained)] * 2, capsys)
    said = complaint([str(untrained), str(finished)], capsys)
    assert "is of SafetyPointGoal1-v0" in said
    assert "of one task" in said
    assert "--coordinates 0 1" in complaint([str(finished)], capsys)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that `statewise risk` ends with."""
    assert main(["risk", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    return captured.err
