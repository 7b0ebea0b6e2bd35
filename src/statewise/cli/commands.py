"""What the commands do; heavy modules are imported where they are needed, so that short commands stay quick."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statewise.cli import arguments
from statewise.cli.status import FAULT, INTERRUPTED, OK, Stopped
from statewise.errors import DivergenceError, EnvironmentFault
from statewise.methods import METHODS
from statewise.spec import RunSpec, make_config
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from statewise.agent import Agent
    from statewise.config import RunConfig
    from statewise.report.progress import Progress
    from statewise.training.loop import RowListener


def train(argv: list[str]) -> int:
    """Train a method on a task."""
    args = arguments.parse_train(argv)
    from statewise.agent import Agent

    constraint = _import_constraint(args.constraint)
    agent = Agent.from_config(args.config, args.task, constraint=constraint, root=args.root)
    return _learn(agent, args, overwrite=args.overwrite)


def resume(argv: list[str]) -> int:
    """Go on with a run from its last checkpoint; a finished one is left alone."""
    from statewise.agent import Agent

    args = arguments.parse(arguments.Resume, argv, "resume")
    run = RunFolder.open(args.run)
    spec = RunSpec.read(run.config_path)
    latest = CheckpointStore(run.checkpoints, keep=1).latest()
    if latest is None:
        print(f"{args.run} has no checkpoint yet: it starts from the beginning")
    elif latest[0] >= spec.config.total_steps:
        print(f"{args.run} is finished at step {latest[0]:,}: there is nothing left to do")
        return OK
    else:
        print(f"{args.run} goes on from step {latest[0]:,} of {spec.config.total_steps:,}")
    return _learn(Agent.open(args.run, constraint=_import_constraint(spec.constraint)), args, overwrite=latest is None)


def evaluate(argv: list[str]) -> int:
    """Play episodes with a trained policy."""
    args = arguments.parse(arguments.Evaluate, argv, "evaluate")
    look = {name: getattr(args, name) for name in ("camera", "show_lidar", "show_cost") if getattr(args, name)}
    if look and args.video is None:
        raise ValueError(f"{', '.join(look)}: is for films; add --video FILE.mp4")
    from statewise.agent import Agent
    from statewise.training.evaluate import EVAL_SEED

    constraint = None
    if args.run.is_dir():
        constraint = _import_constraint(RunSpec.read(RunFolder.open(args.run).config_path).constraint)
    agent = Agent.load(args.run, which=args.checkpoint, constraint=constraint)
    seed = EVAL_SEED if args.seed is None else args.seed
    if args.video is None:
        figures = agent.evaluate(args.episodes, seed, deterministic=not args.sampled)
    else:
        from statewise.report.film import VideoWriter

        with VideoWriter(args.video) as video:
            figures = agent.evaluate(
                args.episodes,
                seed,
                render_mode="rgb_array",
                render_options=look,
                on_step=video.add_frame,
                deterministic=not args.sampled,
            )
    print(json.dumps(figures) if args.json else f"{args.episodes} episodes: {_figures_line(figures)}")
    return OK


def plot(argv: list[str]) -> int:
    """Draw one run, or compare several."""
    args = arguments.parse(arguments.Plot, argv, "plot")
    if not args.runs:
        raise ValueError("runs: name at least one run folder, as in statewise plot RUN")
    from statewise.report.pictures import compare_picture, run_picture

    if len(args.runs) == 1:
        print(run_picture(args.runs[0], args.output))
    else:
        print(compare_picture(args.runs, args.output or Path("comparison.png")))
    return OK


def calibrate(argv: list[str]) -> int:
    """Hold a policy's risk against what comes of many states."""
    args = arguments.parse(arguments.Calibrate, argv, "calibrate")
    for name in ("episodes", "horizon", "stride"):
        if getattr(args, name) < 1:
            raise ValueError(f"{name}: {getattr(args, name)} is not allowed; it must be at least 1")
    if not 0.0 < args.miss_rate < 1.0:
        raise ValueError(f"miss_rate: {args.miss_rate:g} is not allowed; it must be between 0 and 1")
    from statewise.agent import Agent
    from statewise.storage.files import write_text_atomic

    constraint = _import_constraint(RunSpec.read(RunFolder.open(args.run).config_path).constraint)
    agent = Agent.load(args.run, which=args.checkpoint, constraint=constraint)
    report = agent.calibrate(args.episodes, args.seed, args.horizon, args.stride, args.miss_rate)
    path = RunFolder(args.run).calibration_path
    write_text_atomic(path, json.dumps(report, indent=2) + "\n")
    for signal in ("f", "lam"):
        for name, figure in report[signal].items():
            print(f"{signal:<5}{name:<20}{_estimate(figure)}")
    print(f"file     {path}")
    return OK


def export(argv: list[str]) -> int:
    """Write a policy and its risk for NumPy or ONNX Runtime."""
    args = arguments.parse(arguments.Export, argv, "export")
    from statewise.monitor.sources import export_from

    folder = args.run if args.run.is_dir() else args.run.parent
    path = args.output or folder / {"numpy": "exported.safetensors", "onnx": "exported.onnx"}[args.format]
    if not path.parent.is_dir() or path.is_dir() or path == args.run:
        raise ValueError(f"output: {path} is not allowed; it must be a new file, or an older export, in a folder")
    if args.format == "onnx":
        try:
            from statewise.monitor.onnx_graph import write_onnx as write
        except ImportError as error:
            raise ValueError(
                f"format: onnx needs the package onnx ({error}); pip install 'statewise[export]'"
            ) from error
    else:
        from statewise.monitor.export import write_numpy as write
    exported = export_from(args.run, args.checkpoint)
    write(path, exported)
    for name, reason in exported.card["absent"].items():
        print(f"absent   {name}: {reason}")
    print(f"file     {path}")
    return OK


def methods(argv: list[str]) -> int:
    """List the methods."""
    arguments.parse(arguments.Nothing, argv, "methods")
    _print_table({name: method.summary for name, method in METHODS.items()})
    return OK


def tasks(argv: list[str]) -> int:
    """List the native tasks."""
    arguments.parse(arguments.Nothing, argv, "tasks")
    from statewise.envs import TASKS

    _print_table(TASKS)
    return OK


def config(argv: list[str]) -> int:
    """Print a method's configuration."""
    args = arguments.parse(arguments.Config, argv, "config")
    settings = make_config(args.method, args.preset)
    print(json.dumps({"method": settings.method, **settings.to_dict()}, indent=2))
    return OK


# --- training ----------------------------------------------------------------------------------------------------


def _learn(agent: Agent, args: arguments.Reporting, *, overwrite: bool = False) -> int:
    """Train to the end and say where everything is; Stopped where the run can't be brought to its end."""
    from statewise.training.signals import Interrupted

    run = agent.run_path
    assert run is not None
    with ExitStack() as stack:
        listeners = _listeners(args, run, RunSpec(agent.task, agent.config), stack)
        try:
            agent.learn(overwrite=overwrite, progress=_progress(args.quiet), listeners=listeners)
        except Interrupted as error:
            raise Stopped(INTERRUPTED, f"{error}: statewise resume {run}") from error
        except (DivergenceError, EnvironmentFault) as error:
            raise Stopped(FAULT, f"{error}; {_last_checkpoint(run)}") from error
    _conclude(run, agent)
    return OK


def _progress(quiet: bool) -> Progress | None:
    from statewise.report.progress import progress_for

    return None if quiet else progress_for(sys.stderr.isatty())


def _listeners(args: arguments.Reporting, run: Path, spec: RunSpec, stack: ExitStack) -> tuple[RowListener, ...]:
    from statewise.report.loggers import tensorboard_listener, wandb_listener

    chosen = [tensorboard_listener(run)] if args.tensorboard else []
    if args.wandb is not None:
        chosen.append(wandb_listener(args.wandb, spec))
    for listener in chosen:
        stack.callback(listener.close)
    return tuple(chosen)


def _last_checkpoint(run: Path) -> str:
    latest = CheckpointStore(RunFolder(run).checkpoints, keep=1).latest()
    return "there is no checkpoint yet" if latest is None else f"the last checkpoint is {latest[1]}"


def _conclude(run: Path, agent: Agent) -> None:
    """Say what came out: the last evaluation, the picture, and what the full run would take."""
    config = agent.config
    from statewise.report.pictures import run_picture
    from statewise.storage import metrics

    rows = metrics.read(RunFolder(run).metrics_path)
    last = rows.filter(rows["phase"] == "eval").row(-1, named=True)
    print(f"run      {run}")
    print(f"policy   step {last['step']:,}: {_figures_line(last)}, F̂ bias {last['f_bias']:+.2f}")
    print(f"picture  {run_picture(run, frames=_frames(agent))}")
    full = make_config(config.method, "paper")
    hours = _hours(run, config, full)
    if config.total_steps < full.total_steps and hours is not None:
        print(f"the full run (--preset paper, {full.total_steps:,} steps) would take about {hours:.1f} h here")


def _frames(agent: Agent) -> list[Any]:
    """A film strip for the picture; none where nothing can be drawn, as without OpenGL."""
    try:
        return agent.film_strip()
    except Exception:  # whatever drawing comes to, the run is finished and its curves are worth more
        return []


def _hours(run: Path, config: RunConfig, full: RunConfig) -> float | None:
    """Hours that `full` would take at this run's rates of sampling and of gradient steps; None without a rate."""
    import polars as pl

    from statewise.storage import metrics

    rows = metrics.read(RunFolder(run).timing_path)
    steps = rows["step"].diff().fill_null(rows["step"].first())
    learning = rows.select(
        step=pl.col("sample_seconds") / steps,
        update=pl.col("update_seconds") / (steps * config.examples_per_step),
    ).filter(pl.col("update") > 0)
    # The first of these rows holds the compilation.
    medians = learning[min(1, len(learning) - 1) :].median().row(0) if len(learning) else None
    if medians is None:
        return None
    step_seconds, update_seconds = medians
    return full.total_steps * (step_seconds + full.examples_per_step * update_seconds) / 3600


# --- shared ------------------------------------------------------------------------------------------------------


def _figures_line(row: Mapping[str, float]) -> str:
    return (
        f"return {row['return']:.1f} ± {row['return_std']:.1f}, cost {row['cost']:.2f}"
        f" (rate {row['cost_rate']:.4f}), length {row['length']:.0f}"
    )


def _estimate(figure: Any) -> str:
    if isinstance(figure, dict):
        value, low, high = (math.nan if x is None else x for x in figure.values())
        return f"{value:8.3f}   [{low:.3f}, {high:.3f}]"
    return "none: too few violations" if figure is None else f"{figure:8.3f}"


def _print_table(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for name, text in rows.items():
        print(f"{name:<{width}}  {text}")


def _import_constraint(name: str | None) -> Callable[..., Any] | None:
    """The function that "module:function" names."""
    if name is None:
        return None
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"constraint: {name!r} can't be imported ({error}); it must be module:function") from error
    if not callable(found):
        raise ValueError(f"constraint: {name!r} is no function; it must be module:function")
    return found
