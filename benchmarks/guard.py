"""What became slower: ratios of this machine's own yardsticks against those of benchmarks/results/baseline.json.

    python benchmarks/guard.py               # some five minutes on two quiet cores; status 1 where something is slower
    python benchmarks/guard.py --accept      # takes what is measured as the new baseline

Each figure is a time over that of a yardstick measured in turns in the same process, so more is slower: a gradient step
over its own operation count at the machine's rate of products, environments over the physics alone, the whole loop over
its parts. Other kinds of processors have other ratios; a baseline speaks for machines like the one it names.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import envs
import navigation
import numpy as np
import training
import update

from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.runtime import machine
from statewise.storage.files import write_text_atomic

BASELINE = Path(__file__).parent / "results" / "baseline.json"
SLOWER = 1.15
"""A ratio above this multiple of the baseline's is named."""
STEPS = 60


def gradient_steps(repeats: int) -> dict[str, float]:
    """Time of a gradient step over its operation count at the rate of float32 products."""
    product = update.matrix_product()
    sides = {
        f"{method}, {preset}, {precision}": update.Learner(
            method, preset, dataclasses.replace(update.sac_config(method, preset), precision=precision)
        )
        for method, preset, precision in (
            ("sac", "standard", "float32"),
            ("sac-alam", "standard", "float32"),
            ("sac-alam", "standard", "bfloat16"),
            ("sac-alam", "paper", "float32"),
        )
    }
    for _ in range(repeats):
        for learner in sides.values():
            learner.repeat(product)
    return {
        f"gradient step / its operations: {name}": median(learner.ratios) * update.REFERENCE_FLOP / learner.flop
        for name, learner in sides.items()
    }


def sampling(repeats: int) -> dict[str, float]:
    """Time of environments over that of the physics alone, one thread."""
    figures = {}
    for task in ("SafetyPointGoal1-v0", "SafetyCarGoal1-v0", "SafetyPointCircle2-v0"):
        env = NavigationVectorEnv(task, 64)
        env.reset(seed=0)
        random, ratios = np.random.default_rng(0), []
        for _ in range(repeats + 1):
            actions = random.uniform(-1.0, 1.0, (STEPS, 64, 2))
            physics = navigation.bare_physics(env, 1, actions, time.perf_counter)
            ratios.append(physics / navigation.whole_env(env, actions, time.perf_counter))
        env.close()
        figures[f"environments / physics: {task}"] = median(ratios[1:])  # the first round warms up
    for task in ("SafetyHalfCheetahVelocity-v1",):
        run = envs.vector_run(task, 64, 1, 3200, time.perf_counter)
        shares = [run().physics_share or 1.0 for _ in range(repeats + 1)][1:]
        figures[f"environments / physics: {task}"] = 1.0 / median(shares)
    return figures


def loop(blocks: int) -> dict[str, float]:
    """Time of whole blocks of training over that of their update and of their environments."""
    with tempfile.TemporaryDirectory() as folder:
        figures = training.loop_against_parts(Path(folder), blocks)
    return {name: figures[name] for name in ("loop / (update + worlds)",)}


def compare(figures: dict[str, float], baseline: dict[str, float]) -> tuple[list[str], list[str]]:
    """A table in Markdown, and the names of what is slower by more than SLOWER."""
    lines = ["| time over its yardstick | baseline | now | now / baseline |", "|---|---|---|---|"]
    slower = []
    for name, now in figures.items():
        before = baseline.get(name)
        if before is None:
            lines.append(f"| {name} | – | {now:.2f} | – |")
            continue
        lines.append(f"| {name} | {before:.2f} | {now:.2f} | {now / before:.2f} |")
        if now > SLOWER * before:
            slower.append(f"{name}: {now / before:.2f} times the baseline")
    return lines, slower


def main() -> int:
    """Measure, compare, and name what is slower."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--accept", action="store_true", help="write the baseline anew")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    figures = {**gradient_steps(options.repeats), **sampling(options.repeats), **loop(12 * options.repeats)}
    known = SimpleNamespace(**json.loads(BASELINE.read_text())) if BASELINE.exists() else None
    lines, slower = compare(figures, {} if known is None else known.ratios)
    print("\n".join(lines))
    if options.accept:
        kept = {"machine": machine(), "ratios": {name: round(value, 3) for name, value in figures.items()}}
        write_text_atomic(BASELINE, json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
        print(f"written to {BASELINE}")
        return 0
    if known is None:
        print("there is no baseline yet: --accept writes one", file=sys.stderr)
        return 1
    if known.machine["processor"] != machine()["processor"]:
        print(f"the baseline is of {known.machine['processor']}, this is {machine()['processor']}", file=sys.stderr)
    for sentence in slower:
        print(f"slower: {sentence}", file=sys.stderr)
    return 1 if slower else 0


if __name__ == "__main__":
    raise SystemExit(main())
