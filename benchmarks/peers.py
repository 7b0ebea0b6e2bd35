"""SAC-Lag beside the same method of a peer, OmniSafe 0.5.0: a gradient step, and training on SafetyPointGoal1-v0.

    python benchmarks/peers.py --output benchmarks/results           # ten minutes or more

OmniSafe needs Python 3.10; it is installed once, from the package index, into `--environment` (some 6 GB, most of them
the GPU libraries of PyTorch's default build, which aren't used). An environment that has it already, say with PyTorch's
build for the CPU, is named with `--python`. Without Python 3.10 the command says so and stops. The two take turns on
two threads each, and figures are medians over the turns.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from original import find_python

from statewise.config import LagConfig
from statewise.envs import make_vector
from statewise.storage.files import write_text_atomic
from statewise.training.engine import Engine

PEER = Path(__file__).parent / "peer_omnisafe.py"
PACKAGES = (
    "omnisafe==0.5.0", "safety-gymnasium==1.0.0", "torch==2.14.1",
    "mujoco==2.3.3", "numpy==1.23.5", "gymnasium==0.28.1",
)  # fmt: skip
TASK = "SafetyPointGoal1-v0"
THREADS = 2
EPISODE = 1000
NEVER = 2**40
MATCHED: dict[str, Any] = {"n_cost_samples": 1, "optimizer": "adam"}
WAITING: dict[str, dict[str, str]] = {"spinning": {}, "sleeping": {"OMP_WAIT_POLICY": "PASSIVE"}}
"""How PyTorch's threads wait for each other: spinning is its default, and crawls where others use the cores too."""
NOTES = """\
Spinning and sleeping are how PyTorch's threads wait for each other; spinning is its default, and crawls where other
programs use the cores too, so that row says more about the load than about OmniSafe. All others take the faster one.

Matched: two hidden layers of 256 (ReLU), batch 256, twin reward critics, automatic temperature, policy and target
networks moved at every gradient step, float32, two threads; sampling from the replay and the figures for the log are
in every number. OmniSafe: Adam, one cost critic, the multiplier moved at every update by the mean cost of episodes.
Statewise: twin cost critics, the multiplier moved every tenth gradient step by a minibatch of its own; matched: one
action in the cost estimate and Adam, defaults: K = 5 actions and RAD. By their matrix products both do 1.1 GFLOP in a
matched step: OmniSafe trains a critic less, but its policy step also works out gradients of the critics' weights, which
it drops. Statewise runs 8 gradient steps a call for each world, OmniSafe one.

Training: half a gradient step for every environment step, warm-up left out, no evaluation and no checkpoint, episodes
of 1000 steps with their resets. OmniSafe resets its single world twice at every end of an episode, as its own wrapper
and the environment's both do. More worlds are processes of their own, with as many transitions of the batch from each;
two, since there are two cores. Its random warm-up hangs with more than one, so it is off there. Its environment is
safety-gymnasium 1.0.0.
"""


class Times(NamedTuple):
    """Seconds of wall clock and of processor time (None where not known), of a gradient or an environment step."""

    wall: float
    cpu: float | None


Turn = Callable[[], Times]


class Row(NamedTuple):
    """A comparison: what, unit ("ms", or "steps/s"), the peer's turns and ours, how many times faster is asked."""

    what: str
    unit: str
    theirs: list[Times]
    ours: list[Times]
    asked: str = ""


# --- the peer --------------------------------------------------------------------------------------------------------


def peer_python(environment: Path) -> str:
    """The interpreter that has OmniSafe, built if it isn't there; SystemExit without Python 3.10."""
    python, installed = environment / "bin" / "python", environment / ".installed"
    if not installed.exists():
        base = find_python()
        if base is None:
            raise SystemExit(
                "OmniSafe 0.5.0 needs Python 3.10, and none was found: install one, say with pyenv install 3.10, "
                "or name an interpreter that has omnisafe with --python"
            )
        subprocess.run([base, "-m", "venv", environment], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        installed.touch()
    return str(python.absolute())


def ask(python: str, waiting: str, *arguments: str) -> Times:
    """What `peer_omnisafe.py` prints, in a process of its own."""
    environment = {**os.environ, **WAITING[waiting]}
    done = subprocess.run([python, PEER, *arguments], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{python} {PEER} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return Times(**json.loads(done.stdout.splitlines()[-1]))


# --- ours ------------------------------------------------------------------------------------------------------------


def make_engine(stack: ExitStack, worlds: int, **fields: Any) -> Engine:
    """A run of SAC-Lag, its replay in a temporary folder, warmed up until it has learnt two blocks."""
    config = LagConfig(
        num_envs=worlds, threads=THREADS, total_steps=NEVER, warmup_steps=EPISODE, replay_capacity=100_000, zeta=1e-16,
        eval_interval=NEVER, checkpoint_interval=1_000_000, **fields,
    )  # fmt: skip
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    env = make_vector(TASK, worlds, threads=THREADS)
    stack.callback(env.close)
    engine = Engine.for_task(config, env, folder / "replay.bin")
    engine.restart()
    while engine.step <= config.learning_starts:
        engine.block()
    return engine


def gradient_step(engine: Engine, seconds: float) -> Times:
    """Time of one gradient step, sampling included, as the median over blocks."""
    blocks, end = [], time.perf_counter() + seconds
    while len(blocks) < 3 or time.perf_counter() < end:
        before, steps = clocks(), engine.learner.gradient_step
        engine.learner.learn(engine.memory)
        blocks.append((clocks() - before) / (engine.learner.gradient_step - steps))
    return Times(*np.median(blocks, axis=0).tolist())


def training(engine: Engine) -> Times:
    """Time of one environment step, gradient steps included, over an episode of every world."""
    before, step = clocks(), engine.step
    while engine.step < step + EPISODE * engine.env.num_envs:
        engine.block()
    return Times(*((clocks() - before) / (engine.step - step)).tolist())


def clocks() -> NDArray[np.float64]:
    """Wall clock and processor time."""
    return np.array([time.perf_counter(), time.process_time()])


# --- in turn ---------------------------------------------------------------------------------------------------------


def in_turn(turns: dict[str, Turn], rounds: int) -> dict[str, list[Times]]:
    """Every turn once a round."""
    times: dict[str, list[Times]] = {name: [] for name in turns}
    for number in range(rounds):
        for name, turn in turns.items():
            times[name].append(turn())
            print(f"round {number + 1}: {name}, {1e3 * times[name][-1].wall:.2f} ms", file=sys.stderr, flush=True)
    return times


def compare(python: str, rounds: int, seconds: float) -> list[Row]:
    """Gradient steps first, then training with whichever way of waiting was faster for the peer."""
    with ExitStack() as stack:
        one, two, eight = (make_engine(stack, worlds, **MATCHED) for worlds in (1, 2, 8))
        defaults = make_engine(stack, 8)
        peers = {w: partial(ask, python, w, "--seconds", str(seconds)) for w in WAITING}
        ours = {
            "matched": partial(gradient_step, eight, seconds),
            "defaults": partial(gradient_step, defaults, seconds),
        }
        steps = in_turn({**peers, **ours}, rounds)
        waiting = min(WAITING, key=lambda w: median(times.wall for times in steps[w]))
        peers = {f"peer {n}": partial(ask, python, waiting, "--epochs", "1", "--worlds", str(n)) for n in (1, 2)}
        engines = {"one": one, "two": two, "eight": eight, "defaults": defaults}
        runs = in_turn({**peers, **{name: partial(training, engine) for name, engine in engines.items()}}, rounds)
    return [
        *(
            Row(f"gradient step, OmniSafe {w}, matched", "ms", steps[w], steps["matched"], "5" if w == waiting else "")
            for w in WAITING
        ),
        Row(f"gradient step, OmniSafe {waiting}, our defaults", "ms", steps[waiting], steps["defaults"]),
        Row("training, 1 world against 8", "steps/s", runs["peer 1"], runs["eight"], "6"),
        Row("training, 1 world against 8, our defaults", "steps/s", runs["peer 1"], runs["defaults"]),
        Row("training, 2 worlds against 8", "steps/s", runs["peer 2"], runs["eight"]),
        Row("training, 1 world each", "steps/s", runs["peer 1"], runs["one"]),
        Row("training, 2 worlds each", "steps/s", runs["peer 2"], runs["two"]),
    ]


def line(row: Row) -> str:
    """A row of the table: medians over the turns, of the ratios as well."""
    turns = list(zip(row.theirs, row.ours, strict=True))
    wall = median(theirs.wall / ours.wall for theirs, ours in turns)
    cpu = [theirs.cpu / ours.cpu for theirs, ours in turns if theirs.cpu and ours.cpu]

    def shown(times: list[Times]) -> str:
        middle = median(each.wall for each in times)
        return f"{1e3 * middle:.2f} ms" if row.unit == "ms" else f"{1.0 / middle:.0f} /s"

    cells = [row.what, shown(row.theirs), shown(row.ours), f"{wall:.1f}", f"{median(cpu):.1f}" if cpu else "–"]
    return f"| {' | '.join([*cells, row.asked])} |"


def main() -> None:
    """Measure, print a table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, default=Path(".venv-omnisafe"), help="where OmniSafe is installed")
    parser.add_argument("--python", help="an interpreter that has OmniSafe already")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--seconds", type=float, default=5.0, help="of gradient steps in one turn")
    parser.add_argument("--output", type=Path, help="folder for peers.md")
    options = parser.parse_args()
    python = options.python or peer_python(options.environment)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])  # inherited by the peer
    before = os.getloadavg()[0]
    rows = compare(python, options.rounds, options.seconds)
    lines = [
        "| what | OmniSafe | Statewise | times faster | by processor time | asked |",
        "|---" * 6 + "|",
        *(line(row) for row in rows),
        "",
        f"Medians of {options.rounds} turns; load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after.",
        "",
        NOTES,
    ]
    text = "\n".join(lines)
    print(text, end="")
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        write_text_atomic(options.output / "peers.md", text)


if __name__ == "__main__":
    main()
