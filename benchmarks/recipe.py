"""The preset `standard` on many tasks, with its ingredients taken away, and with every method: tables from real runs.

    python benchmarks/recipe.py tasks        # SAC-ALaM beside SAC on ten tasks
    python benchmarks/recipe.py full         # SAC-ALaM to the preset's own 1,000,000 steps
    python benchmarks/recipe.py ablation     # each ingredient taken away alone
    python benchmarks/recipe.py methods      # all methods with the same setting
    python benchmarks/recipe.py zeta         # RAD's ζ annealed and fixed
    python benchmarks/recipe.py precision    # products in bfloat16 beside float32
    python benchmarks/recipe.py tasks --report          # run nothing: the tables of what is finished
    python benchmarks/recipe.py tasks --cores 0 1       # which cores, one run each

Every run is one `statewise train` with the threads capped, resumed where it stopped; runs that are in the root folder
already are taken from there, so that those of a grid serve as well (`--root runs/evaluation`). What a finished run came
to is kept in benchmarks/results/recipe.csv and its evaluations in recipe-curves.csv, so that it is never run again; the
tables recipe-<name>.md are made of these files alone. Figures are of 20 episodes that no evaluation in training saw.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from recipe_jobs import EPISODE_SEED, EPISODES, STANDARD, TABLES, Job
from recipe_tables import CURVES, RESULTS, RUNS, read, report

from statewise import Agent
from statewise.storage import metrics
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.files import write_text_atomic
from statewise.storage.run_folder import RunFolder


def arguments_of(work: Job) -> list[str]:
    """The command line of a run, without its folder."""
    flags = [word for name, value in work.fields.items() for word in _flag(name, value)]
    return ["statewise", "train", work.method, work.task, "--seed", str(work.seed), *flags]


def _flag(name: str, value: Any) -> list[str]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    values = value if isinstance(value, tuple) else (value,)
    return [flag, *map(str, values)]


def folder_of(work: Job, root: Path) -> Path:
    """Where a run's own root lies: labels keep ablations of one method apart."""
    if work.label == STANDARD:
        return root
    name = "".join(c if c.isalnum() else "-" for c in work.label)
    return root / name


def begun(work: Job, root: Path) -> tuple[Path, int] | None:
    """The folder of a run that has a checkpoint, and the step of its newest."""
    for run in folder_of(work, root).glob(f"{work.task}/{work.method}/seed-{work.seed}-*"):
        latest = CheckpointStore(RunFolder(run).checkpoints, keep=1).latest()
        if latest is not None:
            return run, latest[0]
    return None


def start(work: Job, root: Path, core: int) -> subprocess.Popen[bytes]:
    """Begin or resume a run on a core of its own."""
    known = begun(work, root)
    words = [*arguments_of(work), "--root", str(folder_of(work, root)), "--threads", "1", "--quiet"]
    if known is not None:
        words = ["statewise", "resume", str(known[0]), "--quiet"]
    alone = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS": alone}
    process = subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {core})
    return process


def keep_finished(jobs: Iterable[Job], root: Path) -> None:
    """Keep what came of the runs that are finished below the root and not in the results yet."""
    for work in missing(jobs):
        known = begun(work, root)
        if known is not None and known[1] >= work.fields["total_steps"]:
            keep(work, root)


def missing(jobs: Iterable[Job]) -> list[Job]:
    """Those that are not in the results yet."""
    done = {row[:4] for row in read(RUNS).iter_rows()} if RUNS.exists() else set()
    return [work for work in jobs if work.key not in done]


def run_missing(jobs: Iterable[Job], root: Path, cores: Sequence[int]) -> None:
    """Run what is not in the results yet, one run a core, and keep what each came to."""
    waiting = missing(jobs)
    running: dict[int, tuple[Job, subprocess.Popen[bytes]]] = {}
    while waiting or running:
        for core in cores:
            if core in running and running[core][1].poll() is not None:
                work, process = running.pop(core)
                if process.returncode:
                    print(f"failed with status {process.returncode}: {' '.join(arguments_of(work))}", flush=True)
                else:
                    keep(work, root)
            if core not in running and waiting:
                work = waiting.pop(0)
                running[core] = work, start(work, root, core)
                print(
                    f"{time.strftime('%H:%M:%S')} core {core}: {work.label}: {work.method} {work.task} {work.seed}",
                    flush=True,
                )
        time.sleep(1.0)


def keep(work: Job, root: Path) -> None:
    """Add what a finished run came to, and its evaluations, to the results."""
    (run,) = folder_of(work, root).glob(f"{work.task}/{work.method}/seed-{work.seed}-*")
    names = dict(zip(("label", "method", "task", "seed"), work.key, strict=True))
    evaluations = evaluations_of(run)
    add(RUNS, pl.DataFrame([{**names, **figures_of(run)}]))
    add(CURVES, evaluations.with_columns(**{name: pl.lit(value) for name, value in names.items()}))
    (run / "replay.bin").unlink(missing_ok=True)


def evaluations_of(run: Path) -> pl.DataFrame:
    """The evaluations of a run, each with the figures of training just before it."""
    rows = metrics.read(RunFolder(run).metrics_path)
    columns = ["step", "gradient_step", "return", "cost", "f_bias", "probe_lam_change"]
    evals = rows.filter(pl.col("phase") == "eval").select(columns)
    train = rows.filter(pl.col("phase") == "train").select("step", *TRAIN_COLUMNS)
    return evals.join_asof(train, on="step")


TRAIN_COLUMNS = ("violations", "f", "unsafe_fraction", "lam_q10", "lam_q50", "lam_q90", "unit", "rho", "alpha")


def figures_of(run: Path) -> dict[str, float]:
    """What a finished run came to."""
    rows = evaluations_of(run)
    later = rows.filter(pl.col("step") > 0.25 * rows["step"][-1])
    timing = metrics.read(RunFolder(run).timing_path)
    figures: dict[str, float] = {"minutes": float(timing["seconds"].sum()) / 60.0}
    for name, which, deterministic in (("", "latest", True), ("sampled_", "latest", False), ("best_", "best", True)):
        played = Agent.load(run, which=which).evaluate(EPISODES, EPISODE_SEED, deterministic=deterministic)
        figures |= {f"{name}return": played["return"], f"{name}cost": played["cost"]}
    figures |= {
        "cost_swing": float(later["cost"].diff().abs().mean() or 0.0),  # pyright: ignore[reportArgumentType]
        "return_swing": float(later["return"].diff().abs().mean() or 0.0),  # pyright: ignore[reportArgumentType]
    }
    return figures | {name: rows[name][-1] for name in ("step", "gradient_step", "f_bias", *TRAIN_COLUMNS)}


def add(path: Path, rows: pl.DataFrame) -> None:
    """Append rows to a CSV, made anew and moved into place; numbers keep six digits."""
    keys = ["label", "method", "task", "seed"]
    rows = rows.select(*keys, pl.exclude(keys)).with_columns(pl.col(pl.Float64).round_sig_figs(6))
    if path.exists():
        rows = pl.concat([read(path), rows], how="diagonal_relaxed")
    RESULTS.mkdir(exist_ok=True)
    write_text_atomic(path, rows.write_csv())


def main() -> None:
    """Run what is missing of a table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--root", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--cores", nargs="+", type=int, default=sorted(os.sched_getaffinity(0)))
    parser.add_argument("--report", action="store_true", help="run nothing, but take what is finished below the root")
    options = parser.parse_args()
    keep_finished(TABLES[options.table](), options.root)
    if not options.report:
        run_missing(TABLES[options.table](), options.root, options.cores)
    report(options.table)


if __name__ == "__main__":
    main()
