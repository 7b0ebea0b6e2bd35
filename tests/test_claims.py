"""The verdicts of benchmarks/claims.py on runs whose outcome is known."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

CLAIMS = Path(__file__).parents[1] / "benchmarks" / "claims.py"


@pytest.fixture(scope="module")
def claims() -> ModuleType:
    spec = importlib.util.spec_from_file_location("claims", CLAIMS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs(**costs: list[float]) -> pl.DataFrame:
    """Runs of methods by their final costs, on one task with a limit of 1."""
    rows: list[dict[str, Any]] = [
        {"label": label.replace("_", "-"), "task": "SafetyPointGoal1-v0", "cost": cost, "cost_limit": 1.0}
        for label, values in costs.items()
        for cost in values
    ]
    return pl.DataFrame(rows)


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        ([0.0, 0.1, 0.2, 0.3, 0.4], [5.0, 6.0, 7.0, 8.0, 9.0], "**reproduced**"),
        ([5.0, 6.0, 7.0, 8.0, 9.0], [0.0, 0.1, 0.2, 0.3, 0.4], "**not reproduced**"),
        ([1.0, 4.0], [2.0, 3.0], "unclear"),
        ([0.0, 0.1, 0.2], [5.0, 6.0, 7.0], "unclear"),
    ],
)
def test_less_cost_is_better(claims: ModuleType, ours: list[float], theirs: list[float], verdict: str) -> None:
    ((what, found, said),) = claims.better("cost", "sac-alam", ["sac-lag"])(runs(sac_alam=ours, sac_lag=theirs))
    assert what == "`sac-alam` beats `sac-lag` in final cost"
    assert said == verdict
    assert f"{sum(ours) / len(ours):.2f} against {sum(theirs) / len(theirs):.2f} on average" in found
    assert f"{len(ours) + len(theirs)} runs on PointGoal1" in found


def test_what_one_of_both_lacks_is_no_finding(claims: ModuleType) -> None:
    ((_, found, said),) = claims.better("cost", "sac-alam", ["crpo"])(runs(sac_alam=[1.0, 2.0]))
    assert (found, said) == ("no runs of both yet", "–")
    ((_, found, said),) = claims.ends_safe("crpo")(runs(sac_alam=[1.0, 2.0]))
    assert (found, said) == ("no runs yet", "–")


def test_a_share_of_safe_runs_is_held_against_one_half(claims: ModuleType) -> None:
    found = runs(p3o=[0.0] * 9 + [3.0])
    ((_, said_of, safe),) = claims.ends_safe("p3o")(found)
    assert "0.90 [0.60, 0.98] of runs" in said_of
    assert safe == "**reproduced**"
    ((_, _, unsafe),) = claims.ends_safe("p3o", wanted=False)(found)
    assert unsafe == "**not reproduced**"


def test_every_claim_can_be_asked_of_any_runs(claims: ModuleType) -> None:
    columns = ("return", "balance", "cost_swing", "return_swing", "violations")
    some = runs(sac_alam=[1.0, 2.0]).with_columns(pl.lit(1.0).alias(name) for name in columns)
    text = claims.report(some)
    assert text.count("\n| VI, Fig.") == len(claims.CLAIMS)
    assert "in 0.50 [0.09, 0.91] of runs, 2 runs on PointGoal1; final cost 1.5 | unclear" in text
