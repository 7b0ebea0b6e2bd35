"""Several seeds in one process: each a run with a folder of its own, some of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from statewise.agent import Agent
from statewise.runtime import available_cores
from statewise.training.signals import Interrupted, stop_requests

Learn = Callable[[Agent], object]


def _learn(agent: Agent) -> object:
    return agent.learn()


def learn_seeds(
    agents: Sequence[Agent], *, workers: int | None = None, learn: Learn = _learn
) -> dict[int, BaseException | None]:
    """Train agents that differ in their seeds, in threads; returns what ended each run early, None where nothing did.

    A run gives the bits that it gives alone, as it shares nothing with the others but the processor: XLA's threads are
    the process's (as many as NPROC says, or cores), and this process's other settings. workers: runs at a time, as many
    as there are cores if None. learn: how one is trained, `agent.learn()` unless given. One that fails doesn't stop the
    others. SIGINT, SIGTERM and SIGHUP stop all of them after a checkpoint each; those not begun stay so.
    ValueError for two agents of one seed.
    """
    seeds = [agent.config.seed for agent in agents]
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise ValueError(f"seeds: {twice[0]} is there twice; each seed is a run of its own")
    workers = min(len(agents), available_cores()) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers: {workers} is not allowed; it must be at least 1")
    with stop_requests() as stop_requested, ThreadPoolExecutor(workers, "seed") as pool:

        def run(agent: Agent) -> None:
            if stop_requested():
                raise Interrupted(f"seed {agent.config.seed} was not begun")
            learn(agent)

        futures: dict[int, Future[None]] = {a.config.seed: pool.submit(run, a) for a in agents}
        return {seed: future.exception() for seed, future in futures.items()}
