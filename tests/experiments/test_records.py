"""Results in small files: what stays of a run, what is said of them, and that damage is noticed before it does any."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from support.many_runs import TASK, write_run

from statewise.cli import main
from statewise.errors import RunError
from statewise.experiments.curves import read_runs
from statewise.experiments.evaluation import Evaluation, evaluate
from statewise.experiments.grid.plan import plan
from statewise.experiments.grid.results import Results
from statewise.experiments.grid.spec import GridSpec
from statewise.experiments.logged import read_folder
from statewise.experiments.records import find_records, read_record, record_path, shortened, write_record
from statewise.experiments.report_page import build_page


def recorded(folder: Path, root: Path, label: str = "x") -> list[Path]:
    """Records, in a folder, of every run below a root."""
    return [write_record(folder, read_folder(c.parent), label) for c in sorted(root.rglob("config.json"))]


def test_a_record_holds_what_the_run_said_to_six_digits(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", "sac-alam", 3, [1.23456789, -2.0], [3.0, 0.0], seconds=5.0, cpu_seconds=7.5)
    (run / "machine.json").write_text(json.dumps([{"from_step": 0, "processor": "P", "cores": 1, "jax": "0.6"}]))
    (path,) = recorded(tmp_path / "results", tmp_path / "runs", "mine")
    assert path == record_path(tmp_path / "results", read_folder(run).spec)
    assert path.parent == tmp_path / "results" / TASK / "sac-alam"
    record = read_record(path)
    assert (record.label, record.last_step, record.is_finished) == ("mine", 200, True)
    assert record.run.spec == read_folder(run).spec
    assert record.run.machine == "P, 1 core; jax 0.6"
    evaluations = record.run.rows.filter(phase="eval")
    assert evaluations["return"].to_list() == [1.23457, -2.0]
    assert evaluations["seconds"].to_list() == [5.0, 10.0]
    assert record.run.rows.filter(phase="train")["violations"].to_list() == [10, 20]


def test_training_is_thinned_to_rows_that_are_evenly_spaced_and_end_with_the_last() -> None:
    steps = np.arange(1, 451) * 10
    train = pl.DataFrame({"step": steps, "phase": "train", "lam": 1.0, "q_loss": 2.0})
    evals = pl.DataFrame({"step": [45, 4500], "phase": "eval", "return": [1.0, 2.0], "cost": 0.0, "length": 9.0})
    kept = shortened(pl.concat([train, evals], how="diagonal"))
    assert kept.columns == ["step", "phase", "lam", "return", "cost", "length"]
    assert kept.filter(phase="train")["step"].to_list() == list(range(30, 4501, 30))
    assert kept.filter(phase="eval")["step"].to_list() == [45, 4500]


def test_a_long_run_takes_less_than_50_kb(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    names = ("return_std", "probe_lam", "probe_lam_q10", "probe_lam_q50", "probe_lam_q90", "q_bias", "f_bias")
    columns = {name: noise.normal(size=200).tolist() for name in names}
    run = write_run(tmp_path, "sac-alam", 0, noise.normal(size=200).tolist(), noise.random(200).tolist(), seconds=1.0)
    logged = read_folder(run)
    train = pl.DataFrame({"step": np.arange(1, 2001) * 10, "phase": "train"})
    train = train.with_columns(pl.Series(n, noise.normal(size=2000)) for n in ("lam", "lam_q10", "rho", "f", "f_q90"))
    rows = pl.concat([logged.rows.filter(phase="eval").with_columns(**columns), train], how="diagonal_relaxed")
    path = write_record(tmp_path / "results", logged._replace(rows=rows.sort("step")), "x")
    assert 10_000 < path.stat().st_size < 50_000


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """Runs with everything that guards speak of: a bias, unequal seeds, one that diverged, one that stopped."""
    root = tmp_path / "runs"
    noise = np.random.default_rng(0)
    for method in ("sac-alam", "sac-lag"):
        for seed in range(3 if method == "sac-alam" else 2):
            walks = (10 * noise.random(20)).tolist(), (3 * noise.random(20)).tolist()
            more = {name: noise.normal(size=20).tolist() for name in ("probe_lam", "f_bias")}
            write_run(root, method, seed, *walks, seconds=1 / 3, cpu_seconds=2 / 3, columns=more)
    broken = write_run(root, "sac-lag", 2, [1.0], [0.0], total_steps=2000)
    (broken / "failure.json").write_text(json.dumps({"error": "q_loss became nan"}))
    write_run(root, "sac-alam", 3, [1.0], [0.0], total_steps=2000)
    return root


def assert_same_evaluation(one: Evaluation, other: Evaluation) -> None:
    """All numbers are the same to four digits, all words to the letter."""
    for name in ("tasks", "summary", "comparisons", "profiles"):
        assert_frame_equal(getattr(one, name), getattr(other, name), rel_tol=1e-4, abs_tol=1e-5)
    # An interval of two seeds is up to 38 times as wide as the two are apart, and so is the rounding in it.
    assert_frame_equal(one.bands, other.bands, rel_tol=1e-4, abs_tol=1e-3)
    assert_frame_equal(one.runs.drop("run"), other.runs.drop("run"), rel_tol=1e-4, abs_tol=1e-5)
    assert one.findings == other.findings


def words_of(markup: str) -> str:
    """What a person sees of a section: two to four digits of each number."""
    return re.sub(r' data-value="[^"]*"', "", markup)


def test_statistics_and_report_of_records_are_those_of_the_folders(whole: Path, tmp_path: Path) -> None:
    recorded(tmp_path / "results", whole)
    folders, records = (evaluate(read_runs([path])) for path in (whole, tmp_path / "results"))
    assert_same_evaluation(folders, records)
    assert [finding.kind for finding in records.findings] == ["unfinished", "unfinished", "seeds", "bias", "bias"]
    assert "q_loss became nan" in " ".join(finding.text for finding in records.findings)
    page, again = build_page(folders), build_page(records)
    for section, same in zip(page.sections, again.sections, strict=True):
        assert words_of(section.content) == words_of(same.content)
    assert "statewise train sac-lag" in again.sections[-1].content
    first, second = page.details[0], again.details[0]
    assert first["training"]["step"] == second["training"]["step"]
    np.testing.assert_allclose(first["evaluations"]["cost"], second["evaluations"]["cost"], rtol=1e-4)


def test_a_run_that_is_there_as_folder_and_as_record_counts_once(whole: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    recorded(results, whole)
    both = read_runs([whole, results])
    assert both.runs["run"].to_list() == read_runs([whole]).runs["run"].to_list()
    # Begun anew on another machine: what came to its end is taken.
    (stopped,) = (p for p in whole.rglob("seed-0-*") if p.parent.name == "sac-alam")
    lines = (stopped / "metrics.csv").read_text().splitlines(keepends=True)
    (stopped / "metrics.csv").write_text("".join(lines[:5]))
    mixed = read_runs([whole, results])
    places = mixed.runs.filter(label="sac-alam", seed=0)["run"].to_list()
    assert places == [str(record_path(results, read_folder(stopped).spec))]
    assert len(mixed.runs) == len(both.runs)
    shutil.rmtree(stopped)
    assert len(read_runs([whole, results]).runs) == len(both.runs)


def changed(content: bytes, draw: random.Random) -> bytes:
    """One byte of a file changed, or its end cut off."""
    at = draw.randrange(len(content))
    if draw.random() < 0.3:
        return content[:at]
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def test_any_damage_is_noticed(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "sac", 0, [1.0, 2.0], [0.0, 0.0])
    (path,) = recorded(tmp_path / "results", tmp_path / "runs")
    content, draw = path.read_bytes(), random.Random(0)
    for _ in range(300):
        path.write_bytes(changed(content, draw))
        with pytest.raises(
            RunError, match=r"seed-0-\w+\.parquet: can't be read as the results of a run: it is damaged"
        ):
            read_record(path)
    path.write_bytes(content)
    assert read_record(path).is_finished


def command(*words: str) -> Callable[[Path], list[str]]:
    return lambda folder: [word.replace("RESULTS", str(folder)) for word in words]


@pytest.mark.parametrize(
    "make",
    [
        command("statistics", "RESULTS", "-o", "RESULTS/out"),
        command("report", "RESULTS", "-o", "RESULTS/x.html"),
        command("grid", "smoke", "--results", "RESULTS", "--root", "RESULTS/runs"),
    ],
)
def test_damage_is_one_sentence(
    make: Callable[[Path], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs", "sac", 0, [1.0], [0.0])
    (path,) = recorded(tmp_path / "results", tmp_path / "runs")
    path.write_bytes(path.read_bytes()[:-9])
    assert main(make(tmp_path / "results")) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{path}: can't be read as the results of a run" in said
    assert not (tmp_path / "results" / "runs").exists()


def test_other_parquet_files_are_no_records(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", "sac", 0, [1.0], [0.0])
    recorded(tmp_path / "results", tmp_path / "runs")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "results" / "curves.parquet")
    assert len(find_records(tmp_path / "results")) == len(read_runs([tmp_path / "results"]).runs) == 1
    with pytest.raises(RunError, match=r"curves\.parquet: can't be read .* not a record"):
        read_runs([tmp_path / "results" / "curves.parquet"])


# --- a grid that goes on with them -------------------------------------------------------------------------------


SPEC = GridSpec(tasks=(TASK,), methods=("sac",), seeds=(0, 1), fields={"total_steps": 200, "hidden": [8, 8]})


def as_run(spec: GridSpec, root: Path, costs: list[float]) -> None:
    """The folder of a grid's first run, with an evaluation every 100 steps."""
    run = plan(spec, root)[0]
    written = write_run(root / "elsewhere", "sac", 0, [1.0] * len(costs), costs, **SPEC.fields)
    shutil.move(written, run.path)


def test_recorded_runs_are_done_whatever_they_are_called_and_on_whatever_cores(tmp_path: Path) -> None:
    as_run(SPEC, tmp_path / "runs", [0.0, 0.0])
    results = Results(tmp_path / "results")
    one, two = plan(SPEC, tmp_path / "runs")
    results.keep(one)
    again = Results(tmp_path / "results")
    assert [again.has(run) for run in (one, two)] == [results.has(run) for run in (one, two)] == [True, False]
    renamed = SPEC.replace(methods=(), labels={"plain": {"method": "sac"}})
    others = plan(renamed, tmp_path / "other", cores=2)
    again.require_same(others)
    assert [again.has(run) for run in others] == [True, False]


def test_a_run_recorded_with_other_values_is_refused(tmp_path: Path) -> None:
    as_run(SPEC, tmp_path / "runs", [0.0, 0.0])
    Results(tmp_path / "results").keep(plan(SPEC, tmp_path / "runs")[0])
    changed = SPEC.replace(fields={**SPEC.fields, "total_steps": 400, "gamma": 0.9})
    with pytest.raises(RunError, match=rf"sac {TASK} seed 0 is recorded with other values") as refused:
        Results(tmp_path / "results").require_same(plan(changed, tmp_path / "runs"))
    assert "total_steps (200, not 400), gamma (0.99, not 0.9); name another folder in --results" in str(refused.value)
    # Seed 1 isn't recorded, and a label of one's own is another line of the comparison.
    Results(tmp_path / "results").require_same(plan(changed.replace(seeds=(1,)), tmp_path))
    own = changed.replace(methods=(), labels={"long": {"method": "sac"}})
    Results(tmp_path / "results").require_same(plan(own, tmp_path))


def test_an_unfinished_record_is_not_done_and_gives_way_to_the_whole_run(tmp_path: Path) -> None:
    as_run(SPEC, tmp_path / "runs", [5.0])
    run = plan(SPEC, tmp_path / "runs")[0]
    results = Results(tmp_path / "results")
    results.keep(run)
    assert not results.has(run)
    shutil.rmtree(run.path)
    as_run(SPEC, tmp_path / "runs", [5.0, 6.0])
    results.keep(run)
    assert results.has(run)
    (record,) = find_records(tmp_path / "results")
    assert read_record(record).run.rows.filter(phase="eval")["cost"].to_list() == [5.0, 6.0]


def test_results_that_are_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(RunError, match=r"results: .* is not a folder"):
        Results(tmp_path / "results")
