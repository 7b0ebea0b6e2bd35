"""States that a policy came to, rated by its networks, with what came of each of them: what a calibration looks at."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.envs import SafeVectorEnv
from statewise.policy import Policy
from statewise.report.calibration import Labelled
from statewise.storage.replay import stored_rows
from statewise.training.diagnostics import Experience, monte_carlo
from statewise.training.evaluate import play_episodes

CHUNK = 1024
"""States that are rated at a time, so that nothing is compiled anew."""
ROWS_AT_ONCE = 100_000
"""Of a replay's file."""


class Fast(NamedTuple):
    """What counts as fast: entries of the observation whose size is a speed, and the speed above which it does, m/s."""

    entries: tuple[int, ...]
    above: float

    def of(self, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether states are fast: [..., obs] -> [...]."""
        return speed(obs, self.entries) > self.above


class Rated(NamedTuple):
    """States [n] with both signals and what came of them; the fields of `Labelled` besides, which says what they are.

    regular: it is one of every so many steps. fast: it is faster than asked.
    """

    episode: NDArray[np.int64]
    lam: NDArray[np.float32]
    f: NDArray[np.float32]
    value: NDArray[np.float64]
    violated: NDArray[np.bool_]
    leads: NDArray[np.bool_]
    regular: NDArray[np.bool_]
    fast: NDArray[np.bool_]

    def by(self, signal: Literal["lam", "f"], which: NDArray[np.bool_]) -> Labelled:
        """Those of the states [n] by one signal."""
        score = self.lam if signal == "lam" else self.f
        return Labelled(self.episode, score, self.value, self.violated, self.leads).of(which)


def label_states(
    policy: Policy,
    env: SafeVectorEnv,
    rounds: int,
    seed: int,
    horizon: int,
    stride: int,
    fast: Fast | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> Rated:
    """Every `stride`-th state of `rounds` episodes in each environment, and every fast one, by λ(x) and by F̂(x).

    The sampled policy plays, which F̂ is of. Left out are states whose episode was cut off within the horizon without
    a violation, of which nobody knows. horizon: steps. advance: told of the steps taken in all environments so far; an
    episode that ends early counts as whole.
    """
    parts: list[Rated] = []
    ticks = itertools.count(1)
    whole = env.num_envs * env.max_episode_steps
    for number in range(rounds):
        experience, first, steps = Experience(), number * env.num_envs, itertools.count()

        def act(obs: NDArray[Any], number: int = number, steps: Iterator[int] = steps) -> NDArray[Any]:
            advance(number * whole + next(steps) * env.num_envs)
            return policy.acting.explore(obs, next(ticks))

        play_episodes(env, act, 1, seed + first, experience=experience, span=policy.about.span)
        advance((number + 1) * whole)
        parts.append(_label(policy, experience, first, horizon, stride, fast))
    return Rated(*map(np.concatenate, zip(*parts, strict=True)))


def training_speed(replay: Path, entries: tuple[int, ...], share: float) -> float | None:
    """The speed, m/s, that a share of the states in a replay's file is below; None where it holds none."""
    layout, rows = stored_rows(replay)
    if not len(rows):
        return None
    starts = range(0, len(rows), ROWS_AT_ONCE)
    speeds = [speed(layout.unpack(rows[start : start + ROWS_AT_ONCE]).obs, entries) for start in starts]
    return float(np.quantile(np.concatenate(speeds), share))


def speed(obs: NDArray[Any], entries: tuple[int, ...]) -> NDArray[np.float64]:
    """The size of these entries: [..., obs] -> [...]."""
    return np.linalg.norm(np.asarray(obs[..., list(entries)], np.float64), axis=-1)


def _label(policy: Policy, experience: Experience, first: int, horizon: int, stride: int, fast: Fast | None) -> Rated:
    """The first episode of each environment, which are numbered from `first`."""
    steps = experience.steps()
    ends, costly = steps.terminated | steps.truncated, steps.cost > 0.0
    violated = _ahead(costly, ends) < horizon
    leads = _ahead(costly & ~_earlier(costly, ends), ends) < horizon
    known = violated | (_ahead(ends, ends) >= horizon) | _ends_truly(steps.terminated, ends)
    # Environments that were done sooner have gone on.
    known &= np.cumsum(ends, axis=0) - ends == 0
    regular = np.zeros_like(known)
    regular[::stride] = True
    quick = np.zeros_like(known) if fast is None else fast.of(steps.obs)
    kept = known & (regular | quick)
    episode = first + np.broadcast_to(np.arange(kept.shape[1]), kept.shape)
    came = monte_carlo(policy.acting, steps)[1][kept]
    rest = (field[kept] for field in (violated, leads, regular, quick))
    return Rated(episode[kept], *_rate(policy, steps.obs[kept]), came, *rest)


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
