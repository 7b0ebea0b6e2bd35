"""What the training loop costs beside its parts: whole training against update and environment alone, start-up, memory.

    python benchmarks/training.py                    # some minutes on two quiet cores
    python benchmarks/training.py --output DIR       # also writes DIR/training.md

One process trains SAC-ALaM on HalfCheetah with the networks and batch of Table I and takes turns, block by block,
between the whole loop (sampling, replay, learning, metrics), the compiled update alone on minibatches drawn before,
and the worlds alone with actions drawn before. The ratio of the first to the sum of the others is a median.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np

from statewise.config import SacConfig
from statewise.core.types import Dims, TaskFacts
from statewise.envs import SafeVectorEnv, make_vector
from statewise.methods import metric_columns
from statewise.sac.sac_learner import SacLearner
from statewise.spec import RunSpec, make_config
from statewise.storage.files import write_text_atomic
from statewise.storage.replay import Replay, RowLayout
from statewise.storage.run_files import RunFiles
from statewise.storage.run_folder import RunFolder
from statewise.training.engine import Engine
from statewise.training.evaluator import Evaluator
from statewise.training.learners import build_learner
from statewise.training.loop import Trainer

TASK = "SafetyHalfCheetahVelocity-v1"
NEVER = 2**40


def loop_against_parts(root: Path, blocks: int) -> dict[str, float]:
    """Milliseconds a block of the whole loop, of the update and of the worlds; their ratio; peak and present memory."""
    config = sac_config(
        "sac-alam", total_steps=NEVER, warmup_steps=1000, replay_capacity=100_000, zeta=1e-16,
        eval_interval=NEVER, checkpoint_interval=1_000_000,
    )  # fmt: skip
    env, spare = make_vector(TASK, config.num_envs), make_vector(TASK, config.num_envs)
    with (
        RunFolder.create(root / "run", RunSpec(TASK, config).to_json()) as run,
        RunFiles(run, metric_columns("sac-alam"), config.checkpoints_kept) as files,
    ):
        engine = Engine.for_task(config, env, run.replay_path)
        trainer = Trainer(engine, Evaluator(spare, engine.policy), files)
        trainer.start()
        parts: dict[str, Callable[[], Any]] = {
            "loop": lambda: trainer.block(NEVER),  # not `train`, whose end evaluates
            "update": _update_alone(engine),
            "worlds": _worlds_alone(engine, spare),
        }
        trainer.train(20 * config.block_env_steps)
        times: dict[str, list[float]] = {name: [] for name in parts}
        for _ in range(blocks):
            for name, part in parts.items():
                began = time.perf_counter()
                part()
                times[name].append(time.perf_counter() - began)
    ratios = [a / (b + c) for a, b, c in zip(*times.values(), strict=True)]
    figures = {f"{name} (ms a block)": 1000.0 * median(values) for name, values in times.items()}
    return {**figures, "loop / (update + worlds)": median(ratios), **_memory()}


def sac_config(method: str, **fields: Any) -> SacConfig:
    """`make_config` for a method on SAC."""
    config = make_config(method, "paper", **fields)
    assert isinstance(config, SacConfig)
    return config


def _update_alone(engine: Engine) -> Callable[[], Any]:
    """One block of the compiled update on fixed minibatches, with a state of its own."""
    learner = engine.learner
    assert isinstance(learner, SacLearner)
    state = jax.tree.map(jax.numpy.copy, learner.state)

    def run() -> None:
        nonlocal state
        rows, dual = cached()
        state, figures = learner.compiled_update(state, rows, dual, learner.keys.learn)
        jax.device_get(figures)

    drawn: list[Any] = []

    def cached() -> Any:
        if not drawn:
            drawn.extend(learner.draw(engine.memory))
        return drawn

    return run


def _worlds_alone(engine: Engine, env: SafeVectorEnv) -> Callable[[], Any]:
    config = engine.config
    env.reset(seed=1)
    shape = (config.block_env_steps // env.num_envs, env.num_envs, engine.learner.layout.act_dim)
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, shape)
    return lambda: [env.step(action) for action in actions]


def _memory() -> dict[str, float]:
    """Present and peak resident megabytes of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = {line.split(":")[0]: float(line.split()[1]) for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return {"memory after (MB)": kilobytes["VmRSS"] / 1000, "peak while compiling (MB)": kilobytes["VmHWM"] / 1000}


def learn_one_block() -> None:
    """Compile and run one block of SAC-ALaM with Table I's sizes, observation 60, action 2."""
    config = sac_config("sac-alam")
    learner, layout = build_learner(config, TaskFacts(Dims(60, 2))), RowLayout(60, 2)
    replay = Replay(layout, 2_000_000)
    replay.add(np.random.default_rng(0).uniform(-1, 1, (1000, layout.width)).astype(np.float32))
    learner.learn(replay)


def first_block_seconds() -> dict[str, float]:
    """Seconds until a first block has been compiled and run, with an empty cache and in a second process."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "STATEWISE_CACHE_DIR": cache}
        seconds = [
            float(subprocess.check_output([sys.executable, __file__, "--first-block"], env=environment, text=True))
            for _ in range(2)
        ]
    return {"first block, empty cache (s)": seconds[0], "first block, second process (s)": seconds[1]}


def import_seconds() -> dict[str, float]:
    """Seconds of `import statewise` and of `statewise --help`, whole processes less an empty one."""

    def run(code: str) -> float:
        times = []
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
        return median(times)

    empty = run("")
    help_code = "import sys; from statewise.cli import main; main(['--help'])"
    return {"import statewise (s)": run("import statewise") - empty, "statewise --help (s)": run(help_code) - empty}


def replay_memory() -> dict[str, float]:
    """Gigabytes of a replay of 2·10⁶ transitions of observation 60 and action 2, the default slack included."""
    config = sac_config("sac-alam")
    slack = config.checkpoints_kept * (config.checkpoint_interval + config.block_env_steps)
    rows = config.replay_capacity + slack
    return {"replay, 2·10⁶ × (60, 2) (GB)": rows * RowLayout(60, 2).width * 4 / 1e9}


def main() -> None:
    """Measure, print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=60, help="turns of loop, update and worlds")
    parser.add_argument("--output", type=Path, help="folder for training.md")
    parser.add_argument("--first-block", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.first_block:
        began = time.perf_counter()
        learn_one_block()
        print(time.perf_counter() - began)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = loop_against_parts(Path(folder), arguments.blocks)
    figures |= {**first_block_seconds(), **import_seconds(), **replay_memory()}
    lines = ["| figure | value |", "|---|---|", *(f"| {name} | {value:.4g} |" for name, value in figures.items())]
    print("\n".join(lines))
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
        write_text_atomic(arguments.output / "training.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
