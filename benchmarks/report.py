"""How long the report page of a whole evaluation takes to make, and a browser to open it.

    python benchmarks/report.py [--tasks 8] [--methods 9] [--seeds 5] [--evaluations 200]

The runs are made up; their number and length are what the page has to bear. Opening is timed in headless Chromium, as
the median over several starts of a whole process, less that of an empty page.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from statewise.experiments.curves import Curves, curves_of
from statewise.experiments.evaluation import evaluate
from statewise.experiments.report_page import build_page
from statewise.methods import METHODS
from statewise.report.page import write_page

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


def made_up(tasks: int, methods: int, seeds: int, evaluations: int) -> Curves:
    """Random walks of return, and costs, with as many training rows as evaluations."""
    rng = np.random.default_rng(0)
    runs, rows = [], []
    for label in list(METHODS)[:methods]:
        for task in range(tasks):
            for seed in range(seeds):
                run = {"run": f"{label}/{task}/{seed}", "label": label, "task": f"Task{task}-v0", "seed": seed}
                steps = np.arange(1, evaluations + 1) * 5000
                walks = {name: rng.normal(size=evaluations).cumsum() for name in ("return", "lam", "f", "rho")}
                frame = pl.DataFrame({"step": steps, **walks, "cost": rng.exponential(size=evaluations)})
                phases = (frame.with_columns(phase=pl.lit(phase)) for phase in ("eval", "train"))
                runs.append({**run, "source": "csv", "total_steps": int(steps[-1]), "cost_limit": 1.0})
                rows.append(pl.concat(list(phases)))
    return curves_of(runs, rows)


def seconds_to_open(page: Path, repeats: int = 5) -> float:
    """Median seconds of a browser's process that loads the page and prints its elements."""
    browser = shutil.which("chromium") or "chromium"
    taken = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as profile:
            begin = time.perf_counter()
            command = [browser, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def main() -> None:
    """Make the page, open it, and print what each took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, usual in (("tasks", 8), ("methods", 9), ("seeds", 5), ("evaluations", 200)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    options = parser.parse_args()
    curves = made_up(options.tasks, options.methods, options.seeds, options.evaluations)
    begin = time.perf_counter()
    evaluation = evaluate(curves)
    print(f"statistics of {len(curves.runs)} runs: {time.perf_counter() - begin:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        page, empty = Path(folder) / "report.html", Path(folder) / "empty.html"
        begin = time.perf_counter()
        write_page(build_page(evaluation), page)
        print(f"page: {time.perf_counter() - begin:.1f} s, {page.stat().st_size / 1e6:.1f} MB")
        empty.write_text("<!doctype html><title>nothing</title>")
        print(f"opened in {seconds_to_open(page) - seconds_to_open(empty):.2f} s more than an empty page")


if __name__ == "__main__":
    main()
