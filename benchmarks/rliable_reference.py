"""rliable's own numbers on fixed scores, which the tests hold our statistics against.

    python benchmarks/rliable_reference.py        # where rliable 1.2.0 is installed, with pandas < 3

rliable is no dependency: it brings ten packages, and with pandas 3 its import fails in one of them (arch). Writes
tests/data/statistics/rliable.json: scores [seeds, tasks] of two methods, and what rliable makes of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

OUTPUT = Path(__file__).parents[1] / "tests" / "data" / "statistics" / "rliable.json"
SEEDS, TASKS = 5, 8
TAUS = [0.0, 0.25, 0.5, 0.75, 0.9]


def main() -> None:
    """Ask rliable, and write what it says."""
    from rliable import library, metrics  # pyright: ignore[reportMissingImports]

    random = np.random.default_rng(0)
    x = random.beta(4, 2, (SEEDS, TASKS)).round(4)
    y = random.beta(3, 3, (SEEDS, TASKS)).round(4)
    y[:, 0] = x[:, 0]  # a task without a difference
    y[1, 1] = x[2, 1]  # and a tie

    def interval(function: Any, *scores: Any) -> list[float]:
        np.random.seed(0)  # noqa: NPY002 (rliable draws from NumPy's global generator, whatever it is given)
        key = {"m": scores[0] if len(scores) == 1 else list(scores)}
        _, found = library.get_interval_estimates(key, lambda *s: np.array([function(*s)]), reps=10_000)
        return found["m"].ravel().tolist()

    result = {
        "x": x.T.tolist(),
        "y": y.T.tolist(),
        "mean": float(metrics.aggregate_mean(x)),
        "iqm": float(metrics.aggregate_iqm(x)),
        "optimality_gap": float(metrics.aggregate_optimality_gap(x)),
        "probability_of_improvement": float(metrics.probability_of_improvement(x, y)),
        "taus": TAUS,
        "profile": [float(library.run_score_deviation(x, tau)) for tau in TAUS],
        "iqm_interval": interval(metrics.aggregate_iqm, x),
        "mean_interval": interval(metrics.aggregate_mean, x),
        "probability_of_improvement_interval": interval(metrics.probability_of_improvement, x, y),
    }
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({name: value for name, value in result.items() if name not in "xy"}, indent=1))


if __name__ == "__main__":
    main()
