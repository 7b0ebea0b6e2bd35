"""States that a policy came to, rated by its networks, with what came of each of them: what a calibration looks at."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from statewise.envs import SafeVectorEnv
from statewise.policy import Policy
from statewise.report.calibration import Labelled
from statewise.training.diagnostics import Experience, monte_carlo
from statewise.training.evaluate import play_episodes

CHUNK = 1024
"""States that are rated at a time, so that nothing is compiled anew."""


def label_states(
    policy: Policy, env: SafeVectorEnv, rounds: int, seed: int, horizon: int, stride: int
) -> tuple[Labelled, Labelled]:
    """Every `stride`-th state of `rounds` episodes in each environment, by λ(x) and by F̂(x).

    The sampled policy plays, which F̂ is of. Left out are states whose episode was cut off within the horizon without
    a violation, of which nobody knows. horizon: steps.
    """
    parts: list[tuple[Labelled, Labelled]] = []
    ticks = itertools.count(1)
    for number in range(rounds):
        experience, first = Experience(), number * env.num_envs
        play_episodes(
            env,
            lambda obs: policy.acting.explore(obs, next(ticks)),
            1,
            seed + first,
            experience=experience,
            span=policy.about.span,
        )
        parts.append(_label(policy, experience, first, horizon, stride))
    lam, f = (Labelled(*map(np.concatenate, zip(*signal, strict=True))) for signal in zip(*parts, strict=True))
    return lam, f


def _label(policy: Policy, experience: Experience, first: int, horizon: int, stride: int) -> tuple[Labelled, Labelled]:
    """The first episode of each environment, which are numbered from `first`."""
    steps = experience.steps()
    ends, costly = steps.terminated | steps.truncated, steps.cost > 0.0
    violated = _ahead(costly, ends) < horizon
    leads = _ahead(costly & ~_earlier(costly, ends), ends) < horizon
    known = violated | (_ahead(ends, ends) >= horizon) | _ends_truly(steps.terminated, ends)
    # Environments that were done sooner have gone on.
    kept = known & (np.cumsum(ends, axis=0) - ends == 0)
    kept[np.arange(len(kept)) % stride > 0] = False
    episode = first + np.broadcast_to(np.arange(kept.shape[1]), kept.shape)
    rest = (monte_carlo(policy.acting, steps)[1][kept], violated[kept], leads[kept])
    lam, f = _rate(policy, steps.obs[kept])
    return Labelled(episode[kept], lam, *rest), Labelled(episode[kept], f, *rest)


def _ahead(event: NDArray[np.bool_], ends: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Steps until the next event of the same episode, 0 at it, very many where none comes: [T, N] -> [T, N]."""
    far = np.iinfo(np.int64).max // 2
    ahead, steps = np.full(event.shape[1], far), np.empty(event.shape, np.int64)
    for t in reversed(range(len(event))):
        ahead = np.where(event[t], 0, np.where(ends[t], far, ahead + 1))
        steps[t] = ahead
    return steps


def _earlier(event: NDArray[np.bool_], ends: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the event occurred at an earlier step of the same episode: [T, N] -> [T, N]."""
    before, since = np.zeros(event.shape[1], bool), np.empty_like(event)
    for t in range(len(event)):
        since[t] = before
        before = (before | event[t]) & ~ends[t]
    return since


def _ends_truly(terminated: NDArray[np.bool_], ends: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the episode that a state belongs to ends in a terminal state: [T, N] -> [T, N]."""
    return _ahead(terminated & ends, ends) == _ahead(ends, ends)


def _rate(policy: Policy, obs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    padded = np.concatenate([obs, np.zeros((-len(obs) % CHUNK, obs.shape[1]), obs.dtype)])
    rated = [policy.acting.risk(padded[start : start + CHUNK]) for start in range(0, len(padded), CHUNK)]
    lam, f = (np.concatenate(column)[: len(obs)] for column in zip(*rated, strict=True))
    return lam, f
