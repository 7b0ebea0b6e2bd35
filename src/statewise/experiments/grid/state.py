"""What is known of a grid's runs: where each stands, and `grid.json`, which the next driver and the report read."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from statewise import __version__
from statewise.errors import RunError
from statewise.experiments.grid.plan import GridRun
from statewise.experiments.grid.spec import GridSpec
from statewise.experiments.grid.watch import RunWatch
from statewise.methods import full_name
from statewise.storage.files import remove_temporary_files, write_text_atomic
from statewise.storage.run_folder import RunFolder

State = Literal["waiting", "running", "finished", "failed"]
OVER: tuple[State, ...] = ("finished", "failed")
"""States of a run for which nothing more will be done."""
_NAMES = re.compile(r"grid\.json")
"""Files that a driver writes into the folder itself."""


@dataclass
class Entry:
    """One run of a grid and how it fares."""

    run: GridRun
    state: State = "waiting"
    starts: int = 0
    """Processes that this driver has started for it."""
    reason: str = ""
    """Why the last process ended before its time, or what the run waits for."""
    recorded: bool = False
    """Whether its results are there from elsewhere, so that it needs no folder."""
    watch: RunWatch = field(init=False)

    def __post_init__(self) -> None:
        self.watch = RunWatch(self.run.path)
        self.watch.refresh()

    @property
    def has_reached_its_end(self) -> bool:
        """Whether its last checkpoint is there, or what came of it."""
        return self.recorded or self.watch.is_finished(self.run.total_steps)

    @property
    def step(self) -> int:
        """Environment steps that are done and can't be lost."""
        return self.run.total_steps if self.recorded else self.watch.checkpoint_step

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be done for it."""
        return self.state in OVER


class GridFolder:
    """The folder of a grid: `grid.json`, logs, and the run folders; as a context manager it is one driver's alone."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = RunFolder(root)
        self._earlier: dict[str, dict[str, Any]] = {}

    @property
    def path(self) -> Path:
        """State of the grid, JSON."""
        return self.root / "grid.json"

    @property
    def logs(self) -> Path:
        """What the processes of the runs print."""
        return self.root / "logs"

    def __enter__(self) -> GridFolder:
        """Take the folder, and remember its runs. RunError where another driver has it or grid.json is damaged."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._lock.lock()
        try:
            remove_temporary_files(self.root, _NAMES)
            self._earlier = {run["path"]: run for run in read_runs(self.root)} if self.path.exists() else {}
        except BaseException:
            self._lock.unlock()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._lock.unlock()

    def was_finished(self, run: GridRun) -> bool:
        """Whether an earlier driver saw the run to its end."""
        return self._earlier.get(self._place(run), {}).get("state") == "finished"

    def write(self, spec: GridSpec, entries: Sequence[Entry]) -> None:
        """Write grid.json; runs of earlier specs that are no part of this one stay in it."""
        runs = {**self._earlier, **{row["path"]: row for row in map(self._row, entries)}}
        content = {"statewise": __version__, "spec": spec.to_dict(), "runs": list(runs.values())}
        write_text_atomic(self.path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def _place(self, run: GridRun) -> str:
        return str(run.path.relative_to(self.root))

    def _row(self, entry: Entry) -> dict[str, Any]:
        run = entry.run
        return {
            "label": run.label,
            "method": full_name(run.spec.config.method),
            "task": run.spec.task,
            "seed": run.spec.config.seed,
            "path": self._place(run),
            "state": entry.state,
            "step": entry.step,
            "total_steps": run.total_steps,
            "starts": entry.starts,
            "reason": entry.reason,
        }


def read_runs(root: Path) -> list[dict[str, Any]]:
    """The runs that a grid's folder lists: label, method, task, seed, path below `root`, state and more.

    RunError where there is no grid or its file is damaged.
    """
    path = root / "grid.json"
    try:
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"]
        if any({"path", "label", "state"} - run.keys() for run in runs):
            raise ValueError("a run lacks its path, label or state")
        return runs
    except FileNotFoundError:
        raise RunError(f"{root} is not the folder of a grid: it holds no grid.json") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: can't be read as the state of a grid ({error}); remove it to begin it anew") from error
