"""The estimate of a dry run against sums by hand, and a measurement of real first blocks."""

from __future__ import annotations

import time
from pathlib import Path

import polars as pl
import pytest
from support.small_runs import TINY

from statewise.cli import main
from statewise.config import SacConfig
from statewise.experiments.grid import estimate as estimating
from statewise.experiments.grid.display import clock
from statewise.experiments.grid.estimate import combined, estimate, lines, measure_runs, probed_runs, run_seconds, size
from statewise.experiments.grid.plan import plan
from statewise.experiments.grid.probe import Measured, measure, rates, shortened
from statewise.experiments.grid.spec import GridSpec
from statewise.experiments.grid.state import Entry
from statewise.spec import make_config

BASE = Measured(
    start_seconds=10.0,
    step_seconds=0.001,
    update_seconds=0.002,
    evaluation_seconds=3.0,
    checkpoint_seconds=0.5,
    memory_bytes=1e9,
    checkpoint_bytes=1e6,
    replay_step_bytes=100.0,
)
TWICE = Measured(**{name: 2 * value for name, value in BASE.__dict__.items()})
WITHOUT_REPLAY = Measured(**{**BASE.__dict__, "replay_step_bytes": 0.0})
SPEC = GridSpec(
    tasks=("A", "B"),
    methods=("sac", "ppo"),
    seeds=(0, 1),
    preset="paper",
    fields={"total_steps": 100_000, "replay_capacity": 50_000},
)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    return [Entry(run) for run in plan(SPEC, tmp_path)]


def test_labels_are_measured_on_the_first_task_and_tasks_with_the_first_label(entries: list[Entry]) -> None:
    runs = [entry.run for entry in entries]
    by_name = {run.name: run for run in runs}

    def probed(*missing: str) -> list[str]:
        return [run.name for run in probed_runs(runs, [by_name[name] for name in missing])]

    assert probed(*by_name) == ["sac A seed 0", "ppo A seed 0", "sac B seed 0"]
    assert probed("ppo A seed 1") == ["sac A seed 0", "ppo A seed 0"]
    assert probed("sac B seed 1") == ["sac A seed 0", "sac B seed 0"]
    assert probed() == []


def test_a_label_on_another_task_scales_with_the_first_label(entries: list[Entry]) -> None:
    measurements = {("sac", "A"): BASE, ("ppo", "A"): WITHOUT_REPLAY, ("sac", "B"): TWICE}
    found = combined(measurements, entries[0].run, "ppo", "B")
    assert found.step_seconds == 0.002
    assert found.replay_step_bytes == 0.0
    assert combined(measurements, entries[0].run, "sac", "B") == TWICE


def test_the_seconds_of_a_run_by_hand(entries: list[Entry]) -> None:
    # Warm-up takes 79 blocks of 128 steps, up to step 10,112; five evaluations and five checkpoints follow.
    assert run_seconds(entries[0], BASE) == pytest.approx(10.0 + 100.0 + 0.002 * (100_000 - 10_112) + 5 * 3.0 + 5 * 0.5)
    entries[0].watch.checkpoint_step = 60_000
    assert run_seconds(entries[0], BASE) == pytest.approx(10.0 + 40.0 + 80.0 + 2 * 3.0 + 2 * 0.5)


def test_the_whole_grid_by_hand(entries: list[Entry]) -> None:
    measurements = {("sac", "A"): BASE, ("ppo", "A"): WITHOUT_REPLAY, ("sac", "B"): TWICE}
    for entry in entries[1:]:
        entry.watch.checkpoint_step = 100_000
    found = estimate([*entries], measurements, jobs=2, keep_replays=False)
    assert list(found.seconds) == ["sac A seed 0"]
    assert found.grid_seconds == found.seconds["sac A seed 0"]
    assert found.memory_bytes == 1e9
    assert found.disk_bytes == 3 * 1e6 + 50_000 * 100
    for entry in entries:
        entry.watch.checkpoint_step = 0
    found = estimate([*entries], measurements, jobs=2, keep_replays=False)
    assert found.grid_seconds == pytest.approx(sum(found.seconds.values()) / 2)
    assert found.memory_bytes == 4e9
    assert found.disk_bytes == 3 * 1e6 * (2 * 1 + 2 * 1 + 2 * 2 + 2 * 2) + 2 * 50_000 * 200
    kept = estimate([*entries], measurements, jobs=2, keep_replays=True)
    assert kept.disk_bytes - found.disk_bytes == 2 * 50_000 * 100
    assert lines(entries, found, 2)[-1].startswith("8 of 8 runs are missing: about ")


def test_rates_are_of_the_second_half_in_which_nothing_compiles() -> None:
    rows = pl.DataFrame(
        {
            "sample_seconds": [9.0, 9.0, 1.0, 2.0],
            "update_seconds": [9.0, 9.0, 3.0, 3.0],
            "evaluate_seconds": [0.0, 9.0, 0.0, 5.0],
            "checkpoint_seconds": [0.0, 9.0, 2.0, 4.0],
        }
    )
    assert rates(rows, block=10) == (0.15, 0.3, 5.0, 3.0)


@pytest.mark.parametrize("method", ["sac", "p3o"])
def test_what_is_measured_is_a_run_of_a_few_blocks(method: str) -> None:
    config = make_config(method)
    short = shortened(config)
    assert short.total_steps == config.block_env_steps * (12 if isinstance(config, SacConfig) else 4)
    assert short.learning_starts <= short.block_env_steps
    assert short.eval_interval % short.block_env_steps == 0


def test_a_measurement_of_a_real_run() -> None:
    config = make_config("sac", **{**TINY, "eval_envs": 1})
    began = time.time()
    found = measure("SafetySwimmerVelocity-v1", config, began)
    elapsed = time.time() - began
    assert 0.0 < found.start_seconds < elapsed
    assert found.step_seconds > 0.0
    assert found.update_seconds > 0.0
    assert 0.0 < found.evaluation_seconds < elapsed
    assert found.memory_bytes > 5e7
    assert 1e3 < found.checkpoint_bytes < 1e6
    # A row holds two observations of 8, two actions and five scalars; the file is allocated in whole pages.
    assert 4 * 23 <= found.replay_step_bytes <= 4 * 23 + 8_192 / 96


def test_a_dry_run_lists_the_runs_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimating, "_measure", lambda run, cores: BASE)
    assert main(["grid", "smoke", "--dry-run", "--jobs", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 13
    assert said[0].startswith("sac-alam SafetyPointGoal1-v0 seed 0")
    assert said[-1].startswith("12 of 12 runs are missing: about ")
    assert "3 side by side, 3.0 GB of memory" in said[-1]
    assert not list(tmp_path.iterdir())


def test_a_run_that_cannot_be_measured_is_named(entries: list[Entry]) -> None:
    with pytest.raises(ValueError, match=r"sac A seed 0: can't be measured: .*'A'"):
        measure_runs([entries[0].run], jobs=1, cores=1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 min 00 s"), (75.0, "1 min 15 s"), (3_599.7, "1 h 00 min"), (90_000.0, "25 h 00 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(3.4e6, "3 MB"), (1.26e9, "1.3 GB")])
def test_sizes(count: float, text: str) -> None:
    assert size(count) == text
