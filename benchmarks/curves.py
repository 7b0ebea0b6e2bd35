"""Learning curves of several methods on one task: a table and a picture.

    python benchmarks/curves.py                                        # SAC, SAC-LagNet, SAC-ALaM, two seeds each
    python benchmarks/curves.py --task SafetyHopperVelocity-v1 --methods sac-alam --seeds 0

Runs are resumed where they stopped, and left alone where they are finished. Writes <name>.md and <name>.png into
benchmarks/results; the table's returns and costs are means over the last tenth of the evaluations of a run.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl

from statewise import Agent, metrics
from statewise.checkpoint import CheckpointStore
from statewise.config import OnPolicyConfig
from statewise.figures import compare_picture
from statewise.files import write_text_atomic
from statewise.methods import METHODS
from statewise.progress import Plain
from statewise.runs import RunFolder
from statewise.spec import make_config

DEFAULT = ("sac", "sac-lagnet", "sac-alam")
RESULTS = Path(__file__).parent / "results"


def train(method: str, task: str, seed: int, root: Path, fields: dict[str, Any]) -> Path:
    """Train one run to its end, from its last checkpoint if it has one; returns its folder."""
    agent = Agent(method, task, seed=seed, root=root, **fields)
    path = agent.run_path
    assert path is not None
    latest = CheckpointStore(RunFolder(path).checkpoints, keep=1).latest()
    if latest is None:
        agent.learn(overwrite=True, progress=Plain())
    elif latest[0] < agent.config.total_steps:
        Agent.load(path).learn(progress=Plain())
    return path


def fields_of(method: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Preset and fields of a method's runs, as far as the command names them and the method has them."""
    config = METHODS[method].config
    on_policy = issubclass(config, OnPolicyConfig)
    steps = arguments.on_policy_steps if on_policy and arguments.on_policy_steps else arguments.total_steps
    named: dict[str, Any] = {} if steps is None else {"total_steps": steps}
    for assignment in arguments.set:
        name, _, value = assignment.partition("=")
        named[name] = json.loads(value)
    fields = {field.name for field in dataclasses.fields(config)}
    return {"preset": arguments.preset, **{name: value for name, value in named.items() if name in fields}}


def summary(run: Path) -> dict[str, float]:
    """Figures of one run: ends of the curves, violations while training, swings of the cost after the first quarter."""
    rows = metrics.read(RunFolder(run).metrics_path)
    evals, train_rows = rows.filter(pl.col("phase") == "eval"), rows.filter(pl.col("phase") == "train")
    last = evals.tail(max(1, len(evals) // 10))
    later = evals.filter(pl.col("step") > 0.25 * evals["step"][-1])
    timing = metrics.read(RunFolder(run).timing_path)
    return {
        "return": last["return"].mean(),
        "cost": last["cost"].mean(),
        "best safe return": evals.filter(pl.col("cost") <= 1.0)["return"].max(),
        "cost variation": later["cost"].diff().abs().mean(),
        "training violations": train_rows["violations"][-1],
        "λ": train_rows["lam"][-1],
        "λ change": last["probe_lam_change"].mean(),
        "ρ": train_rows["rho"][-1],
        "minutes": float(timing["seconds"].sum()) / 60.0,
    }  # pyright: ignore[reportReturnType]


def table(rows: list[tuple[str, int, dict[str, float]]]) -> str:
    """A Markdown table of summaries."""
    names = list(rows[0][2])
    lines = [f"| method | seed | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for method, seed, figures in rows:
        cells = ["–" if figures[n] is None else f"{figures[n]:,.4g}" for n in names]
        lines.append(f"| {method} | {seed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Train what is missing and write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--task", default="SafetyHalfCheetahVelocity-v1")
    parser.add_argument("--methods", nargs="+", default=list(DEFAULT), choices=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--total-steps", type=int)
    parser.add_argument("--on-policy-steps", type=int, help="total steps of the on-policy methods, where they differ")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="FIELD=JSON", help="fields of the methods that have them"
    )
    parser.add_argument("--root", type=Path, default=Path("runs"))
    parser.add_argument("--name", default="velocity", help="of the files in benchmarks/results")
    arguments = parser.parse_args()
    began, runs, rows = time.monotonic(), [], []
    for seed in arguments.seeds:
        for method in arguments.methods:
            run = train(method, arguments.task, seed, arguments.root, fields_of(method, arguments))
            runs.append(run)
            rows.append((method, seed, summary(run)))
            print(table(rows), flush=True)
    rows.sort(key=lambda row: (arguments.methods.index(row[0]), row[1]))
    RESULTS.mkdir(exist_ok=True)
    runs.sort(key=lambda run: arguments.methods.index(run.parent.name))
    compare_picture(runs, RESULTS / f"{arguments.name}.png")
    settings = {method: fields_of(method, arguments) for method in arguments.methods}
    steps = {method: make_config(method, **fields).total_steps for method, fields in settings.items()}
    first = steps[arguments.methods[0]]
    others = "".join(f", {method} {count:,}" for method, count in steps.items() if count != first)
    title = f"# {arguments.task}, preset `{arguments.preset}`, {first:,} steps{others}"
    command = f"`python benchmarks/curves.py {shlex.join(sys.argv[1:])}`"
    text = f"{title}\n\n{command}\n\n{table(rows)}\n\n![curves]({arguments.name}.png)\n"
    write_text_atomic(RESULTS / f"{arguments.name}.md", text)
    print(f"{(time.monotonic() - began) / 60.0:.0f} minutes")


if __name__ == "__main__":
    main()
