"""Evaluation: a policy on raw reward and raw cost, the same number of episodes in every environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.actions import Span, rescale_action
from statewise.envs import SafeVectorEnv
from statewise.training.collect import episode_metrics, require_actions
from statewise.training.diagnostics import Experience

EVAL_SEED = 1_000_003
"""Evaluation environments are seeded from here on, whatever the run's seed, so that all meet the same episodes."""


def play_episodes(
    env: SafeVectorEnv,
    act: Callable[[NDArray[Any]], NDArray[Any]],
    episodes: int,
    seed: int = EVAL_SEED,
    on_step: Callable[[SafeVectorEnv], None] | None = None,
    experience: Experience | None = None,
    span: Span | None = None,
) -> NDArray[np.float64]:
    """Play `episodes` in each environment; rows (return, cost, length), environment by environment: [N·episodes, 3].

    The number per environment is fixed, so that short episodes don't crowd out long ones. `on_step` is called at every
    state of the episodes of environment 0 that are counted, the first and the last of each included, say to take a
    frame; `experience` takes in all steps. span: what the actions of `act`, in [−1, 1], span; the environment's if
    None.
    """
    obs, _ = env.reset(seed=seed)
    span = env.single_action_space if span is None else span
    running = np.zeros((3, env.num_envs))
    finished: list[list[NDArray[np.float64]]] = [[] for _ in range(env.num_envs)]

    def show(done: NDArray[np.bool_] | None = None) -> None:
        if on_step is not None and len(finished[0]) < episodes and (done is None or done[0]):
            on_step(env)

    env.before_restart = None if on_step is None else show
    show()
    while any(len(done) < episodes for done in finished):
        before, actions = obs, act(obs)
        require_actions(actions, obs)
        obs, reward, terminated, truncated, infos = env.step(rescale_action(actions, span))
        if experience is not None:
            experience.add(before, reward, terminated, truncated, infos)
        running += (reward, infos["cost"], np.ones_like(reward))
        for i in np.flatnonzero(terminated | truncated):
            if len(finished[i]) < episodes:
                finished[i].append(running[:, i].copy())
            running[:, i] = 0.0
        show()
    env.before_restart = None
    return np.array([row for environment in finished for row in environment])


def evaluation_metrics(episodes: NDArray[np.float64]) -> dict[str, float]:
    """Columns of an "eval" row from the rows of `play_episodes`."""
    metrics = episode_metrics(episodes)
    return {**metrics, "cost_rate": float(episodes[:, 1].sum() / episodes[:, 2].sum())}
