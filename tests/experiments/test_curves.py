"""Curves of many runs: found, labelled, read in typed columns, and put together with those from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from support.many_runs import TASK, write_run

from statewise.errors import RunError
from statewise.experiments.curves import RUN_COLUMNS, combine, find_runs, read_runs
from statewise.experiments.imports import read_csv, read_omnisafe


def test_runs_are_found_below_a_folder_once(tmp_path: Path) -> None:
    folders = [write_run(tmp_path, "sac", seed, [1.0], [0.0]) for seed in (0, 1)]
    assert find_runs([tmp_path, folders[1]]) == ([folder.resolve() for folder in folders], [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="empty is not a run folder and holds none"):
        find_runs([tmp_path, tmp_path / "empty"])


def test_rows_say_whose_they_are_and_labels_what_sets_runs_apart(tmp_path: Path) -> None:
    write_run(tmp_path, "sac-alam", 0, [1.0, 2.0], [3.0, 4.0], seconds=5.0)
    write_run(tmp_path, "sac-alam", 1, [5.0, 6.0], [7.0, 8.0], penalty="linear")
    curves = read_runs([tmp_path])
    assert curves.runs.schema == RUN_COLUMNS
    assert curves.runs["label"].to_list() == ["sac-alam", "sac-alam (penalty=linear)"]
    assert curves.runs.select("task", "seed", "total_steps", "cost_limit", "threshold").row(1) == (TASK, 1, 200, 1, 0.1)
    evaluations = curves.evaluations
    assert evaluations.columns[:4] == ["run", "label", "task", "seed"]
    assert evaluations["return"].to_list() == [1.0, 2.0, 5.0, 6.0]
    assert evaluations["seconds"].to_list() == [5.0, 10.0, None, None]
    assert curves.rows.filter(pl.col("phase") == "train")["violations"].to_list() == [10, 20, 10, 20]


def test_runs_can_be_picked_out(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [1.0], [0.0])
    write_run(tmp_path, "sac", 0, [2.0], [0.0], task="SafetyPointCircle1-v0")
    circle = read_runs([tmp_path]).where(pl.col("task") == "SafetyPointCircle1-v0")
    assert circle.runs["cost_limit"].to_list() == [0.5]  # 500 steps an episode
    assert circle.evaluations["return"].to_list() == [2.0]


# --- from elsewhere ----------------------------------------------------------------------------------------------


def omnisafe_run(root: Path, *, tested: bool = True, seed: int = 5) -> Path:
    """A folder as OmniSafe 0.5 writes it."""
    folder = root / f"SACLag-{{{TASK}}}" / f"seed-{seed:03}-2026-01-01-00-00-00"
    folder.mkdir(parents=True)
    config = {"algo": "SACLag", "env_id": TASK, "seed": seed, "exp_name": "x"}
    config |= {"train_cfgs": {"total_steps": 5000}, "algo_cfgs": {"steps_per_epoch": 2000}}
    (folder / "config.json").write_text(json.dumps(config))
    names = ["Metrics/EpRet", "Metrics/EpCost", "Metrics/EpLen", "TotalEnvSteps", "Metrics/LagrangeMultiplier"]
    rows = [[1.0, 50.0, 1000.0, 2000, 0.5], [2.0, 40.0, 1000.0, 4000, 0.75]]
    if tested:
        names += ["Metrics/TestEpRet", "Metrics/TestEpCost", "Time/Total"]
        rows = [[*row, row[0] + 10, row[1] / 2, 60.0 * (i + 1)] for i, row in enumerate(rows)]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(folder / "progress.csv")
    return folder


def test_omnisafes_evaluations_its_multiplier_and_its_clock(tmp_path: Path) -> None:
    omnisafe_run(tmp_path)
    curves = read_omnisafe([tmp_path])
    assert curves.runs.select("label", "task", "seed", "source", "total_steps").row(0) == (
        "SACLag", TASK, 5, "omnisafe", 4000,
    )  # fmt: skip
    columns = ("phase", "step", "return", "cost", "probe_lam", "seconds")
    assert curves.rows.select(columns).rows() == [
        ("eval", 2000, 11.0, 25.0, 0.5, 60.0),
        ("eval", 4000, 12.0, 20.0, 0.75, 120.0),
    ]


def test_omnisafes_training_episodes_where_it_evaluated_nothing(tmp_path: Path) -> None:
    curves = read_omnisafe([omnisafe_run(tmp_path, tested=False) / "progress.csv"])
    assert curves.runs["source"].to_list() == ["omnisafe, training episodes"]
    assert curves.rows["return"].to_list() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("file", "text", "complaint"),
    [
        ("config.json", "{}", "not a configuration of OmniSafe"),
        ("progress.csv", "a,b\n1,2\n", "has no column TotalEnvSteps"),
        ("progress.csv", "", "can't be read as CSV"),
    ],
)
def test_what_omnisafe_cannot_have_written(file: str, text: str, complaint: str, tmp_path: Path) -> None:
    (omnisafe_run(tmp_path) / file).write_text(text)
    with pytest.raises(RunError, match=complaint):
        read_omnisafe([tmp_path])


def test_no_progress_of_omnisafe(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no progress\.csv"):
        read_omnisafe([tmp_path])


def test_plain_csv_is_named_by_its_file_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "MyTask-v0" / "td3.csv"
    path.parent.mkdir()
    path.write_text("step,return,cost,seed\n200,2,20,0\n100,1,10,0\n100,3,30,1\n")
    curves = read_csv([path])
    assert curves.runs.select("label", "task", "seed", "total_steps").rows() == [
        ("td3", "MyTask-v0", 0, 200),
        ("td3", "MyTask-v0", 1, 200),
    ]
    assert curves.rows.select("seed", "step", "return", "cost").rows() == [
        (0, 100, 1, 10),
        (0, 200, 2, 20),
        (1, 100, 3, 30),
    ]


@pytest.mark.parametrize(
    ("header", "cells", "labels"),
    [
        ("label", ["a", "b"], ["a", "b"]),
        ("method", ["a", "b"], ["a", "b"]),
        ("method,label", ["a,x", "a,y"], ["a (x)", "a (y)"]),
        ("method,label", ["a,x", "b,x"], ["a", "b"]),
    ],
)
def test_labels_of_plain_csv(header: str, cells: list[str], labels: list[str], tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    lines = [f"{header},task,cost_limit,step,return,cost,seed", *(f"{cell},T-v0,25,100,1,2,0" for cell in cells)]
    path.write_text("\n".join(lines) + "\n")
    runs = read_csv([path]).runs
    assert runs["label"].to_list() == labels
    assert runs["cost_limit"].to_list() == [25.0, 25.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("step,return,seed\n1,2,3\n", "has no column cost"),
        ("step,return,cost,seed\n", "holds no rows"),
        ("step,return,cost,seed\n1,2,3,first\n", "seed must be whole numbers"),
        ("", "can't be read as CSV"),
        (None, "can't be read as CSV"),
    ],
)
def test_csv_that_cannot_be_used(text: str | None, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RunError, match=complaint):
        read_csv([path])


def test_other_runs_take_the_limit_that_their_task_has_here(tmp_path: Path) -> None:
    write_run(tmp_path / "ours", "sac", 0, [1.0], [0.0])
    omnisafe_run(tmp_path / "theirs")
    curves = combine([read_runs([tmp_path / "ours"]), read_omnisafe([tmp_path / "theirs"])])
    assert curves.runs.select("source", "cost_limit").rows() == [("statewise", 1.0), ("omnisafe", 1.0)]
    assert combine([read_omnisafe([tmp_path / "theirs"])]).runs["cost_limit"].to_list() == [None]
