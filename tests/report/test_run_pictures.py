"""Pictures from figures that are written by hand: every kind of method, and runs that have only begun."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from polars import read_csv

from statewise.errors import CheckpointError
from statewise.methods import metric_columns
from statewise.report import pictures as figures
from statewise.report.pictures import compare_picture, run_picture
from statewise.spec import RunSpec, make_config
from statewise.storage.metrics import MetricsWriter


def write_run(folder: Path, method: str = "sac-alam", seed: int = 0, *rows: dict[str, Any], **fields: Any) -> Path:
    """A run folder with a configuration and these rows of metrics."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(RunSpec("Task-v0", make_config(method, seed=seed, **fields)).to_json())
    with MetricsWriter(folder / "metrics.csv", metric_columns("sac")) as writer:
        for row in rows:
            writer.append({"gradient_step": 0, **row})
    return folder


def evaluation(step: int, value: float) -> dict[str, Any]:
    return {"phase": "eval", "step": step, "return": value, "return_std": 1.0, "cost": 0.0}


LEARNING = {"phase": "train", "step": 100, "return": 1.0, "cost": 2.0, "f": 0.3}
MULTIPLIER = {"lam": 1.0, "lam_q10": 0.5, "lam_q90": 2.0}


def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every word of the figures that are written from here on."""
    said: list[str] = []
    write = figures.write_picture

    def spy(figure: Any, path: Path) -> None:
        said.extend(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))
        write(figure, path)

    monkeypatch.setattr(figures, "write_picture", spy)
    return said


@pytest.mark.parametrize(
    ("method", "columns", "shown", "hidden"),
    [
        ("sac-alam", {**MULTIPLIER, "lam_boundary": 1.5, "rho": 1.0}, "mean where F̂(x) ≈ d", "no multiplier"),
        ("sac-alam", {**MULTIPLIER, "rho": 1.0}, "ρ (right axis)", "mean where F̂(x) ≈ d"),
        ("sac-lagnet", MULTIPLIER, "Feasibility F̂(x)", "ρ (right axis)"),
        ("sac", {}, "sac has no multiplier", "mean λ"),
    ],
)
def test_panels_show_what_the_method_has(
    method: str, columns: dict[str, float], shown: str, hidden: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = texts(monkeypatch)
    run = write_run(tmp_path / "run", method, 7, LEARNING | columns, evaluation(100, 3.0))
    assert run_picture(run) == run / "progress.png"
    assert f"{method} on Task-v0, seed 7" in said
    assert shown in said
    assert hidden not in said


def test_run_that_has_just_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = texts(monkeypatch)
    path = run_picture(write_run(tmp_path / "run"), tmp_path / "picture.png")
    assert path.is_file()
    assert said.count("no episode has ended yet") == 2
    assert said.count("nothing was learned yet") == 2


def test_mean_is_taken_where_all_seeds_were_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        write_run(tmp_path / "a", "sac", 0, evaluation(100, 1.0), evaluation(200, 2.0)),
        write_run(tmp_path / "b", "sac", 1, evaluation(100, 5.0)),
        write_run(tmp_path / "c", "sac-alam", 0, evaluation(100, 9.0)),
    ]
    drawn: list[tuple[list[int], list[float]]] = []
    mean_curve = figures._mean_curve

    def spy(*arguments: Any) -> Any:
        drawn.append(mean_curve(*arguments))
        return drawn[-1]

    monkeypatch.setattr(figures, "_mean_curve", spy)
    assert compare_picture(runs, tmp_path / "c.png").is_file()
    assert drawn[:2] == [([100], [3.0]), ([100], [9.0])]


def test_runs_are_grouped_by_what_sets_them_apart_and_seeds_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = texts(monkeypatch)
    runs = [
        write_run(tmp_path / "a", "sac-alam", 0, evaluation(100, 1.0)),
        write_run(tmp_path / "b", "sac-alam", 1, evaluation(100, 2.0), threads=2),
        write_run(tmp_path / "c", "sac-alam", 0, evaluation(100, 3.0), penalty="linear", hidden=(64, 64)),
        write_run(tmp_path / "d", "sac", 0, evaluation(100, 4.0), tau=0.005),
        write_run(tmp_path / "e", "sac-alam", 0, evaluation(100, 5.0), **make_config("sac-alam", "paper").identity()),
    ]
    compare_picture(runs, tmp_path / "c.png")
    # The run of SAC is alone among its kind: nothing sets it apart.
    assert {text for text in said if text.startswith("sac")} == {
        "sac",
        "sac-alam",
        "sac-alam (hidden=64×64, penalty=linear)",
        "sac-alam (paper)",
    }


def test_nothing_is_left_where_a_picture_fails(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "sac", 0, evaluation(100, 1.0))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=r"\.png"):
        run_picture(run, tmp_path / "picture.svg")
    with pytest.raises(ValueError, match="at least one run"):
        compare_picture([], tmp_path / "picture.png")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("column", ["return", "return_std", "cost", "lam_q90", "f", "phase"])
def test_a_column_that_is_missing_is_named(column: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "sac-alam", 0, evaluation(100, 1.0), {**LEARNING, **MULTIPLIER})
    read_csv(run / "metrics.csv").drop(column).write_csv(run / "metrics.csv")
    for draw in (run_picture, lambda folder: compare_picture([folder, folder], tmp_path / "several.png")):
        with pytest.raises(CheckpointError, match=rf"metrics\.csv: .* has no column {column}$"):
            draw(run)


def test_a_row_with_a_hole_leaves_a_hole_in_the_curve(tmp_path: Path) -> None:
    holed = {"phase": "eval", "step": 200, "cost": 1.0}
    run = write_run(tmp_path / "run", "sac", 0, evaluation(100, 1.0), holed, evaluation(300, 2.0))
    assert run_picture(run).exists()
    assert compare_picture([run, run], tmp_path / "several.png").exists()


@pytest.mark.parametrize("task", ["任務-v0", r"$\frac$", "$", "x" * 300])
def test_any_name_of_a_task_is_drawn(task: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "sac", 0, evaluation(100, 1.0))
    content = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(content | {"task": task}))
    assert run_picture(run).exists()
    assert compare_picture([run, run], tmp_path / "several.png").exists()


def test_frames_of_an_episode_stand_in_a_strip_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = texts(monkeypatch)
    run = write_run(tmp_path / "run", "sac-alam", 0, LEARNING, evaluation(100, 3.0))
    frames = [np.full((48, 48, 3), shade, np.uint8) for shade in (0, 100, 200)]
    picture = png_size(run_picture(run, tmp_path / "strip.png", frames))
    assert "One episode of the deterministic policy" in said
    assert picture[0] == png_size(run_picture(run))[0]
    assert picture[1] > png_size(run_picture(run))[1] + 300


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    data = path.read_bytes()
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
