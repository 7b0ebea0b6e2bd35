"""Several seeds in one process: each a run with a folder of its own, some of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from statewise.agent import Agent
from statewise.runtime import available_cores
from statewise.training.signals import Interrupted, stop_requests

if TYPE_CHECKING:
    from statewise.sac.together import Together

Learn = Callable[[Agent], object]


def _learn(agent: Agent) -> object:
    return agent.learn()


def learn_seeds(
    agents: Sequence[Agent], *, workers: int | None = None, batched: bool | None = None, learn: Learn = _learn
) -> dict[int, BaseException | None]:
    """Train agents that differ in their seeds, in threads; returns what ended each run early, None where nothing did.

    A run gives the bits that it gives alone, as it shares nothing with the others but the processor. workers: runs at a
    time, as many as there are cores if None. batched: all runs go on at a time, and their gradient steps are one call
    under `vmap`, which fills an accelerator; each then learns what it learns alone, to rounding. None does so where JAX
    has an accelerator and the methods are on soft actor-critic. learn: how one is trained, `agent.learn()` unless
    given. One that fails doesn't stop the others. SIGINT, SIGTERM and SIGHUP stop all of them after a checkpoint each;
    those not begun stay so. ValueError for two agents of one seed, and for batched ones that can't be.
    """
    seeds = [agent.config.seed for agent in agents]
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise ValueError(f"seeds: {twice[0]} is there twice; each seed is a run of its own")
    together = _together(agents, batched)
    if together is not None:
        workers = len(agents)
    workers = min(len(agents), available_cores()) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers: {workers} is not allowed; it must be at least 1")
    with stop_requests() as stop_requested, ThreadPoolExecutor(workers, "seed") as pool:

        def run(agent: Agent) -> None:
            try:
                if stop_requested():
                    raise Interrupted(f"seed {agent.config.seed} was not begun")
                learn(agent)
            finally:
                if together is not None:
                    together.leave(agent.learner)

        futures: dict[int, Future[None]] = {a.config.seed: pool.submit(run, a) for a in agents}
        return {seed: future.exception() for seed, future in futures.items()}


def _together(agents: Sequence[Agent], batched: bool | None) -> Together | None:
    """What makes the gradient steps of all agents at once, where that is asked for or pays."""
    if batched is False or len(agents) < 2:
        return None
    import jax

    if batched is None and jax.default_backend() == "cpu":
        return None
    from statewise.sac.sac_learner import SacLearner
    from statewise.sac.together import Together

    learners = [agent.learner for agent in agents]
    if batched is None and not all(isinstance(learner, SacLearner) for learner in learners):
        return None
    first = agents[0]
    for agent in agents:
        if not isinstance(agent.learner, SacLearner):
            raise ValueError(f"batched: True is not allowed with {agent.config.method}, which learns by other steps")
        if agent.task != first.task or agent.config.replace(seed=0) != first.config.replace(seed=0):
            differs = f"seed {agent.config.seed} differs from seed {first.config.seed} in more than its seed"
            raise ValueError(f"batched: True is not allowed, as {differs}")
    return Together([learner for learner in learners if isinstance(learner, SacLearner)])
