"""The preset `standard` on many tasks, with its ingredients taken away, and with every method: tables from real runs.

    python benchmarks/recipe.py tasks        # SAC-ALaM beside SAC on ten tasks
    python benchmarks/recipe.py ablation     # each ingredient taken away alone
    python benchmarks/recipe.py methods      # all methods with the same setting
    python benchmarks/recipe.py tasks --report          # only write the tables again
    python benchmarks/recipe.py tasks --cores 0 1       # which cores, one run each

Every run is one `statewise train` with the threads capped, resumed where it stopped. What a finished run came to is
kept in benchmarks/results/recipe.csv and its evaluations in recipe-curves.csv, so that it is never run again; the
tables recipe-<name>.md are made of these files alone. Figures are of 20 episodes that no evaluation in training saw.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from statewise import Agent, metrics
from statewise.checkpoint import CheckpointStore
from statewise.config import OnPolicyConfig
from statewise.figures import COLOURS
from statewise.files import write_text_atomic
from statewise.methods import METHODS
from statewise.runs import RunFolder

RESULTS = Path(__file__).parent / "results"
RUNS, CURVES = RESULTS / "recipe.csv", RESULTS / "recipe-curves.csv"
STEPS, ON_POLICY_STEPS = 400_000, 1_000_000
EPISODES = 20
EPISODE_SEED = 5_000_003
"""Seed of the episodes behind the tables, far from those of the evaluations in training."""

GOAL, CHEETAH = "SafetyPointGoal1-v0", "SafetyHalfCheetahVelocity-v1"
TASKS = (
    GOAL,
    "SafetyPointGoal2-v0",
    "SafetyPointCircle1-v0",
    "SafetyPointCircle2-v0",
    "SafetyPointButton1-v0",
    "SafetyCarGoal1-v0",
    "SafetyCarCircle1-v0",
    CHEETAH,
    "SafetyHopperVelocity-v1",
    "SafetySwimmerVelocity-v1",
)
PUBLISHED: dict[str, tuple[str, str]] = {
    GOAL: ("25.3 / 28.0", "none"),
    "SafetyPointGoal2-v0": ("8.6 / 25.0", "none"),
    "SafetyPointCircle1-v0": ("83.7 / 12.8", "75.2 / 4.5"),
    "SafetyPointButton1-v0": ("9.5 / 25.0", "none above 0"),
    "SafetyCarGoal1-v0": ("27.3 / 9.5", "none"),
    "SafetyCarCircle1-v0": ("34.4 / 5.0", "34.4 / 2.3"),
    CHEETAH: ("2,965 / 2.4", "2,965 / 2.4"),
    "SafetyHopperVelocity-v1": ("1,716 / 7.5", "1,646 / 0.4"),
    "SafetySwimmerVelocity-v1": ("91 / 19", "77.5 / 1.0"),
}
"""Best return / cost in OmniSafe's own tables among the methods whose cost is at most 30, and at most 5."""

WITHOUT: dict[str, dict[str, Any]] = {
    "lidar powers": {"embedding": "none"},
    "mean of the cost twins (the maximum)": {"cost_twins": "max"},
    "mean of the reward twins (the minimum)": {"reward_twins": "min"},
    "a unit (λ, ρ in plain reward)": {"penalty_unit": "one"},
    "ρ in keeping with it (ρ₀ = 1, growing)": {"rho_init": 1.0, "rho_growth": 1.01},
    "a cap on λ": {"multiplier_max": None},
    "50 inner steps of rate 10⁻³ (5 of 10⁻⁵)": {"dual_steps": 5, "multiplier_learning_rate": 1e-5},
    "standardised observations": {"observation_normalization": False},
    "the effective span of actions": {"action_span": "space"},
    "τ = 0.03 (0.005)": {"tau": 0.005},
    "ζ fixed (annealed)": {"zeta": None},
    "powers (quantiles, nothing declared)": {"embedding": "quantiles"},
    "long training episodes (250 steps)": {"episode_steps": 250},
    "α₀ = 0.02 (1)": {"alpha_init": 1.0},
    "a rate of 5·10⁻⁴ (10⁻⁴)": {"learning_rate": 1e-4},
    "64 environments (8, half a gradient step each)": {"num_envs": 8, "update_ratio": 0.5, "total_steps": 50_000},
    "a small network (256 units)": {"hidden": (256, 256)},
}
"""Ingredients of the recipe, and what stands in their place: the paper's, or an alternative."""


class Job(NamedTuple):
    """A run: what distinguishes it from `standard`, the method, the task, the seed, the fields that are changed."""

    label: str
    method: str
    task: str
    seed: int
    fields: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.label, self.method, self.task, self.seed


def job(method: str, task: str, seed: int, label: str = "standard", **fields: Any) -> Job:
    return Job(label, method, task, seed, {"total_steps": STEPS, **fields})


def jobs_of_tasks() -> list[Job]:
    """SAC-ALaM with two seeds (three on Goal1) beside one of SAC."""
    methods = (("sac-alam", 0), ("sac", 0), ("sac-alam", 1))
    return [*(job(method, task, seed) for method, seed in methods for task in TASKS), job("sac-alam", GOAL, 2)]


def jobs_of_ablation() -> list[Job]:
    """Each ingredient taken away: two seeds on Goal1, one on HalfCheetah."""
    runs = [(GOAL, 0), (GOAL, 1), (CHEETAH, 0)]
    whole = [job("sac-alam", task, seed) for task, seed in runs]
    return [*whole, *(job("sac-alam", *run, name, **fields) for run in runs for name, fields in WITHOUT.items())]


def jobs_of_methods() -> list[Job]:
    """All methods, two seeds on two tasks; on-policy ones take as many steps as the others' time buys."""
    steps = {name: ON_POLICY_STEPS if issubclass(METHODS[name].config, OnPolicyConfig) else STEPS for name in METHODS}
    return [
        job(method, task, seed, total_steps=steps[method])
        for seed in (0, 1)
        for task in (GOAL, CHEETAH)
        for method in METHODS
    ]


TABLES: dict[str, Callable[[], list[Job]]] = {
    "tasks": jobs_of_tasks,
    "ablation": jobs_of_ablation,
    "methods": jobs_of_methods,
}


# --- running ---------------------------------------------------------------------------------------------------------


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
    name = "".join(c if c.isalnum() else "-" for c in work.label)
    return root / name


def start(work: Job, root: Path, core: int) -> subprocess.Popen[bytes]:
    """Begin or resume a run on a core of its own."""
    root = folder_of(work, root)
    words = [*arguments_of(work), "--root", str(root), "--threads", "1", "--quiet"]
    for run in root.glob(f"{work.task}/{work.method}/seed-{work.seed}-*"):
        if CheckpointStore(RunFolder(run).checkpoints, keep=1).latest() is not None:
            words = ["statewise", "resume", str(run), "--quiet"]
    alone = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XLA_FLAGS": alone}
    process = subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {core})
    return process


def run_missing(jobs: Iterable[Job], root: Path, cores: Sequence[int]) -> None:
    """Run what is not in the results yet, one run a core, and keep what each came to."""
    done = {row[:4] for row in read(RUNS).iter_rows()} if RUNS.exists() else set()
    waiting = [work for work in jobs if work.key not in done]
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


# --- files -----------------------------------------------------------------------------------------------------------


def read(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema_length=None)


def add(path: Path, rows: pl.DataFrame) -> None:
    """Append rows to a CSV, made anew and moved into place; numbers keep six digits."""
    keys = ["label", "method", "task", "seed"]
    rows = rows.select(*keys, pl.exclude(keys)).with_columns(pl.col(pl.Float64).round_sig_figs(6))
    if path.exists():
        rows = pl.concat([read(path), rows], how="diagonal_relaxed")
    RESULTS.mkdir(exist_ok=True)
    write_text_atomic(path, rows.write_csv())


# --- tables ----------------------------------------------------------------------------------------------------------


def table_of_tasks(runs: pl.DataFrame) -> list[str]:
    """Return / cost a seed beside plain SAC's and the published."""
    lines = [
        "| task | SAC-ALaM, by seed | sampled policy | best checkpoint | bias of F̂ | λ 10, 50, 90 % | unit | SAC "
        "| published, cost ≤ 30 | cost ≤ 5 | minutes |",
        "|---" * 11 + "|",
    ]
    for task in TASKS:
        ours, sac = (
            runs.filter((pl.col("task") == task) & (pl.col("method") == method)).sort("seed")
            for method in ("sac-alam", "sac")
        )
        if not len(ours):
            continue
        published = PUBLISHED.get(task, ("–", "–"))
        cells = [
            task.removeprefix("Safety"),
            *(pairs(ours, prefix) for prefix in ("", "sampled_", "best_")),
            "; ".join(f"{x:+.2f}" for x in ours["f_bias"]),
            "; ".join(", ".join(f"{row[q]:.2g}" for q in ("lam_q10", "lam_q50", "lam_q90")) for row in ours.to_dicts()),
            "; ".join(f"{x:.2g}" for x in ours["unit"]),
            pairs(sac, ""),
            *published,
            f"{ours['minutes'].median():.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_ablation(runs: pl.DataFrame) -> list[str]:
    """Return / cost by ingredient that is taken away."""
    lines = [
        "| without (instead) | PointGoal1, by seed | sampled policy | bias of F̂ | λ 50 % | HalfCheetah | bias of F̂ |",
        "|---" * 7 + "|",
    ]
    for name in ("standard", *WITHOUT):
        here = runs.filter((pl.col("label") == name) & (pl.col("method") == "sac-alam"))
        goal = here.filter((pl.col("task") == GOAL) & (pl.col("seed") < 2)).sort("seed")
        cheetah = here.filter((pl.col("task") == CHEETAH) & (pl.col("seed") == 0))
        if not len(here):
            continue
        cells = [
            "nothing: `standard`" if name == "standard" else name,
            pairs(goal, ""),
            pairs(goal, "sampled_"),
            "; ".join(f"{x:+.2f}" for x in goal["f_bias"]),
            "; ".join(f"{x:.2g}" for x in goal["lam_q50"]),
            pairs(cheetah, ""),
            "; ".join(f"{x:+.2f}" for x in cheetah["f_bias"]),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_methods(runs: pl.DataFrame) -> list[str]:
    """Return / cost, swings and violations in training by method."""
    lines = []
    for task in (GOAL, CHEETAH):
        lines += [
            f"**{task}**",
            "",
            "| method | return / cost, by seed | sampled policy | mean Δcost between evaluations | mean Δreturn "
            "| violations in training | bias of F̂ | λ 10, 50, 90 % | minutes |",
            "|---" * 9 + "|",
        ]
        for method in METHODS:
            here = runs.filter(
                (pl.col("label") == "standard") & (pl.col("task") == task) & (pl.col("method") == method)
            )
            here = here.filter(pl.col("seed") < 2).sort("seed")
            if not len(here):
                continue
            quantiles = ("lam_q10", "lam_q50", "lam_q90")
            cells = [
                f"`{method}`",
                pairs(here, ""),
                pairs(here, "sampled_"),
                "; ".join(f"{x:.1f}" for x in here["cost_swing"]),
                "; ".join(f"{x:,.1f}" for x in here["return_swing"]),
                "; ".join(f"{x:,.0f}" for x in here["violations"]),
                "; ".join(f"{x:+.2f}" for x in here["f_bias"]),
                "; ".join(", ".join(number(row[q]) for q in quantiles) for row in here.to_dicts()),
                f"{here['minutes'].median():.1f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return lines


def pairs(runs: pl.DataFrame, prefix: str) -> str:
    """Return / cost of each run."""
    rows = zip(runs[f"{prefix}return"], runs[f"{prefix}cost"], strict=True)
    return "; ".join(f"{r:,.0f} / {c:.1f}" if abs(r) >= 200 else f"{r:.1f} / {c:.1f}" for r, c in rows) or "–"


def number(x: float | None) -> str:
    return "–" if x is None else f"{x:.2g}"


def picture(runs: pl.DataFrame, rows: Sequence[str], column: str, path: Path) -> None:
    """Return and cost over the steps, a row for each of `rows` and a colour for each value of `column`."""
    names = [name for name in ("sac", "sac-alam") if column == "method" and len(rows) > 2] or list(METHODS)
    colours = dict(zip(names, COLOURS, strict=False))
    figure = Figure(figsize=(11, 2.3 * len(rows) + 0.6), layout="constrained")
    for task, panels in zip(rows, figure.subplots(len(rows), 2, squeeze=False, sharex=True), strict=True):
        for quantity, axes in zip(("return", "cost"), panels, strict=True):
            for name in names:
                here = runs.filter((pl.col("task") == task) & (pl.col(column) == name))
                for curve in here.partition_by("seed") if len(here) else ():
                    axes.plot(curve["step"], curve[quantity], color=colours[name], linewidth=1.2, alpha=0.9)
            axes.set_title(f"{task.removeprefix('Safety')}: {quantity}", fontsize=9, loc="left")
            axes.grid(alpha=0.3)
            if quantity == "cost":
                axes.set_yscale("symlog", linthresh=1.0)
                axes.set_ylim(bottom=0.0)
                axes.axhline(1.0, color="#6b7280", linestyle=":", linewidth=1.0)
    handles = [Line2D([], [], color=colours[name]) for name in names]
    figure.legend(handles, names, loc="outside upper center", ncols=min(len(names), 6), fontsize=9)
    figure.savefig(path, dpi=100)


WRITERS: dict[str, Callable[[pl.DataFrame], list[str]]] = {
    "tasks": table_of_tasks,
    "ablation": table_of_ablation,
    "methods": table_of_methods,
}
HEADS = {
    "tasks": "SAC-ALaM on ten tasks, preset `standard`",
    "ablation": "What `standard` is without each of its ingredients",
    "methods": "Every method with `standard`",
}


def report(name: str) -> None:
    """Write a table from the results."""
    runs = read(RUNS)
    if name != "ablation":
        runs = runs.filter(pl.col("label") == "standard")
    text = [
        f"# {HEADS[name]}, {STEPS:,} environment steps",
        "",
        f"`python benchmarks/recipe.py {name}`: return / cost of {EPISODES} episodes, seeds separated by semicolons.",
        "",
        *WRITERS[name](runs),
    ]
    write_text_atomic(RESULTS / f"recipe-{name}.md", "\n".join(text).rstrip() + "\n")
    curves = read(CURVES).filter(pl.col("label") == "standard")
    if name != "ablation":
        rows = [task for task in (TASKS if name == "tasks" else (GOAL, CHEETAH)) if task in set(curves["task"])]
        picture(curves, rows, "method", RESULTS / f"recipe-{name}.png")
    print("\n".join(text))


def main() -> None:
    """Run what is missing of a table, and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", choices=list(TABLES))
    parser.add_argument("--root", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--cores", nargs="+", type=int, default=sorted(os.sched_getaffinity(0)))
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    if not options.report:
        run_missing(TABLES[options.table](), options.root, options.cores)
    report(options.table)


if __name__ == "__main__":
    main()
