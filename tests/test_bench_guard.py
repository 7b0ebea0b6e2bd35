"""The guard of `make bench-guard` names what is slower by more than 15 %, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_what_is_slower_by_more_than_the_margin_is_named() -> None:
    now, before = {"a": 1.14, "b": 1.16, "c": 0.5, "new": 9.0}, {"a": 1.0, "b": 1.0, "c": 1.0}
    code = f"import guard, json; print(json.dumps(guard.compare({now}, {before})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, check=True, capture_output=True, text=True)
    said = done.stdout
    lines, slower = json.loads(said)
    assert slower == ["b: 1.16 times the baseline"]
    assert lines[2:] == [
        "| a | 1.00 | 1.14 | 1.14 |",
        "| b | 1.00 | 1.16 | 1.16 |",
        "| c | 1.00 | 0.50 | 0.50 |",
        "| new | – | 9.00 | – |",
    ]
