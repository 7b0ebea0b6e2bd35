"""What a run left behind, as its folder holds it: its spec, every row that it logged, and what computed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from statewise.errors import RunError
from statewise.spec import RunSpec
from statewise.storage import metrics
from statewise.storage.run_folder import RunFolder

Machines = list[dict[str, Any]]
"""What computed a run from which step on, as in machine.json."""


class Logged(NamedTuple):
    """A run that somebody has carried out, finished or not."""

    place: str
    """Its folder, or the file that it is recorded in."""
    spec: RunSpec
    rows: pl.DataFrame
    """Its metrics, with `seconds` and `cpu_seconds` since training began where they were timed; sorted by step."""
    cost_limit: float
    """What its d allows an episode."""
    failure: str | None
    """Why it diverged."""
    machines: Machines

    @property
    def is_finished(self) -> bool:
        """Whether it was evaluated at its last step."""
        steps = self.rows.filter(pl.col("phase") == "eval")["step"]
        return len(steps) > 0 and steps[-1] >= self.spec.config.total_steps

    @property
    def machine(self) -> str | None:
        """What computed it last, in one line; None where nothing was noted."""
        if not self.machines:
            return None
        noted = {name: value for name, value in self.machines[-1].items() if name != "from_step"}
        processor, cores = noted.pop("processor", "processor unknown"), noted.pop("cores", None)
        on = "" if cores is None else f", {cores} core{'' if cores == 1 else 's'}"
        return f"{processor}{on}; {', '.join(f'{name} {value}' for name, value in noted.items())}"


def read_folder(folder: Path) -> Logged:
    """What a run folder holds.

    Raises RunError for a configuration or a note of the machine that can't be used, CheckpointError for metrics that
    can't be read.
    """
    run = RunFolder(folder)
    spec = RunSpec.read(run.config_path)
    rows = _rows(run)
    limit = round(spec.config.cost_limit(_episode_steps(spec, rows)), 9)
    failure = _json(run.failure_path, dict)
    machines = _json(run.machine_path, list)
    return Logged(str(folder), spec, rows, limit, failure and str(failure.get("error")), machines or [])


def _rows(run: RunFolder) -> pl.DataFrame:
    """A run's metrics, with the wall-clock and processor seconds that its timings add up to at each row's step."""
    rows = metrics.read(run.metrics_path).sort("step", maintain_order=True)
    if not run.timing_path.is_file():
        return rows
    timing = metrics.read(run.timing_path)
    clocks = [name for name in ("seconds", "cpu_seconds") if name in timing.columns]
    so_far = timing.select("step", pl.col(clocks).cum_sum())
    return rows.join_asof(so_far, on="step", strategy="backward")


def _episode_steps(spec: RunSpec, rows: pl.DataFrame) -> int:
    """Steps of an episode: as the run has it, as its task is registered or, of one from outside, the longest mean."""
    import gymnasium

    import statewise.envs  # noqa: F401  (registers the native tasks)

    if spec.environment is not None and spec.environment.max_episode_steps:
        return spec.environment.max_episode_steps
    registered = gymnasium.registry.get(spec.task)
    if registered is not None and registered.max_episode_steps:
        return registered.max_episode_steps
    longest = rows["length"].max()
    return round(longest) if isinstance(longest, float) else 0


def _json(path: Path, kind: type) -> Any:
    """What a file of the run holds, None where there is none; RunError where it isn't of that kind."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path}: can't be read: {error}") from error
    if not isinstance(content, kind):
        raise RunError(f"{path}: can't be read: it holds no {kind.__name__}")
    return content
