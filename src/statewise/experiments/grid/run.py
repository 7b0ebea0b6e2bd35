"""A grid from its spec to its last run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from statewise.experiments.grid.estimate import Estimate, estimate, measure_runs, probed_runs
from statewise.experiments.grid.executor import Executor, LocalProcesses, usual_jobs
from statewise.experiments.grid.plan import GridRun, check_tasks, plan
from statewise.experiments.grid.results import Results
from statewise.experiments.grid.scheduler import DEFAULT_RULES, Display, Rules, Scheduler
from statewise.experiments.grid.spec import GridSpec
from statewise.experiments.grid.state import Entry, GridFolder


def run_grid(
    spec: GridSpec,
    root: Path,
    display: Display,
    *,
    jobs: int = 0,
    cores: int = 1,
    rules: Rules = DEFAULT_RULES,
    results: Path | None = None,
    executor: Callable[[int, int, Path], Executor] = LocalProcesses,
) -> list[Entry]:
    """Run what is missing of a grid below `root`; what came of every run.

    jobs: runs side by side, 0: as many as the machine has cores for. cores: of each run, on which its results depend.
    results: folder that what came of a run is recorded in, and whose runs count as done, on whatever machine they were.
    executor: makes, of jobs, cores and a folder for logs, what carries the runs out. ValueError before anything starts
    where a run can't work, RunError where another driver has the folder or `results` can't be gone on with,
    Interrupted, with every run checkpointed, where asked to stop.
    """
    root = root.absolute()
    entries, known = _entries(checked_runs(spec, root, cores), results)
    with GridFolder(root) as folder:
        Scheduler(folder, spec, entries, executor(jobs, cores, folder.logs), display, rules, known).run()
    return entries


def estimate_grid(
    spec: GridSpec,
    root: Path,
    *,
    jobs: int = 0,
    cores: int = 1,
    keep_replays: bool = False,
    results: Path | None = None,
) -> tuple[list[Entry], Estimate]:
    """What is there of a grid, and what the rest will take, from the measured first blocks of a few runs.

    Nothing is written below `root`. Arguments and errors as in `run_grid`.
    """
    entries, _ = _entries(checked_runs(spec, root.absolute(), cores), results)
    jobs = jobs or usual_jobs(cores)
    missing = [entry.run for entry in entries if not entry.has_reached_its_end]
    probed = probed_runs([entry.run for entry in entries], missing)
    return entries, estimate(entries, measure_runs(probed, jobs, cores), jobs, keep_replays)


def checked_runs(spec: GridSpec, root: Path, cores: int) -> list[GridRun]:
    """The runs of a spec, none of which is refused by its task."""
    runs = plan(spec, root, cores)
    check_tasks(runs)
    return runs


def _entries(runs: list[GridRun], results: Path | None) -> tuple[list[Entry], Results | None]:
    """The runs and what is known of them; RunError where what is recorded isn't of these runs."""
    if results is None:
        return [Entry(run) for run in runs], None
    known = Results(results)
    known.require_same(runs)
    return [Entry(run, recorded=known.has(run)) for run in runs], known
