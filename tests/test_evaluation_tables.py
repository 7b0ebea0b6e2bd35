"""The tables of benchmarks/evaluation.py on runs whose figures are known."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MEASURES = (
    "satisfaction", "violations", "return_swing", "cost_swing", "lam_swing", "return_reversal", "cost_reversal",
    "lam_reversal", "hours", "safe_step", "safe_minutes",
)  # fmt: skip


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "claims", raising=False)
    spec = importlib.util.spec_from_file_location("evaluation_tables", BENCHMARKS / "evaluation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs(rows: list[tuple[str, str, int, float, float, float | None]]) -> pl.DataFrame:
    """Runs by label, task, seed, final return, final cost and bias; every other measure is 3."""
    names = ["label", "task", "seed", "return", "cost", "f_bias"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    constants = dict.fromkeys(MEASURES, 3.0) | {"cpu_hours": 0.05, "cost_limit": 1.0}
    return frame.with_columns(pl.lit(value).alias(name) for name, value in constants.items())


def test_a_row_names_every_seed_and_the_mean_with_its_interval(tables: ModuleType) -> None:
    goal = "SafetyPointGoal1-v0"
    text = tables.report(runs([("sac-alam", goal, 1, 20.0, 4.0, -0.25), ("sac-alam", goal, 0, 10.0, 2.0, None)]))
    (row,) = (line for line in text.splitlines() if line.startswith("| `sac-alam`"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1] == "10.0 / 2.0; 20.0 / 4.0"
    # A mean of two is known to 12.706 standard errors, here of 5 and of 1; no cost is below 0.
    assert cells[2] == "15.0 [-48.5, 78.5]"
    assert cells[3] == "3.0 [0.0, 15.7]"
    assert cells[6] == "3.0 [3.0, 3.0]"
    assert cells[7:] == ["–; -0.25", "3.0"]


def test_one_run_has_no_interval_and_large_figures_no_decimals(tables: ModuleType) -> None:
    text = tables.report(runs([("sac", "SafetyHalfCheetahVelocity-v1", 0, 6543.2, 977.9, -3.0)]))
    assert "| `sac` | 6,543 / 978 | 6,543 | 978 | 3.0 |" in text


def test_tasks_and_methods_come_in_the_order_of_the_grid(tables: ModuleType) -> None:
    names = ["SafetyHalfCheetahVelocity-v1", "SafetyPointCircle2-v0", "SafetyPointGoal1-v0"]
    text = tables.report(runs([(label, task, 0, 1.0, 0.0, 0.0) for task in names for label in ("sac-pid", "sac")]))
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == names[::-1]
    assert text.index("| `sac` |") < text.index("| `sac-pid` |")
    assert "of 6 finished runs on 3 tasks" in text
