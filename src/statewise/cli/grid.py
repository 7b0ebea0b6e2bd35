"""The command `grid`: its arguments, and how they become a spec."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from statewise.cli import arguments
from statewise.cli.status import FAULT, INTERRUPTED, OK, Stopped
from statewise.config import Preset
from statewise.config.run import Count, Positive, Whole, check
from statewise.experiments.grid.executor import Executor, LocalProcesses, usual_jobs
from statewise.experiments.grid.scheduler import DEFAULT_RULES, Rules
from statewise.experiments.grid.spec import GridSpec, find_spec
from statewise.methods import find_method


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Run every method on every task with every seed, some side by side; started again, it does what is missing."""

    spec: Annotated[Positional[str], arg(metavar="SPEC")] = ""
    """`paper`, `standard`, `smoke`, or a TOML file; may be left out where flags name methods and tasks."""
    methods: Annotated[tuple[str, ...], arg(metavar="METHOD...")] = ()
    """Methods, in place of the spec's and its labels."""
    tasks: Annotated[tuple[str, ...], arg(metavar="TASK...")] = ()
    """Tasks, in place of the spec's."""
    seeds: Annotated[tuple[int, ...], arg(metavar="SEED...")] = ()
    """Seeds, in place of the spec's."""
    preset: Preset | None = None
    """Preset, in place of the spec's."""
    total_steps: int | None = None
    """Environment steps of every run, in place of the spec's; overrides of single methods hold."""
    root: Path | None = None
    """Folder of the grid and of its runs; by default runs/ and the name of the spec."""
    results: Annotated[Path | None, arg(metavar="FOLDER")] = None
    """Record what comes of each run in a small file here; runs that are recorded count as done, wherever they ran."""
    jobs: int = 0
    """Runs side by side; 0 starts as many as there are cores for."""
    cores: int = 1
    """Cores of each run, to which its threads are capped; with another number its results differ in their last bits."""
    tries: int = DEFAULT_RULES.tries
    """Times that a run may die in a row without a new checkpoint before it is given up."""
    hang_seconds: float = DEFAULT_RULES.hang_seconds
    """Seconds without a new row of metrics after which a run is killed and tried again."""
    keep_replays: bool = False
    """Keep the replay of finished runs, which only learning on would need."""
    ray: bool = False
    """Carry the runs out as tasks of Ray on this machine (needs the extra `grid`)."""
    address: Annotated[str | None, arg(metavar="ADDRESS")] = None
    """Carry them out on this cluster of Ray, whose nodes all see the root folder."""
    dry_run: bool = False
    """Start nothing: list the runs, measure a first block of them, and estimate time, memory and disk."""


def run(argv: list[str]) -> int:
    """Run what is missing of a grid; FAULT where a run couldn't be brought to its end."""
    args = arguments.parse(Grid, argv, "grid")
    for name, kind in (("jobs", Whole), ("cores", Count), ("tries", Count), ("hang_seconds", Positive)):
        check(name, getattr(args, name), kind)
    spec = spec_of(args)
    root = args.root or Path("runs") / (Path(args.spec).stem if args.spec else "grid")
    if args.dry_run:
        return _dry_run(args, spec, root)
    return _work(args, spec, root)


def _dry_run(args: Grid, spec: GridSpec, root: Path) -> int:
    from statewise.experiments.grid.estimate import lines
    from statewise.experiments.grid.run import estimate_grid

    entries, found = estimate_grid(
        spec, root, jobs=args.jobs, cores=args.cores, keep_replays=args.keep_replays, results=args.results
    )
    print("\n".join(lines(entries, found, args.jobs or usual_jobs(args.cores))))
    return OK


def _work(args: Grid, spec: GridSpec, root: Path) -> int:
    from statewise.experiments.grid.display import display_for
    from statewise.experiments.grid.run import run_grid
    from statewise.training.signals import Interrupted

    try:
        entries = run_grid(
            spec,
            root,
            display_for(sys.stderr.isatty()),
            jobs=args.jobs,
            cores=args.cores,
            rules=Rules(args.tries, args.hang_seconds, args.keep_replays),
            results=args.results,
            executor=_executor(args),
        )
    except Interrupted as error:
        raise Stopped(INTERRUPTED, f"{error}; start the same grid again to go on") from error
    failed = [entry for entry in entries if entry.state == "failed"]
    for entry in failed:
        print(f"failed   {entry.run.name}: {entry.reason}")
    print(f"grid     {root}: {len(entries) - len(failed)} of {len(entries)} runs are finished")
    return FAULT if failed else OK


def _executor(args: Grid) -> Callable[[int, int, Path], Executor]:
    if not args.ray and args.address is None:
        return LocalProcesses
    try:
        from statewise.experiments.grid.on_ray import RayTasks
    except ImportError as error:
        raise ValueError(f"ray: can't be imported ({error}); install statewise[grid], or leave --ray out") from error
    return partial(RayTasks, address=args.address, retries=args.tries)


def spec_of(args: Grid) -> GridSpec:
    """The spec with what the flags replace of it. ValueError where something is missing or can't work."""
    names = ("methods", "tasks", "seeds", "preset")
    changes: dict[str, Any] = {name: value for name in names if (value := getattr(args, name))}
    if args.spec:
        spec = find_spec(args.spec)
        if args.methods:
            kept = {name: fields for name, fields in spec.overrides.items() if name in args.methods}
            known = {field.name for name in args.methods for field in dataclasses.fields(find_method(name).config)}
            fields = {name: value for name, value in spec.fields.items() if name in known}
            changes |= {"labels": {}, "overrides": kept, "fields": fields}
        spec = spec.replace(**changes)
    elif args.methods and args.tasks:
        spec = GridSpec(**changes)
    else:
        raise ValueError("grid: name a SPEC (paper, standard, smoke or a TOML file), or give --methods and --tasks")
    return spec if args.total_steps is None else spec.replace(fields={**spec.fields, "total_steps": args.total_steps})
