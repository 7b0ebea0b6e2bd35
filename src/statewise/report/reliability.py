"""Whether what λ(x) and F̂(x) foretell is right in size: chances of a violation, their Brier score, reliability bins.

Neither is a chance, so one is made of it: a non-decreasing curve, fitted to one half of the episodes, gives the chances
of the other half's states.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from statewise.report.calibration import Estimate, Floats, Labelled, over_episodes

EDGES = np.linspace(0.0, 1.0, 11)
"""Of the bins of chances."""
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Of the states: the quantiles of F̂ that are the edges of its bins."""
_NOTHING = Estimate(float("nan"), float("nan"), float("nan"))


class Curve(NamedTuple):
    """A non-decreasing function of a signal: linear between ascending scores [n], level beyond them."""

    score: Floats
    chance: Floats

    def __call__(self, score: Floats) -> Floats:
        """Chances at scores, [m] -> [m]."""
        return np.interp(score, self.score, self.chance)


class Bin(NamedTuple):
    """States whose foretold value is in [low, high): how many, what was foretold on average, and what came of them.

    foretold is NaN, and came too, where there are none; the interval is NaN where they are all of one episode.
    """

    low: float
    high: float
    states: int
    foretold: float
    came: Estimate


def isotonic(score: Floats, event: NDArray[np.bool_]) -> Curve:
    """The non-decreasing curve nearest to what came, in squares: [n], [n], at least one state."""
    scores, place = np.unique(score, return_inverse=True)
    count = np.bincount(place)
    rate = np.bincount(place, event) / count
    return Curve(scores, isotonic_regression(rate, weights=count).x)


def chances(fitted: Labelled, states: Labelled, *, same_episodes: bool) -> Floats:
    """Chances of a violation [n] of `states` by a curve fitted to what came of others.

    same_episodes: both are of the same episodes, so that the states of those with an even number get the curve of those
    with an odd one and the other way round; NaN where there are none. Else all of `fitted` gives one curve.
    """
    if not same_episodes:
        return isotonic(fitted.score, fitted.violated)(states.score)
    found = np.full(len(states.score), np.nan)
    for half in (0, 1):
        others, here = fitted.episode % 2 != half, states.episode % 2 == half
        if others.any():
            found[here] = isotonic(fitted.score[others], fitted.violated[others])(states.score[here])
    return found


def brier(chance: Floats, event: NDArray[np.bool_], weight: Floats) -> float:
    """Mean squared distance of the chances from what came, 1 or 0: [n] each; 0 is perfect."""
    return mean((chance - event) ** 2, weight)


def brier_of_rate(event: NDArray[np.bool_], weight: Floats) -> float:
    """The Brier score of one who knows the rate of the events and always says that: [n] each."""
    rate = mean(event, weight)
    return rate * (1.0 - rate)


def mean(values: Any, weight: Floats) -> float:
    """Weighted mean, [n] each; NaN without weight."""
    total = float(weight.sum())
    return float((weight * values).sum()) / total if total else float("nan")


def reliability(foretold: Floats, came: Floats, episode: NDArray[np.int64], edges: Floats) -> list[Bin]:
    """What came of states [n], by bins of what was foretold; intervals are over the episodes in a bin.

    edges [bins + 1], ascending; the last bin has its upper edge too, and states beyond the edges, or NaN, are left out.
    """
    bins: list[Bin] = []
    for number, (low, high) in enumerate(itertools.pairwise(edges)):
        last = number == len(edges) - 2
        here = (foretold >= low) & ((foretold <= high) if last else (foretold < high))
        bins.append(_bin(float(low), float(high), foretold[here], came[here], episode[here]))
    return bins


def _bin(low: float, high: float, foretold: Floats, came: Floats, episode: NDArray[np.int64]) -> Bin:
    if not len(came):
        return Bin(low, high, 0, float("nan"), _NOTHING)
    estimate = over_episodes(lambda w: mean(came, w), episode)
    if episode.min() == episode.max():
        estimate = _NOTHING._replace(value=estimate.value)
    return Bin(low, high, len(came), float(foretold.mean()), estimate)


def value_edges(score: Floats) -> Floats:
    """Edges of bins for F̂ [n]: quantiles at SHARES, those that coincide once; two where all are alike."""
    edges = np.unique(np.quantile(score, SHARES))
    return edges if len(edges) > 1 else np.repeat(edges, 2)
