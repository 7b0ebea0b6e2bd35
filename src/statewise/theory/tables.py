"""The numbers behind the pictures of a verification, as files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from statewise.storage.files import write_text_atomic
from statewise.theory.problem import Floats
from statewise.theory.verify import Verification


def write_tables(verification: Verification, folder: Path) -> list[Path]:
    """Write claims.json, solution.csv, updates.csv and networks.csv into a folder; returns their paths."""
    road = verification.road
    runs = {
        "paper": road.scheduled,
        **{f"alam {size:g}": run for size, run in road.augmented.items()},
        **{f"ascent {size:g}": run for size, run in road.ascent.items()},
    }
    updates: dict[str, Floats] = {"iteration": np.arange(1.0, len(road.scheduled.v) + 1.0)}
    for name, run in runs.items():
        updates[f"{name}: distance"] = run.distances(road.optimum)[1:]
        updates[f"{name}: kkt"] = run.kkt_residuals(road.problem)
    updates["paper: rho"] = road.scheduled.rho[1:]
    solution = {
        "x": road.problem.states,
        "policy": road.optimum.policy,
        "lambda": road.optimum.lam,
        "constraint": road.problem.constraint(road.optimum.policy),
        **{f"{name}: lambda": run.lam[-1] for name, run in road.networks.items()},
    }
    distances = {name: run.distances(road.optimum.lam) for name, run in road.networks.items()}
    cycles = max(map(len, distances.values()))
    networks: dict[str, Floats] = {"cycle": np.arange(float(cycles)), **distances}
    texts = {
        "claims.json": json.dumps([claim._asdict() for claim in verification.claims], indent=2, ensure_ascii=False)
        + "\n",
        "solution.csv": _csv(solution),
        "updates.csv": _csv(updates),
        "networks.csv": _csv(networks),
    }
    for name, text in texts.items():
        write_text_atomic(folder / name, text)
    return [folder / name for name in texts]


def _csv(columns: dict[str, Floats]) -> str:
    """Columns of one length as CSV, to ten digits; no name holds a comma but those quoted."""
    header = ",".join(f'"{name}"' if "," in name else name for name in columns)
    rows = (",".join(f"{value:.10g}" for value in row) for row in zip(*columns.values(), strict=True))
    return "\n".join([header, *rows]) + "\n"
