"""How far λ(x) and F̂(x) can be trusted, in numbers: against what came of many states, with intervals over episodes.

States of one episode resemble each other, so that episodes are what is resampled and what is exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]
RESAMPLES = 200
INTERVAL = (0.025, 0.975)


class Labelled(NamedTuple):
    """States [n] under a policy, and what came of them.

    episode: which one it is of. score: λ(x) or F̂(x). value: Monte Carlo of F. violated: whether a step within the
    horizon costs. leads: whether the episode's first such step is within the horizon.
    """

    episode: NDArray[np.int64]
    score: Floats
    value: Floats
    violated: NDArray[np.bool_]
    leads: NDArray[np.bool_]

    def of(self, which: NDArray[np.bool_]) -> Labelled:
        """Some of the states [n]."""
        rest = (self.violated[which], self.leads[which])
        return Labelled(self.episode[which], self.score[which], self.value[which], *rest)


class Estimate(NamedTuple):
    """A figure and its 95 % interval, from resampled episodes; NaN where the states have no answer."""

    value: float
    low: float
    high: float


# --- figures of weighted states --------------------------------------------------------------------------------------


def ranks(x: Floats, weight: Floats) -> Floats:
    """Weight below each value plus half the weight at it: [n], [n] -> [n]; with weights 1 mid-ranks minus 1/2."""
    _, place = np.unique(x, return_inverse=True)
    at = np.bincount(place, weight)
    return (np.cumsum(at) - 0.5 * at)[place]


def auroc(score: Floats, positive: NDArray[np.bool_], weight: Floats) -> float:
    """The chance that a positive state scores above a negative one, ties half: [n] each; NaN with one kind alone."""
    p, n = weight * positive, weight * ~positive
    with np.errstate(invalid="ignore"):
        return float((p * ranks(score, n)).sum() / (p.sum() * n.sum()))


def average_precision(score: Floats, positive: NDArray[np.bool_], weight: Floats) -> float:
    """Mean of the precision over the positives, states of one score taken together; NaN without positives."""
    _, place = np.unique(-score, return_inverse=True)
    hits, all_ = np.bincount(place, weight * positive), np.bincount(place, weight)
    precision = np.cumsum(hits) / np.maximum(np.cumsum(all_), 1e-300)
    with np.errstate(invalid="ignore"):
        return float((hits * precision).sum() / hits.sum())


def spearman(x: Floats, y: Floats, weight: Floats) -> float:
    """Correlation of ranks: [n] each; NaN where one of them is constant."""
    a, b = (r - np.average(r, weights=weight) for r in (ranks(x, weight), ranks(y, weight)))
    # Sums, not products of vectors: BLAS shares those among threads, which wait for each other on a busy machine.
    with np.errstate(invalid="ignore"):
        return float((weight * a * b).sum() / math.sqrt((weight * a * a).sum() * (weight * b * b).sum()))


# --- over episodes ---------------------------------------------------------------------------------------------------


def over_episodes(figure: Callable[[Floats], float], episode: NDArray[np.int64], seed: int = 0) -> Estimate:
    """A figure of weighted states, weight [n] -> number, with its interval from episodes drawn with replacement."""
    _, place = np.unique(episode, return_inverse=True)
    count, random = int(place.max()) + 1, np.random.default_rng(seed)
    drawn = [figure(random.multinomial(count, np.full(count, 1.0 / count))[place]) for _ in range(RESAMPLES)]
    drawn = [value for value in drawn if math.isfinite(value)]
    low, high = np.quantile(drawn, INTERVAL) if drawn else (math.nan, math.nan)
    return Estimate(figure(np.ones(len(place))), float(low), float(high))


def figures(states: Labelled, of_value: bool) -> dict[str, Estimate]:
    """AUROC, average precision and rate of violations, Spearman's correlation with F and, `of_value`, the bias of F̂."""
    score, value, violated = states.score, states.value, states.violated
    chosen: dict[str, Callable[[Floats], float]] = {
        "auroc": lambda w: auroc(score, violated, w),
        "average_precision": lambda w: average_precision(score, violated, w),
        "violated": lambda w: float(np.average(violated, weights=w)),
        "spearman": lambda w: spearman(score, value, w),
    }
    if of_value:
        chosen["bias"] = lambda w: float(np.average(score - value, weights=w))
    return {name: over_episodes(figure, states.episode) for name, figure in chosen.items()}


def conformal_threshold(peaks: Floats, miss_rate: float) -> float | None:
    """The bound above which to raise an alarm so that at most a share `miss_rate` of violations comes without one.

    peaks [n]: of each episode with a violation, the highest score within the horizon before its first. For the n + 1st
    episode, exchangeable with these, the chance that its peak isn't above the bound is at most `miss_rate`, over
    the draw of all of them. None where n is too small: it takes 1/miss_rate − 1 episodes. ValueError outside of (0, 1).
    """
    if not 0.0 < miss_rate < 1.0:
        raise ValueError(f"miss_rate: {miss_rate!r} is not allowed; it must be between 0 and 1")
    place = math.floor(miss_rate * (len(peaks) + 1) + 1e-9)
    # An alarm needs a score above its bound, so the bound is the next number below the peak.
    return None if place < 1 else float(np.nextafter(np.sort(np.asarray(peaks, np.float64))[place - 1], -np.inf))


def peaks(states: Labelled) -> Floats:
    """Of each episode with a violation, the highest score within the horizon before its first."""
    episode, score = states.episode[states.leads], states.score[states.leads]
    return np.array([score[episode == one].max() for one in np.unique(episode)])


def missed(found: Floats, bound: float | None) -> float | None:
    """Share of `peaks` that an alarm above `bound` would have missed; None without peaks or bound."""
    return None if bound is None or not len(found) else float(np.mean(found <= bound))


def missed_by_halves(states: Labelled, miss_rate: float) -> float | None:
    """What bounds for `miss_rate` miss where they aren't from: each half of the episodes under the other's bound.

    Episodes with an even number are one half. None where a half has too few violations.
    """
    halves = [peaks(states.of(states.episode % 2 == half)) for half in (0, 1)]
    shares = [missed(halves[1 - half], conformal_threshold(halves[half], miss_rate)) for half in (0, 1)]
    counts = [len(halves[1]), len(halves[0])]
    if shares[0] is None or shares[1] is None:
        return None
    return (shares[0] * counts[0] + shares[1] * counts[1]) / sum(counts)
