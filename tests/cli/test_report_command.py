"""`statewise report` on curves of a CSV file, and on a grid that isn't over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from statewise.cli import main
from statewise.cli.report import is_over
from statewise.experiments.evaluation import evaluate
from statewise.experiments.imports import read_csv

ROWS = "label,task,step,return,cost,seed\n" + "".join(
    f"{label},T,{step},{seed + step},{cost},{seed}\n"
    for label, cost in (("ours", 0.5), ("theirs", 3.0))
    for seed in (0, 1, 2)
    for step in (10, 20, 30)
)


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    path = tmp_path / "curves.csv"
    path.write_text(ROWS)
    return path


def test_page_is_written_with_its_title_and_numbers(
    curves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    words = ["--csv", str(curves), "-o", str(page), "--title", "Ours & theirs", "--cost-limit", "1"]
    assert main(["report", *words]) == 0
    assert capsys.readouterr().out == f"6 runs: {page}\n"
    text = page.read_text("utf-8")
    assert "<h1>Ours &amp; theirs</h1>" in text
    assert 'data-value="31.0">31.0 [' in text
    assert "cost limit 1.00 an episode" in text


def test_watching_ends_when_every_run_has(curves: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["report", "--csv", str(curves), "-o", str(page), "--watch", "3600"]) == 0
    assert 'http-equiv="refresh"' not in page.read_text("utf-8")


def test_a_grid_is_over_when_nothing_waits(curves: Path, tmp_path: Path) -> None:
    evaluation = evaluate(read_csv([curves]))
    for states, over in ((("finished", "failed"), True), (("finished", "waiting"), False)):
        runs = [{"path": "p", "label": "ours", "state": state} for state in states]
        (tmp_path / "grid.json").write_text(json.dumps({"runs": runs}))
        assert is_over((tmp_path,), evaluation) is over


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "runs: name at least one run folder, or a folder of them, as in statewise report runs"),
        (["--watch", "0"], "watch: 0 is not allowed; it must be a finite number >= 1"),
        (
            ["nowhere"],
            "nowhere is not a run folder and holds none: it needs a config.json beside a metrics.csv, or the files that"
            " a grid writes into its --results",
        ),
    ],
)
def test_bad_input(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *words]) == 2
    assert capsys.readouterr().err == f"statewise: {said}\n"
    assert list(tmp_path.iterdir()) == []
