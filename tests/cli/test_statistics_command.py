"""`statewise statistics`: what it prints and writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from support.many_runs import write_run

from statewise.cli import main


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two methods, two seeds, one of them biased."""
    root = tmp_path / "runs"
    for seed in (0, 1):
        more = {"f_bias": [0.0, -0.5 * seed]}
        write_run(root, "sac-alam", seed, [1.0, 10.0 + seed], [5.0, 0.0], seconds=60.0, columns=more)
        write_run(root, "sac", seed, [2.0, 20.0 + seed], [50.0, 80.0], seconds=60.0)
    return root


def test_prints_tables_and_findings_and_writes_data_and_figures(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["statistics", str(runs), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines()]
    assert printed.startswith("4 runs, 1 task; [95 % intervals]\n")
    header = next(line for line in printed.splitlines() if "seeds" in line)
    assert header.split("  ")[1] == "label"
    assert "violations" in header
    assert "λ swing" not in header  # nothing recorded it
    rows = [line for line in lines if line[:2] == ["sac-alam", "2"]]
    assert len(rows) == 1
    assert rows[0][2] == "10.5"
    assert "P(a run of sac-alam is better), p corrected by Holm" in printed
    assert "bias: sac-alam: F̂ is off by more than d = 0.1" in printed
    summary = pl.read_csv(out / "summary.csv")
    assert summary.filter((pl.col("label") == "sac") & (pl.col("statistic") == "safe"))["value"].item() == 0.0
    assert len(pl.read_parquet(out / "curves.parquet").filter(pl.col("phase") == "eval")) == 8
    assert (out / "figures" / "learning-curves-column.pdf").is_file()


def test_others_curves_beside_ones_own(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "SafetyPointGoal1-v0" / "td3.csv"
    other.parent.mkdir()
    other.write_text("step,return,cost,seed\n200,5,1,0\n200,6,0,1\n")
    out = tmp_path / "out"
    arguments = ["statistics", str(runs), "--csv", str(other), "--reference", "td3", "--no-figures"]
    assert main([*arguments, "--cost-limit", "0.5", "--output", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "P(a run of td3 is better)" in printed
    assert not (out / "figures").exists()
    runs_table = pl.read_csv(out / "runs.csv")
    assert runs_table["cost_limit"].unique().to_list() == [0.5]
    tasks = pl.read_csv(out / "tasks.csv")
    assert tasks.filter((pl.col("label") == "td3") & (pl.col("measure") == "safe"))["value"].item() == 0.5


def test_only_some_tasks(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(runs, "sac", 0, [1.0], [0.0], task="SafetyPointCircle1-v0", total_steps=200)
    out = tmp_path / "out"
    arguments = ["statistics", str(runs), "--no-figures", "-o", str(out), "--tasks", "SafetyPointGoal1-v0"]
    assert main(arguments) == 0
    assert "4 runs, 1 task" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["runs", "statewise statistics runs"]),
        (["nowhere"], ["nowhere", "is not a run folder"]),
        (["--csv", "nothing.csv"], ["nothing.csv", "can't be read"]),
        (["--omnisafe", "nothing"], ["nothing", "progress.csv"]),
        (["RUNS", "--reference", "ppo"], ["reference", "'ppo'", "sac-alam"]),
        (["RUNS", "--tasks", "Maze-v0"], ["tasks", "'Maze-v0'", "SafetyPointGoal1-v0"]),
        (["RUNS", "--cost-limit", "low"], ["--cost-limit", "'low'", "a number"]),
        (["RUNS", "--cost-limit", "-1"], ["cost_limit", "-1.0", ">= 0"]),
    ],
)
def test_what_it_refuses(
    arguments: list[str], words: list[str], runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    given = [str(runs) if argument == "RUNS" else argument for argument in arguments]
    assert main(["statistics", *given, "--output", str(out)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert all(word in said.err for word in words), said.err
    assert not out.exists()


def test_output_that_is_a_file(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    assert main(["statistics", str(runs), "--output", str(out)]) == 2
    assert "out is a file; name a folder" in capsys.readouterr().err
    assert out.read_text() == "mine"
