"""Options of SAC-ALaM that don't go together: every pair of them either trains or is refused."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from gymnasium.spaces import Box
from support.small_runs import TINY_ALAM, folder_of

from statewise import Agent
from statewise.config import AlamConfig
from statewise.sac.mechanism import CostTargetInputs
from statewise.sac.mechanisms.targets import cost_target
from statewise.spec import make_config
from statewise.storage import metrics

OPTIONS: dict[str, tuple[Any, ...]] = {
    "embedding": ("none", "powers", "quantiles"),
    "proximity": (None, (1,)),
    "observation_normalization": (False, True),
    "action_span": ("space", "effective"),
    "gamma": (0.0, 1.0),
    "binary_cost": (True, False),
    "cost_threshold": (None, -0.5),
    "optimizer": ("rad", "adam"),
    "zeta": (None, 1e-12),
    "feasibility": ("cvf", "cdf", "hjr"),
    "feasibility_gamma": (0.0, 1.0),
    "n_cost_samples": (1, 3),
    "reward_twins": ("min", "mean"),
    "cost_twins": ("max", "mean"),
    "penalty_unit": ("one", "q_range"),
    "multiplier_max": (None, 0.1),
    "penalty": ("augmented", "linear"),
    "multiplier_update": ("regression", "ascent"),
    "multiplier_form": ("network", "scalar"),
}
Pair = tuple[tuple[str, Any], tuple[str, Any]]


class Walk(gymnasium.Env[np.ndarray, np.ndarray]):
    """A point on a line that pays for each step beyond 0.5, with five a step; h is how far beyond it is."""

    def __init__(self) -> None:
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Box(-1.0, 1.0, (1,), np.float64)
        self.position = 0.0

    def observe(self) -> np.ndarray:
        return np.array([self.position, 1.0 / (1.0 + abs(self.position))])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.position = float(self.np_random.uniform(-1.0, 1.0))
        return self.observe(), {}

    def step(self, action: np.ndarray) -> Any:
        self.position = float(np.clip(self.position + 0.3 * action[0], -2.0, 2.0))
        h = self.position - 0.5
        info = {"cost": 5.0 * (h > 0.0), "constraint": h}
        return self.observe(), self.position, abs(self.position) > 1.9, False, info


def pairs_of(fields: Mapping[str, Any]) -> set[Pair]:
    """Every two options of a configuration, in the order of OPTIONS."""
    return set(itertools.combinations(fields.items(), 2))


def is_refused(fields: Mapping[str, Any]) -> bool:
    try:
        make_config("sac-alam", "paper", **fields)
    except ValueError:
        return True
    return False


def all_pairs() -> list[Pair]:
    """Every two values of different options."""
    return [
        ((a, x), (b, y))
        for a, b in itertools.combinations(OPTIONS, 2)
        for x, y in itertools.product(OPTIONS[a], OPTIONS[b])
    ]


@functools.cache
def designs() -> list[dict[str, Any]]:
    """Few configurations in which every pair occurs that is not refused, chosen greedily."""
    rng = np.random.default_rng(0)
    wanted = [pair for pair in all_pairs() if not is_refused(dict(pair))]
    missing = set(wanted)
    chosen: list[dict[str, Any]] = []
    for pair in wanted:
        drawn = [] if pair not in missing else [_drawn(rng, pair) for _ in range(200)]
        best = max(drawn, key=lambda fields: len(pairs_of(fields) & missing), default=None)
        if best is not None:
            chosen.append(best)
            missing -= pairs_of(best)
    return chosen


def _drawn(rng: np.random.Generator, pair: Pair) -> dict[str, Any]:
    """A random configuration with that pair that is not refused."""
    while True:
        fields = {name: values[rng.integers(len(values))] for name, values in OPTIONS.items()} | dict(pair)
        if not is_refused(fields):
            return fields


DESIGNS = 12
"""How many `designs` finds; known here so that collecting the tests takes no seconds."""


def test_only_pairs_that_can_not_work_are_refused() -> None:
    refused = {pair for pair in all_pairs() if is_refused(dict(pair))}
    without_powers = {(("embedding", kind), ("proximity", (1,))) for kind in ("none", "quantiles")}
    assert refused == without_powers | {(("binary_cost", False), ("feasibility", "cdf"))} | {
        # Table I has no embedding, so that the sensors alone are refused whatever else there is.
        pair
        for pair in refused
        if ("proximity", (1,)) in pair and not any(name == "embedding" for name, _ in pair)
    }


@pytest.mark.parametrize("feasibility", ["cvf", "cdf", "hjr"])
def test_targets_are_ordered_as_what_follows_is(feasibility: str) -> None:
    """More danger behind the next state is never less danger now, for every cost that the options let through."""
    costs = [0.0, 1.0] if feasibility == "cdf" else [0.0, 1.0, 5.0]
    target = cost_target(AlamConfig(feasibility=feasibility, binary_cost=feasibility == "cdf"))  # pyright: ignore[reportArgumentType]
    following = jnp.linspace(-1.0, 3.0, 41)
    for cost in costs:
        ones = jnp.ones_like(following)
        targets = np.asarray(target(CostTargetInputs(cost * ones, (cost - 0.5) * ones, 0.0 * ones, following)))
        assert np.isfinite(targets).all()
        assert (np.diff(targets) >= 0.0).all(), f"cost {cost}"


@pytest.mark.slow
@pytest.mark.parametrize("number", range(DESIGNS))
def test_pairs_of_options_train(number: int, tmp_path: Path) -> None:
    """Two blocks and more, all of whose metrics are finite."""
    assert len(designs()) == DESIGNS
    fields = designs()[number]
    agent = Agent("sac-alam", Walk, root=tmp_path, **{**TINY_ALAM, "total_steps": 80, **fields})
    agent.learn()
    rows = metrics.read(folder_of(agent) / "metrics.csv")
    learned = rows.filter(pl.col("q_loss").is_not_null())
    assert len(learned) >= 2
    numbers = rows.select(pl.col(pl.Float64))
    assert numbers.select(pl.all().is_nan().any() | pl.all().is_infinite().any()).row(0).count(True) == 0
