"""Run folders and curves written by hand, for what looks at many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from statewise.core.columns import TIMING_COLUMNS
from statewise.experiments.curves import Curves, curves_of
from statewise.methods import metric_columns
from statewise.spec import RunSpec, make_config
from statewise.storage.metrics import MetricsWriter

TASK = "SafetyPointGoal1-v0"


def write_run(
    root: Path,
    method: str,
    seed: int,
    returns: Sequence[float],
    costs: Sequence[float],
    *,
    task: str = TASK,
    seconds: float | None = None,
    cpu_seconds: float = 0.0,
    columns: Mapping[str, Sequence[float]] | None = None,
    **fields: Any,
) -> Path:
    """A run of 100 steps an evaluation, finished unless `fields` say otherwise. seconds, cpu_seconds: of each 100."""
    count = len(returns)
    folder = root / task / method / f"seed-{seed}-{len(list(root.rglob('config.json')))}"
    folder.mkdir(parents=True)
    config = make_config(method, **{"seed": seed, "total_steps": 100 * count, **fields})
    (folder / "config.json").write_text(RunSpec(task, config).to_json())
    with MetricsWriter(folder / "metrics.csv", metric_columns("sac")) as writer:
        for i, (gain, cost) in enumerate(zip(returns, costs, strict=True)):
            row = {"step": 100 * (i + 1), "gradient_step": 0}
            writer.append({**row, "phase": "train", "violations": 10 * (i + 1)})
            more = {name: values[i] for name, values in (columns or {}).items()}
            writer.append({**row, "phase": "eval", "return": gain, "cost": cost, "length": 1000.0, **more})
    if seconds is not None:
        with MetricsWriter(folder / "timing.csv", TIMING_COLUMNS) as timing:
            for i in range(count):
                timing.append({"step": 100 * (i + 1), "seconds": seconds, "cpu_seconds": cpu_seconds})
    return folder


def curves_by_hand(finals: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], **run: Any) -> Curves:
    """Curves of one evaluation at step 100, by label and task: (return, cost) of each seed; cost limit 1."""
    runs, rows = [], []
    for label, tasks in finals.items():
        for task, seeds in tasks.items():
            for seed, (gain, cost) in enumerate(seeds):
                name = f"{label}/{task}/{seed}"
                known = {"source": "csv", "total_steps": 100, "cost_limit": 1.0, **run}
                runs.append({"run": name, "label": label, "task": task, "seed": seed, **known})
                rows.append(pl.DataFrame({"phase": ["eval"], "step": [100], "return": [gain], "cost": [cost]}))
    return curves_of(runs, rows)
