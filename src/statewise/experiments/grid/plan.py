"""From a spec to its runs, each checked against its task before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from statewise.envs import make_vector
from statewise.experiments.grid.spec import GridSpec
from statewise.spec import RunSpec
from statewise.storage.run_folder import RunFolder, run_folder


@dataclass(frozen=True)
class GridRun:
    """One run of a grid: its label, what its config.json says, and its folder."""

    label: str
    spec: RunSpec
    path: Path

    @property
    def name(self) -> str:
        """Label, task and seed, for people."""
        return f"{self.label} {self.spec.task} seed {self.spec.config.seed}"

    @property
    def total_steps(self) -> int:
        """Environment steps of the whole run."""
        return self.spec.config.total_steps

    def prepare(self) -> None:
        """Make the run's folder where there is none yet. RunError where something else is there."""
        if not (self.path / "config.json").exists():
            RunFolder.create(self.path, self.spec.to_json()).unlock()


def plan(spec: GridSpec, root: Path, cores: int = 1) -> list[GridRun]:
    """The runs of a spec below `root`, `cores` cores each; all of the first seed, or of the first task, come first.

    So a grid that is cut short has whole comparisons. ValueError where two labels are the same runs.
    """
    runs: dict[Path, GridRun] = {}
    for seed, task in _places(spec):
        for arm in spec.arms():
            config = spec.config(arm, seed, cores)
            path = run_folder(root, task, config.method, seed, config.digest())
            if path in runs:
                raise ValueError(
                    f"labels: {runs[path].label!r} and {arm.label!r} have the same configuration;"
                    " drop one, or set them apart by a field"
                )
            runs[path] = GridRun(arm.label, RunSpec(task, config), path)
    return list(runs.values())


def _places(spec: GridSpec) -> list[tuple[int, str]]:
    """Seeds and tasks, in the order in which they are compared."""
    if spec.order == "task":
        return [(seed, task) for task in spec.tasks for seed in spec.seeds]
    return [(seed, task) for seed in spec.seeds for task in spec.tasks]


def check_tasks(runs: list[GridRun]) -> None:
    """See whether each task can be made and serves each configuration; ValueError naming the run that can't be."""
    from statewise.families import build_core
    from statewise.training.learners import task_facts

    first_seed = runs[0].spec.config.seed
    for task in dict.fromkeys(run.spec.task for run in runs):
        env = make_vector(task, 1)
        for run in runs:
            if (run.spec.task, run.spec.config.seed) == (task, first_seed):
                try:
                    core = build_core(run.spec.config, task_facts(run.spec.config, env))
                    _ = core.embed  # made on first use, of what the task's observation holds
                except ValueError as error:
                    raise ValueError(f"{run.name}: {error}") from error
        env.close()
