"""A grid from its spec to its last run."""

from __future__ import annotations

from pathlib import Path

from statewise.experiments.grid.executor import Executor, LocalProcesses
from statewise.experiments.grid.plan import check_tasks, plan
from statewise.experiments.grid.scheduler import Display, Rules, Scheduler
from statewise.experiments.grid.spec import GridSpec
from statewise.experiments.grid.state import Entry, GridFolder
from statewise.runtime import available_cores


def run_grid(
    spec: GridSpec,
    root: Path,
    display: Display,
    *,
    jobs: int = 0,
    cores: int = 1,
    rules: Rules = Rules(),  # noqa: B008 - frozen
    executor: Executor | None = None,
) -> list[Entry]:
    """Run what is missing of a grid below `root`; what came of every run.

    jobs: runs side by side, 0: as many as the machine has cores for; cores: of each run, on which its results
    depend. executor: in place of processes on this machine. ValueError before anything starts where a run can't work,
    RunError where another driver has the folder, Interrupted (with every run checkpointed) where asked to stop.
    """
    root = root.absolute()
    runs = plan(spec, root, cores)
    check_tasks(runs)
    with GridFolder(root) as folder:
        if executor is None:
            executor = LocalProcesses(jobs or max(1, available_cores() // cores), cores, folder.logs)
        entries = [Entry(run) for run in runs]
        Scheduler(folder, spec, entries, executor, display, rules).run()
    return entries
