"""A calibration as JSON values: all figures of λ(x) and F̂(x) over states that were met, fast ones, denser layouts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from statewise.report.calibration import (
    Estimate,
    Floats,
    Labelled,
    conformal_threshold,
    figures,
    missed,
    missed_by_halves,
    over_episodes,
    peaks,
)
from statewise.report.reliability import EDGES, Bin, brier, brier_of_rate, chances, reliability, value_edges


def calibration_report(states: Labelled, miss_rate: float, of_value: bool) -> dict[str, Any]:
    """All figures of one signal: estimates with their intervals, reliability, the bound for `miss_rate`, its number.

    of_value: the signal is F̂, which is also held against Monte Carlo F. alarm_above is None, and the bound promises
    nothing, where `violating_episodes` are too few for the rate.
    """
    found = peaks(states)
    return {
        **_figures(states, chances(states, states, same_episodes=True), of_value),
        "alarm_above": conformal_threshold(found, miss_rate),
        "missed": missed_by_halves(states, miss_rate),
        "violating_episodes": len(found),
    }


def part_report(states: Labelled, fitted: Labelled, of_value: bool, *, same_episodes: bool) -> dict[str, Any]:
    """The figures of other states under the chances that `fitted`, the states met, give; see `reliability.chances`."""
    return _figures(states, chances(fitted, states, same_episodes=same_episodes), of_value)


def dense_report(states: Labelled, fitted: Labelled, miss_rate: float, of_value: bool) -> dict[str, Any]:
    """`part_report` of other episodes, and what the bound from the episodes of `fitted` misses in them."""
    found = peaks(states)
    return {
        **part_report(states, fitted, of_value, same_episodes=False),
        "missed": missed(found, conformal_threshold(peaks(fitted), miss_rate)),
        "violating_episodes": len(found),
    }


def _figures(states: Labelled, chance: Floats, of_value: bool) -> dict[str, Any]:
    violated, episode = states.violated, states.episode
    estimates = {
        **figures(states, of_value),
        "brier": over_episodes(lambda w: brier(chance, violated, w), episode),
        "brier_of_rate": over_episodes(lambda w: brier_of_rate(violated, w), episode),
    }
    report: dict[str, Any] = {name: _estimate(estimate) for name, estimate in estimates.items()}
    report["reliability"] = _bins(reliability(chance, violated.astype(np.float64), episode, EDGES))
    if of_value:
        report["expected"] = _bins(reliability(states.score, states.value, episode, value_edges(states.score)))
    return report


def _bins(bins: Iterable[Bin]) -> list[dict[str, Any]]:
    return [{**each._asdict(), "foretold": _number(each.foretold), "came": _estimate(each.came)} for each in bins]


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return {key: _number(value) for key, value in estimate._asdict().items()}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
