"""`statewise train … --seeds`: several seeds at a time, each a run of its own."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import TYPE_CHECKING, Any

from statewise.cli import arguments, commands
from statewise.cli.status import FAULT, INTERRUPTED, OK, verdict
from statewise.runtime import available_cores, steps_share_a_thread
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from statewise.agent import Agent
    from statewise.report.progress import Progress


def train_seeds(args: arguments.Train[Any]) -> int:
    """Train the seeds, or go on with those that are there; the worst of their statuses."""
    if args.wandb is not None:
        raise ValueError("wandb: can't hold several runs in one process; leave out --seeds, or --wandb")
    workers = min(len(args.seeds), available_cores())
    cores = max(1, available_cores() // workers)
    if not args.batch_seeds:
        commands.spare_threads_for(args.config)
    from statewise.cli.seed_process import learn_apart
    from statewise.seeds import learn_seeds

    agents = [_agent(args, seed, cores) for seed in args.seeds]
    apart = steps_share_a_thread() and not args.batch_seeds and all(map(_is_recorded, agents))
    missing = [agent for agent in agents if args.overwrite or not commands.is_finished(agent)]
    with _progress(args.quiet, [f"seed {a.config.seed}" for a in missing]) as shown:
        by_seed = dict(zip((a.config.seed for a in missing), shown, strict=True))

        def learn(agent: Agent) -> None:
            progress = by_seed[agent.config.seed]
            if apart:
                learn_apart(agent, progress, overwrite=args.overwrite, tensorboard=args.tensorboard)
                return
            with ExitStack() as stack:
                listeners = commands.listeners_of(args, agent, stack)
                agent.learn(overwrite=args.overwrite, progress=progress, listeners=listeners)

        errors = learn_seeds(missing, workers=workers, batched=args.batch_seeds, learn=learn)
    return max((_conclude(agent, errors.get(agent.config.seed)) for agent in agents), default=OK)


def _agent(args: arguments.Train[Any], seed: int, cores: int) -> Agent:
    """The agent of a seed: a new one, or that of the run that is there."""
    from statewise.agent import Agent

    threads = cores if args.config.threads == 0 else min(cores, args.config.threads)
    agent = commands.make_agent(args, dataclasses.replace(args.config, seed=seed, threads=threads))
    assert agent.run_path is not None
    begun = CheckpointStore(RunFolder(agent.run_path).checkpoints, keep=1).latest() is not None
    return Agent.open(agent.run_path) if begun and not args.overwrite else agent


def _is_recorded(agent: Agent) -> bool:
    """Whether another process can make the agent's environment from what its run records."""
    environment = agent.policy.about.environment
    return environment is None or not environment.unrecorded


def _progress(quiet: bool, names: Sequence[str]) -> AbstractContextManager[Sequence[Progress | None]]:
    from statewise.report.progress import progress_of_many

    return nullcontext([None] * len(names)) if quiet else progress_of_many(names, sys.stderr.isatty())


def _conclude(agent: Agent, error: BaseException | None) -> int:
    """Say what became of a seed; its status."""
    if error is None:
        from statewise.agent import Agent

        assert agent.run_path is not None
        commands.conclude(Agent.open(agent.run_path))
        return OK
    status, message = verdict(error)
    if status in (FAULT, INTERRUPTED) and agent.run_path is not None:
        message = f"{message}; {commands.last_checkpoint(agent.run_path)}"
    print(f"statewise: seed {agent.config.seed}: {message}", file=sys.stderr)
    return status
