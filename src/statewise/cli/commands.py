"""What the commands do; heavy modules are imported where they are needed, so that short commands stay quick."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statewise.cli import arguments, named
from statewise.cli.status import FAULT, INTERRUPTED, OK, Stopped
from statewise.config import OnPolicyConfig, RunConfig, SacConfig
from statewise.errors import DivergenceError, EnvironmentFault
from statewise.methods import METHODS, metric_columns
from statewise.runtime import spare_threads
from statewise.spec import RunSpec, make_config
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.run_files import RunFiles
from statewise.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from statewise.agent import Agent
    from statewise.report.progress import Progress
    from statewise.training.loop import RowListener


def train(argv: list[str]) -> int:
    """Train a method on a task."""
    args = arguments.parse_train(argv)
    if args.seeds:
        from statewise.cli.seeds import train_seeds

        return train_seeds(args)
    if args.batch_seeds is not None:
        raise ValueError(f"batch_seeds: {args.batch_seeds} is not allowed without --seeds, which names what to batch")
    spare_threads_for(args.config)
    return _learn(make_agent(args, args.config), args, overwrite=args.overwrite)


def spare_threads_for(config: RunConfig) -> None:
    """Give XLA one thread where a run is as fast so; before JAX starts."""
    if isinstance(config, SacConfig):
        spare_threads(config.precision, config.batch_size, max(config.hidden))


def make_agent(args: arguments.Train[Any], config: RunConfig) -> Agent:
    """The agent that `train` was asked for, with that configuration."""
    from statewise.agent import Agent

    named.look_in_working_folder(args.task, args.constraint)
    return Agent.from_config(
        config,
        args.task,
        env_kwargs=arguments.parse_object("env_kwargs", args.env_kwargs),
        max_episode_steps=args.max_episode_steps,
        constraint=args.constraint,
        root=args.root,
    )


def resume(argv: list[str]) -> int:
    """Go on with a run from its last checkpoint; of a finished one only what a kill left undone is made."""
    from statewise.agent import Agent

    args = arguments.parse(arguments.Resume, argv, "resume")
    named.allow(args.allow_module)
    run = RunFolder.open(args.run)
    spec = RunSpec.read(run.config_path)
    total = _total_steps(args.total_steps, spec.config)
    latest = CheckpointStore(run.checkpoints, keep=1).latest()
    spare_threads_for(spec.config)
    agent = Agent.open(args.run)
    if latest is not None and latest[0] >= total:
        return _make_up(agent, run, latest)
    if latest is None:
        print(f"{args.run} has no checkpoint yet: it starts from the beginning")
    else:
        print(f"{args.run} goes on from step {latest[0]:,} of {total:,}")
    return _learn(agent, args, overwrite=latest is None, total_steps=total)


def evaluate(argv: list[str]) -> int:
    """Play episodes with a trained policy."""
    args = arguments.parse(arguments.Evaluate, argv, "evaluate")
    named.allow(args.allow_module)
    look = {name: getattr(args, name) for name in ("camera", "size", "show_lidar", "show_cost") if getattr(args, name)}
    if look and args.video is None:
        raise ValueError(f"{', '.join(look)}: is for films; add --video FILE.mp4")
    from statewise.agent import Agent
    from statewise.training.evaluate import EVAL_SEED

    agent = Agent.load(args.run, which=args.checkpoint)
    seed = EVAL_SEED if args.seed is None else args.seed
    episodes = args.episodes if args.episodes is not None else 10 if args.video is None else 1
    if args.video is None:
        figures = agent.evaluate(episodes, seed, deterministic=not args.sampled)
    else:
        from statewise.report.film import VideoWriter

        with VideoWriter(args.video) as video:
            figures = agent.evaluate(
                episodes,
                seed,
                render_mode="rgb_array",
                render_options=look,
                on_step=video.add_frame,
                deterministic=not args.sampled,
            )
    print(json.dumps(figures) if args.json else f"{episodes} episodes: {_figures_line(figures)}")
    return OK


def grid(argv: list[str]) -> int:
    """Run what is missing of a grid."""
    from statewise.cli.grid import run

    return run(argv)


def plot(argv: list[str]) -> int:
    """Draw one run, or compare several."""
    args = arguments.parse(arguments.Plot, argv, "plot")
    named.allow(args.allow_module)
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
    from statewise.cli.calibrate import calibrate as hold

    return hold(argv)


def export(argv: list[str]) -> int:
    """Write a policy and its risk for NumPy or ONNX Runtime."""
    from statewise.cli.export import export as write

    return write(argv)


def report(argv: list[str]) -> int:
    """Write many runs as one page for a browser."""
    from statewise.cli.report import report as write

    return write(argv)


def risk(argv: list[str]) -> int:
    """Draw where a policy is at risk, and say it in numbers."""
    from statewise.cli.risk import risk as draw

    return draw(argv)


def statistics(argv: list[str]) -> int:
    """Summarise many runs with intervals, and draw them."""
    from statewise.cli.statistics import statistics as summarise

    return summarise(argv)


def verify(argv: list[str]) -> int:
    """Check the paper's theorems in numbers."""
    from statewise.cli.verify import verify as check

    return check(argv)


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
    named.look_in_working_folder(args.method)
    settings = make_config(args.method, args.preset)
    print(json.dumps({"method": settings.method, **settings.to_dict()}, indent=2))
    return OK


# --- training ----------------------------------------------------------------------------------------------------


def _total_steps(wanted: int | None, config: RunConfig) -> int:
    """Where a resumed run is to end; ValueError where it would learn nothing on the way there."""
    if wanted is None or wanted == config.total_steps:
        return config.total_steps
    if wanted < 1:
        raise ValueError(f"total_steps: {wanted} is not allowed; it must be a whole number of at least 1")
    if wanted > config.total_steps and isinstance(config, OnPolicyConfig):
        raise ValueError(
            f"total_steps: {wanted} is not allowed; the learning rates of {config.method} are 0 behind the"
            f" {config.total_steps} steps of its configuration: train a run of its own with --total-steps {wanted}"
        )
    if wanted > config.total_steps and isinstance(config, SacConfig) and config.optimizer == "rad" and not config.zeta:
        print(f"RAD's N stays that of {config.total_steps:,} steps: behind them its ζ is 1")
    return wanted


def _make_up(agent: Agent, run: RunFolder, latest: tuple[int, Path]) -> int:
    """Make what a kill between the last checkpoint and the end of the command left undone."""
    config = agent.config
    with run, RunFiles(run, metric_columns(config.method), config.checkpoints_kept) as files:
        saved = files.latest()
        settled = saved is not None and files.settle(saved)
    picture = run.picture_path
    drawn = picture.exists() and picture.stat().st_mtime_ns >= latest[1].stat().st_mtime_ns
    left = "there is nothing left to do" if drawn and not settled else "what was still missing is made"
    print(f"{run.path} is finished at step {latest[0]:,}: {left}")
    if not drawn:
        conclude(agent)
    return OK


def is_finished(agent: Agent) -> bool:
    """Whether an agent's run has come to its end."""
    if agent.run_path is None:
        return False
    latest = CheckpointStore(RunFolder(agent.run_path).checkpoints, keep=1).latest()
    return latest is not None and latest[0] >= agent.config.total_steps


def _learn(agent: Agent, args: arguments.Reporting, *, overwrite: bool = False, total_steps: int | None = None) -> int:
    """Train to the end and say where everything is; Stopped where the run can't be brought to its end."""
    from statewise.training.signals import Interrupted

    run = agent.run_path
    assert run is not None
    with ExitStack() as stack:
        listeners = listeners_of(args, agent, stack)
        try:
            agent.learn(total_steps, overwrite=overwrite, progress=_progress(args.quiet), listeners=listeners)
        except Interrupted as error:
            raise Stopped(INTERRUPTED, f"{error}: {_resume_line(run)}") from error
        except (DivergenceError, EnvironmentFault) as error:
            raise Stopped(FAULT, f"{error}; {last_checkpoint(run)}") from error
    conclude(agent)
    return OK


def _resume_line(run: Path) -> str:
    """The command that goes on with a run, in another process too."""
    modules = RunSpec.read(RunFolder(run).config_path).modules
    return shlex.join(
        ["statewise", "resume", str(shown(run)), *(part for m in modules for part in ("--allow-module", m))]
    )


def _progress(quiet: bool) -> Progress | None:
    from statewise.report.progress import progress_for

    return None if quiet else progress_for(sys.stderr.isatty())


def listeners_of(args: arguments.Reporting, agent: Agent, stack: ExitStack) -> tuple[RowListener, ...]:
    """The loggers that were asked for, open until the stack ends."""
    from statewise.report.loggers import tensorboard_listener, wandb_listener

    assert agent.run_path is not None
    chosen = [tensorboard_listener(agent.run_path)] if args.tensorboard else []
    if args.wandb is not None:
        spec = RunSpec(agent.task, agent.config, agent.policy.about.environment)
        chosen.append(wandb_listener(args.wandb, spec))
    for listener in chosen:
        stack.callback(listener.close)
    return tuple(chosen)


def last_checkpoint(run: Path) -> str:
    """Where a run's newest checkpoint is, in words."""
    latest = CheckpointStore(RunFolder(run).checkpoints, keep=1).latest()
    return "there is no checkpoint yet" if latest is None else f"the last checkpoint is {shown(latest[1])}"


def conclude(agent: Agent) -> None:
    """Say what came out: the last evaluation, the picture, and what the full run would take."""
    run, config = agent.run_path, agent.config
    assert run is not None
    from statewise.report.pictures import run_picture
    from statewise.storage import metrics

    rows = metrics.read(RunFolder(run).metrics_path)
    last = rows.filter(rows["phase"] == "eval").row(-1, named=True)
    print(f"run      {shown(run)}")
    print(f"policy   step {last['step']:,}: {_figures_line(last)}, F̂ bias {last['f_bias']:+.2f}")
    print(f"picture  {shown(run_picture(run, frames=_frames(agent)))}")
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


def shown(path: Path) -> Path:
    """A path as one would type it: without the working folder where it lies below that."""
    try:
        return path.relative_to(Path.cwd())
    except (OSError, ValueError):
        return path


# --- shared ------------------------------------------------------------------------------------------------------


def _figures_line(row: Mapping[str, float]) -> str:
    return (
        f"return {row['return']:.1f} ± {row['return_std']:.1f}, cost {row['cost']:.2f}"
        f" (rate {row['cost_rate']:.4f}), length {row['length']:.0f}"
    )


def _print_table(rows: Mapping[str, str]) -> None:
    width = max(map(len, rows))
    for name, text in rows.items():
        print(f"{name:<{width}}  {text}")
