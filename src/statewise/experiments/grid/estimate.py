"""What a grid will take: time, memory and disk, from the first blocks of a few of its runs."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from statewise.config import SacConfig
from statewise.experiments.grid import child
from statewise.experiments.grid.plan import GridRun
from statewise.experiments.grid.probe import Measured
from statewise.experiments.grid.state import Entry

Measurements = Mapping[tuple[str, str], Measured]
"""By label and task."""


@dataclass(frozen=True)
class Estimate:
    """Seconds of every run that is missing, and what the whole grid takes."""

    seconds: dict[str, float]
    """By the run's name."""
    grid_seconds: float
    memory_bytes: float
    """Of the runs that are carried out side by side."""
    disk_bytes: float
    """At its most: checkpoints of all runs, replays of those that are carried out or kept."""


def probed_runs(runs: Sequence[GridRun], missing: Sequence[GridRun]) -> list[GridRun]:
    """Which runs of a grid to measure for those that are missing: their labels on the grid's first task, the first
    label on their tasks; none where nothing is missing.
    """
    if not missing:
        return []
    first = runs[0]
    labels = {first.label, *(run.label for run in missing)}
    tasks = {first.spec.task, *(run.spec.task for run in missing)}
    return [
        run
        for run in runs
        if run.spec.config.seed == first.spec.config.seed
        and (
            (run.label == first.label and run.spec.task in tasks)
            or (run.spec.task == first.spec.task and run.label in labels)
        )
    ]


def measure_runs(runs: Sequence[GridRun], jobs: int, cores: int) -> Measurements:
    """Measure some runs, as many side by side as in the grid. ValueError where one of them doesn't work."""
    with ThreadPoolExecutor(jobs) as pool:
        measured = list(pool.map(lambda run: _measure(run, cores), runs))
    return {(run.label, run.spec.task): found for run, found in zip(runs, measured, strict=True)}


def _measure(run: GridRun, cores: int) -> Measured:
    config = run.spec.config
    asked = {"task": run.spec.task, "method": json.loads(run.spec.to_json())["method"], "config": config.to_dict()}
    done = subprocess.run(
        [sys.executable, "-m", "statewise.experiments.grid.probe"],
        input=json.dumps({**asked, "began": time.time()}),
        capture_output=True,
        text=True,
        env=child.environment(cores),
        check=False,
    )
    if done.returncode:
        raise ValueError(f"{run.name}: can't be measured: {done.stderr.strip().splitlines()[-1]}")
    return Measured(**json.loads(done.stdout))


def combined(measurements: Measurements, first: GridRun, label: str, task: str) -> Measured:
    """What a label takes on a task: as on the first task, times the ratio of the first label on both tasks."""
    base = measurements[first.label, first.spec.task]
    of_label, of_task = measurements[label, first.spec.task], measurements[first.label, task]

    def scaled(name: str) -> float:
        ratio = getattr(of_task, name) / getattr(base, name) if getattr(base, name) else 1.0
        return getattr(of_label, name) * ratio

    return Measured(**{f.name: scaled(f.name) for f in dataclasses.fields(Measured)})


def estimate(entries: Sequence[Entry], measurements: Measurements, jobs: int, keep_replays: bool) -> Estimate:
    """What is still to be done takes; runs begin at their last checkpoint."""
    first = entries[0].run
    missing = [entry for entry in entries if not entry.has_reached_its_end]
    takes = [combined(measurements, first, entry.run.label, entry.run.spec.task) for entry in missing]
    seconds = {e.run.name: run_seconds(e, measured) for e, measured in zip(missing, takes, strict=True)}
    replays = [replay_bytes(e.run, measured) for e, measured in zip(missing, takes, strict=True)]
    checkpoints = [
        (e.run.spec.config.checkpoints_kept + 1) * m.checkpoint_bytes for e, m in zip(missing, takes, strict=True)
    ]
    return Estimate(
        seconds,
        grid_seconds=max(sum(seconds.values()) / jobs, max(seconds.values(), default=0.0)),
        memory_bytes=sum(sorted((m.memory_bytes for m in takes), reverse=True)[:jobs]),
        disk_bytes=sum(checkpoints) + sum(sorted(replays, reverse=True)[: len(replays) if keep_replays else jobs]),
    )


def run_seconds(entry: Entry, measured: Measured) -> float:
    """What the rest of a run takes."""
    config = entry.run.spec.config
    steps = config.total_steps - entry.watch.checkpoint_step
    learning = config.total_steps - max(entry.watch.checkpoint_step, config.learning_starts)
    return (
        measured.start_seconds
        + steps * measured.step_seconds
        + max(learning, 0) * measured.update_seconds
        + steps / config.eval_interval * measured.evaluation_seconds
        + steps / config.checkpoint_interval * measured.checkpoint_seconds
    )


def replay_bytes(run: GridRun, measured: Measured) -> float:
    """The size of a run's replay at its end; 0 for methods without one."""
    config = run.spec.config
    if not isinstance(config, SacConfig):
        return 0.0
    return min(config.total_steps, config.replay_capacity) * measured.replay_step_bytes


def lines(entries: Sequence[Entry], found: Estimate, jobs: int) -> list[str]:
    """The estimate for people: a line for each run, and one for all."""
    from statewise.experiments.grid.display import clock

    width = max(len(entry.run.name) for entry in entries)
    listed = [
        f"{entry.run.name:<{width}}  {entry.run.total_steps:>11,} steps  "
        + (clock(found.seconds[entry.run.name]) if entry.run.name in found.seconds else "finished")
        for entry in entries
    ]
    total = (
        f"{len(found.seconds)} of {len(entries)} runs are missing: about {clock(found.grid_seconds)} with {jobs} side"
        f" by side, {size(found.memory_bytes)} of memory, {size(found.disk_bytes)} of disk"
    )
    return [*listed, total]


def size(count: float) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
