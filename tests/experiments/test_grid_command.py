"""The command `grid`: flags over specs, what is refused, and what a person sees."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from statewise.cli import main
from statewise.cli.arguments import parse
from statewise.cli.grid import Grid, spec_of
from statewise.experiments.grid.display import LiveTable, PlainLines, cells, summary, table
from statewise.experiments.grid.plan import plan
from statewise.experiments.grid.spec import BUILT_IN, GridSpec
from statewise.experiments.grid.state import Entry


def spec(line: str) -> GridSpec:
    """The spec of a command line."""
    return spec_of(parse(Grid, line.split(), "grid"))


def test_flags_replace_what_a_spec_says() -> None:
    assert spec("smoke") == BUILT_IN["smoke"]
    changed = spec("smoke --methods sac ppo --tasks A --seeds 4 5 --preset demo --total-steps 99")
    assert changed.methods == ("sac", "ppo")
    assert changed.tasks == ("A",)
    assert changed.seeds == (4, 5)
    assert changed.preset == "demo"
    assert changed.fields == {**BUILT_IN["smoke"].fields, "total_steps": 99}


def test_methods_of_the_command_line_take_the_fields_they_have() -> None:
    assert "epoch_steps" in BUILT_IN["smoke"].fields
    assert "epoch_steps" not in spec("smoke --methods sac-lag").fields
    assert "batch_size" not in spec("smoke --methods p3o").fields
    assert spec("smoke --methods sac-lag p3o").fields == BUILT_IN["smoke"].fields


def test_flags_are_enough() -> None:
    assert spec("--methods sac --tasks A B") == GridSpec(methods=("sac",), tasks=("A", "B"))


def test_methods_of_the_command_line_drop_labels_and_overrides_of_others(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'tasks = ["A"]\nmethods = ["sac", "ppo"]\n[overrides.ppo]\ngamma = 0.9\n[labels.x]\nmethod = "sac-pid"'
    )
    assert spec(f"{path} --methods sac").labels == {}
    assert spec(f"{path} --methods sac").overrides == {}
    assert spec(f"{path} --methods ppo").overrides == {"ppo": {"gamma": 0.9}}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ["SPEC", "--methods", "--tasks"]),
        ("smok", ["'smok'", "'smoke'"]),
        ("smoke --jobs -1", ["jobs", "-1", ">= 0"]),
        ("smoke --cores 0", ["cores", "0", ">= 1"]),
        ("smoke --hang-seconds 0", ["hang_seconds", "> 0"]),
        ("smoke --methods sac-alm", ["'sac-alm'", "'sac-alam'"]),
        ("smoke --tasks SafetyPointGoal9-v0", ["SafetyPointGoal9-v0", "did you mean"]),
        ("smoke --sead 1", ["--sead", "--seeds"]),
    ],
)
def test_bad_input_is_one_line_and_starts_nothing(
    line: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["grid", *line.split()]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(word in said for word in words)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """One run in each state; the one that runs is at half of its steps."""
    chosen = GridSpec(tasks=("A",), methods=("sac",), seeds=(0, 1, 2, 3), fields={"total_steps": 1_000})
    runs = [Entry(run) for run in plan(chosen, tmp_path)]
    for entry, state in zip(runs, ("finished", "running", "waiting", "failed"), strict=True):
        entry.state = state
    runs[1].watch.step, runs[1].watch.rate = 500, 50.0
    runs[1].watch.figures = {"return": 12.34, "cost": 0.5}
    runs[3].reason = "killed by SIGKILL (tried 3 times)"
    return runs


def test_a_row_of_the_table(entries: list[Entry]) -> None:
    assert cells(entries[1]) == ("sac A 1", "50%", "50", "12.3", "0.5", "0 min 10 s", "running")
    assert cells(entries[3])[-1] == "failed: killed by SIGKILL (tried 3 times)"


def test_the_summary_counts_and_says_what_is_left(entries: list[Entry]) -> None:
    # 500 steps of the one that runs and 1,000 of the one that waits, at 50 steps a second
    assert summary(entries) == "1 running, 1 failed, 1 waiting, 1 finished, 50 steps/s, about 0 min 30 s left"


def test_a_table_that_is_too_long_shows_first_what_runs_and_what_failed(entries: list[Entry]) -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(table(entries, rows=2))
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert drawn.index("sac A 1") < drawn.index("sac A 3") < drawn.index("and 2 more")
    assert "sac A 0" not in drawn


def test_the_live_table_leaves_lines_above_it_and_nothing_before_it_is_shown(entries: list[Entry]) -> None:
    drawn = io.StringIO()
    live = LiveTable(Console(file=drawn, force_terminal=True, width=120, height=30))
    assert drawn.getvalue() == ""
    live.show(entries)
    live.say("something happened")
    live.close()
    assert "something happened" in drawn.getvalue()
    assert drawn.getvalue().index("sac A 1") < drawn.getvalue().index("something happened")


def test_plain_lines_are_events_and_a_summary_now_and_then(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = PlainLines()
    lines.show(entries)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("statewise.experiments.grid.display.PLAIN_SECONDS", 0.0)
    lines.show(entries)
    lines.say("sac A seed 1: finished")
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("about 0 min 30 s left")
    assert said[1].endswith("sac A seed 1: finished")
