"""Grids of real runs: whatever dies on the way, the finished grid has the bytes of one that was never disturbed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import polars as pl
import pytest
from support.browser import opened
from support.grid_envs import MARKERS, TASKS
from support.small_runs import TINY

from statewise.cli import main
from statewise.experiments.grid.state import read_runs
from statewise.experiments.grid.watch import RunWatch
from statewise.experiments.records import find_records
from statewise.storage import metrics

TESTS = Path(__file__).parents[1]
FIELDS = {name: value for name, value in TINY.items() if name not in ("preset", "threads")}


def write_spec(path: Path, kinds: tuple[str, ...]) -> Path:
    """A spec of tiny SAC runs, one for each kind of mishap."""
    fields = "\n".join(f"{name} = {json.dumps(value)}" for name, value in FIELDS.items())
    tasks = json.dumps([TASKS[kind] for kind in kinds])
    path.write_text(f'tasks = {tasks}\nmethods = ["sac"]\nseeds = [0]\npreset = "paper"\n[fields]\n{fields}\n')
    return path


def drive(spec: Path, root: Path, *more: str) -> subprocess.Popen[str]:
    """A driver of the grid in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "statewise", "grid", str(spec), "--root", str(root), "--jobs", "2", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=spec.parent,
    )


def finish(spec: Path, root: Path, *more: str) -> tuple[int, str]:
    """Exit status and output of a driver that is left alone."""
    with drive(spec, root, *more) as driver:
        said, _ = driver.communicate()
    return driver.returncode, said


def wait_for(root: Path, pattern: str, driver: subprocess.Popen[str]) -> None:
    """Until a file of that name is there, while the driver works."""
    while not list(root.glob(pattern)):
        assert driver.poll() is None, driver.communicate()[0]
        time.sleep(0.02)


def files_of(root: Path, kind: str) -> dict[str, bytes]:
    """What a run of that kind has to be a function of."""
    (run,) = root.glob(f"*Grid{kind.title()}*/sac/seed-0-*")
    return {path.name: path.read_bytes() for path in (*(run / "checkpoints").iterdir(), run / "metrics.csv")}


def assert_same_runs(root: Path, other: Path, kinds: tuple[str, ...]) -> None:
    """Checkpoints and metrics of both grids have the same bytes."""
    for kind in kinds:
        assert files_of(root, kind) == files_of(other, kind), kind


class Calm(NamedTuple):
    """A grid that was never disturbed: its spec, its folder, the records of its runs, and the seconds that it took."""

    spec: Path
    root: Path
    results: Path
    seconds: float


KINDS = ("paused", "killed", "hung", "full")


@pytest.fixture(autouse=True, scope="module")
def importable() -> Iterator[None]:
    """Drivers and their children find the environments of the tests, none of which has its mishap yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{TESTS.parent / 'src'}:{TESTS}")
        patch.delenv(MARKERS, raising=False)
        yield


@pytest.fixture(scope="module")
def calm(importable: None, tmp_path_factory: pytest.TempPathFactory) -> Calm:
    folder = tmp_path_factory.mktemp("calm")
    spec, results = write_spec(folder / "calm.toml", KINDS), folder / "results"
    began = time.monotonic()
    status, said = finish(spec, folder / "calm", "--results", str(results))
    assert status == 0, said
    return Calm(spec, folder / "calm", results, time.monotonic() - began)


@pytest.mark.slow
def test_the_smoke_grid_becomes_a_page(tmp_path: Path) -> None:
    """From one command to what a browser shows, the numbers those of the last evaluations; the cheapest of its runs."""
    root, page, task = tmp_path / "smoke", tmp_path / "report.html", "SafetySwimmerVelocity-v1"
    few = ["--methods", "p3o", "--tasks", task, "--total-steps", "2048", "--jobs", "1"]
    assert main(["grid", "smoke", *few, "--root", str(root)]) == 0
    assert main(["report", str(root), "-o", str(page), "--watch", "3600"]) == 0
    text = page.read_text("utf-8")
    assert "2 of 2 runs count" in text
    runs = [root / run["path"] for run in read_runs(root)]
    evaluations = [metrics.read(run / "metrics.csv").filter(pl.col("phase") == "eval") for run in runs]
    assert [rows["step"].to_list() for rows in evaluations] == [[1024, 2048]] * 2
    table = text[text.index(f'data-table="task:{task}"') :]
    for name in ("return", "cost"):
        final = float(np.mean([rows[name][-1] for rows in evaluations]))
        assert f'data-value="{final!r}"' in table[: table.index("</table>")], name
    assert f"statewise train p3o {task}" in text
    seen = opened(page, "", tmp_path, anchor="#open-1")
    assert seen.count('data-drawn="yes"') == 3, "two of all tasks, one of this one"
    assert seen[seen.index('id="detail"') :].count('class="main-svg"') >= 2 * 2, "at least return and cost"
    for name in ("return", "cost"):
        shown = f'<th scope="row">{name}</th><td data-value="{float(evaluations[1][name][-1])!r}">'
        assert shown in seen[seen.index('id="detail"') :]


@pytest.mark.slow
def test_recorded_results_stand_for_runs_whose_folders_are_gone(
    calm: Calm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a machine that never had the runs nothing is run, the numbers are the same, and a further seed is done."""
    results, root = tmp_path / "results", tmp_path / "elsewhere"
    shutil.copytree(calm.results, results)
    again = ["grid", str(calm.spec), "--root", str(root), "--results", str(results)]
    assert main(again) == 0
    said = capsys.readouterr()
    assert f"4 of 4 runs are finished already, 4 of them recorded in {results}" in said.err
    assert "4 of 4 runs are finished\n" in said.out
    assert [(run["state"], run["step"], run["starts"]) for run in read_runs(root)] == [("finished", 160, 0)] * 4
    assert not list(root.rglob("config.json"))
    tables = []
    for runs in (calm.root, results):
        assert main(["statistics", str(runs), "-o", str(tmp_path / runs.name), "--no-figures"]) == 0
        tables.append(capsys.readouterr().out.replace(str(tmp_path / runs.name), ""))
    assert tables[0] == tables[1]
    assert f"\n{TASKS['full']}\n" in tables[1]
    page = tmp_path / "report.html"
    assert main(["report", str(results), "-o", str(page)]) == 0
    assert "<li>4 runs: " in page.read_text("utf-8"), "what computed them"

    assert main([*again, "--tasks", TASKS["killed"], "--seeds", "0", "1"]) == 0
    assert "1 of 2 runs are finished already, 1 of them recorded" in capsys.readouterr().err
    (run,) = (path.parent for path in root.rglob("config.json"))
    assert run.name.startswith("seed-1-")
    assert len(find_records(results)) == 5
    assert main([*again, "--total-steps", "200"]) == 2
    refused = capsys.readouterr().err
    assert refused.count("\n") == 1
    assert "total_steps (160, not 200)" in refused


@pytest.fixture
def markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the marks of mishaps, which lets them happen."""
    folder = tmp_path / "markers"
    folder.mkdir()
    monkeypatch.setenv(MARKERS, str(folder))
    return folder


@pytest.mark.slow
def test_a_grid_full_of_mishaps_ends_in_the_bytes_of_one_without(calm: Calm, markers: Path, tmp_path: Path) -> None:
    patience = str(10.0 + calm.seconds)  # a run takes less, however busy the machine is
    root = tmp_path / "rough"
    rough = write_spec(tmp_path / "rough.toml", ("paused", "faulty", "killed", "hung", "full"))
    with drive(rough, root) as driver:
        wait_for(markers, "paused", driver)
        driver.kill()
        said_first, _ = driver.communicate()
    (markers / "go").touch()
    status, said = finish(rough, root, "--hang-seconds", patience)
    assert status == 3, said
    said = said_first + said
    assert "4 of 5 runs are finished" in said
    for kind, mishap in (("killed", "killed by SIGKILL"), ("hung", "no progress for"), ("full", "disk full while")):
        assert f"{TASKS[kind]} seed 0: {mishap}" in said
        assert f"{TASKS[kind]} seed 0: goes on from step 40" in said
    states = {run["task"]: (run["state"], run["reason"]) for run in read_runs(root)}
    state, reason = states.pop(TASKS["faulty"])
    assert state == "failed"
    assert "this environment never works" in reason
    assert set(states.values()) == {("finished", "")}
    assert_same_runs(root, calm.root, KINDS)


needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray isn't installed (the extra `grid`)")


@pytest.mark.slow
@needs_ray
def test_a_lost_worker_of_ray_leaves_no_trace(calm: Calm, markers: Path, tmp_path: Path) -> None:
    root, results = tmp_path / "rough", tmp_path / "results"
    spec = write_spec(tmp_path / "two.toml", ("paused", "killed"))
    with drive(spec, root, "--ray", "--results", str(results)) as driver:
        wait_for(markers, "paused", driver)
        worker = worker_of(root)
        assert "ray" in Path(f"/proc/{worker}/cmdline").read_text()
        os.kill(worker, signal.SIGKILL)
        (markers / "go").touch()
        said, _ = driver.communicate()
    assert driver.returncode == 0, said
    assert "goes on from step" in log_of(root, "paused")
    assert_same_runs(root, calm.root, ("paused", "killed"))
    recorded = {path.relative_to(calm.results) for path in find_records(calm.results)}
    assert len(recorded) == len(KINDS)
    assert {path.relative_to(results) for path in find_records(results)} == {
        path for path in recorded if path.parts[0].endswith(("GridPaused-v0", "GridKilled-v0"))
    }


@pytest.mark.slow
@needs_ray
def test_a_lost_node_of_ray_leaves_no_trace(calm: Calm, markers: Path, tmp_path: Path) -> None:
    root, spec = tmp_path / "rough", write_spec(tmp_path / "two.toml", ("paused", "killed"))
    command = [sys.executable, str(TESTS / "support" / "ray_nodes.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nodes:
        assert nodes.stdin is not None
        assert nodes.stdout is not None
        with drive(spec, root, "--address", answer(nodes.stdout, "address")) as driver:
            wait_for(markers, "paused", driver)
            print(parent_of(worker_of(root)), file=nodes.stdin, flush=True)
            answer(nodes.stdout, "lost")
            (markers / "go").touch()
            said, _ = driver.communicate()
        nodes.stdin.close()
    assert driver.returncode == 0, said
    assert "the node it was running on is dead" in said
    assert "goes on from step" in log_of(root, "paused")
    assert_same_runs(root, calm.root, ("paused", "killed"))


def answer(lines: IO[str], name: str) -> str:
    """What follows a name, in the line that begins with it."""
    for line in lines:
        if line.startswith(name):
            return line.removeprefix(name).strip()
    raise AssertionError(f"no line begins with {name!r}")


def log_of(root: Path, kind: str) -> str:
    """What the processes of a run printed."""
    (log,) = (root / "logs").glob(f"*Grid{kind.title()}*")
    return log.read_text()


def worker_of(root: Path) -> int:
    """The worker of Ray that carries out the paused run."""
    (lock,) = root.glob("*GridPaused*/sac/*/.lock")
    return parent_of(int(lock.read_text()))


def parent_of(process: int) -> int:
    """The process that started a process."""
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("flags", [(), pytest.param(("--ray",), marks=[pytest.mark.slow, needs_ray])])
def test_a_stopped_driver_leaves_checkpoints_and_no_process(flags: tuple[str, ...], tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "long.toml", ("paused",))
    spec.write_text(spec.read_text().replace("total_steps = 160", "total_steps = 1000000"))
    with drive(spec, tmp_path / "runs", *flags) as driver:
        wait_for(tmp_path / "runs", "*/*/*/checkpoints/step-*", driver)
        driver.send_signal(signal.SIGINT)
        said, _ = driver.communicate()
    assert driver.returncode == 130
    assert "stopped with 0 of 1 runs finished; start the same grid again" in said
    (run,) = read_runs(tmp_path / "runs")
    assert run["state"] == "waiting"
    assert run["step"] >= 40
    assert RunWatch(tmp_path / "runs" / run["path"]).is_free()
    assert f"stopped at step {run['step']:,}" in log_of(tmp_path / "runs", "paused")


def test_a_run_that_cannot_work_is_found_before_anything_starts(tmp_path: Path) -> None:
    spec = write_spec(tmp_path / "bad.toml", ("paused",))
    spec.write_text(spec.read_text().replace("GridPaused", "GridPased"))
    status, said = finish(spec, tmp_path / "runs")
    assert status == 2
    assert "GridPased-v0" in said
    assert not (tmp_path / "runs").exists()
