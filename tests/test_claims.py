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
    claim = claims.Claim("VI", "less", claims.better("cost", "sac-alam", ["sac-lag"]))
    ((what, found, said),) = claim.findings(runs(sac_alam=ours, sac_lag=theirs))
    assert what == "`sac-alam` beats `sac-lag` in final cost"
    assert said == verdict
    means = f"{sum(ours) / len(ours):.2f} against {sum(theirs) / len(theirs):.2f}"
    assert found.endswith(f", {len(ours) + len(theirs)} runs: PointGoal1 {means}")


def test_every_task_has_means_of_its_own(claims: ModuleType) -> None:
    one = runs(sac_alam=[1.0, 2.0], crpo=[4.0, 6.0])
    other = one.with_columns(task=pl.lit("SafetyAntVelocity-v1"), cost=100 * pl.col("cost"))
    (line,) = claims.better("cost", "sac-alam", ["crpo"])(pl.concat([one, other]))
    assert line.found.endswith("8 runs: PointGoal1 1.50 against 5.00, AntVelocity 150 against 500")


def test_p_is_corrected_for_the_tests_of_a_claim(claims: ModuleType) -> None:
    # Four that all beat four have p = 2 / 70: found alone, not among two of a claim (Holm doubles it).
    known = runs(sac_alam=[0.0, 0.1, 0.2, 0.3], sac_lag=[5.0, 6.0, 7.0, 8.0], asac=[0.0, 0.1, 0.2, 0.3])
    alone = claims.Claim("VI", "alone", claims.better("cost", "sac-alam", ["sac-lag"]))
    among = claims.Claim("VI", "among", claims.better("cost", "sac-alam", ["sac-lag", "asac"]))
    ((_, found, said),) = alone.findings(known)
    assert ("p 0.029," in found, said) == (True, "**reproduced**")
    (_, found, said), (_, tied, unclear) = among.findings(known)
    assert ("p 0.057," in found, said) == (True, "unclear")
    assert ("p 1," in tied, unclear) == (True, "unclear")


def test_methods_of_a_kind_are_taken_together(claims: ModuleType) -> None:
    known = runs(sac_alam=[1.0], sac_lagnet=[2.0, 3.0], asac=[0.0], sac_pid=[9.0, 12.0], sac=[50.0], sac_fpi=[70.0])
    (line,) = claims.better_kind(["cost"], claims.NETWORKS, claims.NUMBERS)(known)
    assert line.what == "`a multiplier network` beats `one multiplier` in final cost"
    assert line.found.startswith("with probability 0.67 [")  # 6 pairs of 9
    assert line.found.endswith("6 runs: PointGoal1 2.00 against 7.00")


def test_what_one_of_both_lacks_is_no_finding(claims: ModuleType) -> None:
    for lines, words in [
        (claims.better("cost", "sac-alam", ["crpo"]), "no runs of both yet"),
        (claims.ends_safe("crpo"), "no runs yet"),
    ]:
        ((_, found, said),) = claims.Claim("VI", "nothing", lines).findings(runs(sac_alam=[1.0, 2.0]))
        assert (found, said) == (words, "–")


def test_a_share_of_safe_runs_is_held_against_one_half(claims: ModuleType) -> None:
    found = runs(p3o=[0.0] * 9 + [3.0])
    ((_, said_of, safe),) = claims.Claim("VI", "safe", claims.ends_safe("p3o")).findings(found)
    assert said_of == "in 0.90 [0.60, 0.98] of 10 runs; final cost PointGoal1 0.30"
    assert safe == "**reproduced**"
    ((_, _, unsafe),) = claims.Claim("VI", "unsafe", claims.ends_safe("p3o", wanted=False)).findings(found)
    assert unsafe == "**not reproduced**"


def test_every_claim_can_be_asked_of_any_runs(claims: ModuleType) -> None:
    columns = ("return", "balance", "cost_swing", "return_swing", "violations")
    some = runs(sac_alam=[1.0, 2.0]).with_columns(pl.lit(1.0).alias(name) for name in columns)
    text = claims.report(some)
    assert sum(text.count(f"\n| {claim.where} | {claim.says} |") for claim in claims.CLAIMS) == len(claims.CLAIMS)
    assert "in 0.50 [0.09, 0.91] of 2 runs; final cost PointGoal1 1.50 | unclear" in text
