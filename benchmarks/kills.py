"""Kill runs with SIGKILL at random moments, resume them to the end, and compare every byte with a run left alone.

    python benchmarks/kills.py --runs 20

Each run is killed up to three times: first soon after a checkpoint drawn at random, while it samples, learns, evaluates
or writes, then at moments drawn over the whole duration of a process, its start included. Compared are the final
checkpoint, the best one, the metrics and the replay. Ends with exit status 1 where one of them differs. The same seed
run twice must give the same bytes, another seed others.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

METHOD = "sac-alam"
TASK = "SafetyHalfCheetahVelocity-v1"
SETTINGS: dict[str, Any] = {
    "preset": "paper",
    "total_steps": 2_400,
    "num_envs": 2,
    "threads": 1,
    "block_length": 8,
    "warmup_steps": 200,
    "hidden": (16, 16),
    "batch_size": 16,
    "replay_capacity": 1_000,  # with its slack of 464 rows it wraps around
    "learning_rate": 1e-3,
    "dual_interval": 50,
    "observation_normalization": True,
    "log_interval": 100,
    "eval_interval": 800,
    "eval_envs": 1,
    "checkpoint_interval": 200,
}


class Moment(NamedTuple):
    """So many seconds after the checkpoint of `step`, or the first one behind it, is there; step 0: after the start."""

    step: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s after " + (f"checkpoint {self.step}" if self.step else "the start")


class Run(NamedTuple):
    """One killed run: when its processes died, at which step each resume began, and what differs in the end."""

    killed: list[Moment]
    resumed_from: list[int]
    different: list[str]


def work(root: Path, seed: int) -> None:
    """Train the run in `root` to its end, from its newest checkpoint where it has one."""
    from statewise import Agent

    agent = Agent(METHOD, TASK, root=root, seed=seed, **SETTINGS)
    assert agent.run_path is not None
    if newest_step(agent.run_path) is None:
        agent.learn(overwrite=True)
    else:
        Agent.load(agent.run_path).learn()


def worker(root: Path, seed: int = 0) -> subprocess.Popen[bytes]:
    """A process of its own that does `work`."""
    return subprocess.Popen([sys.executable, __file__, "--work", str(root), "--seed", str(seed)])


def finish(root: Path, seed: int = 0) -> float:
    """Let a worker go to the end of the run; the seconds that it took."""
    began = time.monotonic()
    with worker(root, seed) as process:
        if process.wait() != 0:
            raise RuntimeError(f"the run in {root} failed with exit status {process.returncode}")
    return time.monotonic() - began


def kill(root: Path, moment: Moment) -> bool:
    """Start a worker and kill it at `moment`; False where it had ended before."""
    with worker(root) as process:
        while (newest_step(run_path(root)) or 0) < moment.step and process.poll() is None:
            time.sleep(0.005)
        try:
            process.wait(moment.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            return True
    return False


def run_path(root: Path) -> Path | None:
    """The one run folder below `root`, None before it is made."""
    return next(root.glob("*/*/seed-*"), None)


def newest_step(run: Path | None) -> int | None:
    """Step of a run's newest checkpoint."""
    names = [] if run is None else sorted((run / "checkpoints").glob("step-*.safetensors"))
    return int(names[-1].stem.removeprefix("step-")) if names else None


def digests(root: Path) -> dict[str, str]:
    """A digest of each file that has to be a function of configuration and seed."""
    run = run_path(root)
    assert run is not None
    paths = [*sorted((run / "checkpoints").iterdir()), run / "metrics.csv", run / "replay.bin", run / "config.json"]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names of files that are not the same, or not in both."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def draw_moments(rng: np.random.Generator, duration: float) -> list[Moment]:
    """One moment in the middle of the run, then up to two anywhere in a process that takes `duration` seconds."""
    first = Moment(int(rng.integers(1, SETTINGS["total_steps"] - 400)), rng.uniform(0.0, 0.3))
    return [first, *(Moment(0, rng.uniform(0.0, duration)) for _ in range(rng.integers(0, 3)))]


def disturbed(root: Path, expected: dict[str, str], moments: list[Moment]) -> Run:
    """Kill a run's processes at these moments, one after the other, then let it end."""
    killed, resumed = [], []
    for moment in moments:
        if kill(root, moment):
            killed.append(moment)
            resumed.append(newest_step(run_path(root)) or 0)
    finish(root)
    return Run(killed, resumed, differences(expected, digests(root)))


def kill_runs(runs: int, seed: int, root: Path) -> tuple[list[Run], float]:
    """Kill and resume `runs` runs below `root`; also the seconds of an undisturbed one."""
    finish(root / "compile")
    duration = finish(root / "alone")
    expected = digests(root / "alone")
    rng = np.random.default_rng(seed)
    results = []
    for number in range(runs):
        results.append(disturbed(root / f"killed-{number}", expected, draw_moments(rng, duration)))
        print(row(number, results[-1]), flush=True)
    return results, duration


def row(number: int, run: Run) -> str:
    """A line of the table."""
    killed = ", ".join(str(moment) for moment in run.killed)
    resumed = ", ".join(str(step) for step in run.resumed_from)
    return f"| {number} | {killed} | {resumed} | {'yes' if not run.different else ', '.join(run.different)} |"


def main() -> None:
    """Print the table; exit status 1 unless all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments, or of the run with --work")
    parser.add_argument("--work", type=Path, help="train the run in this folder; what the benchmark starts")
    args = parser.parse_args()
    if args.work is not None:
        work(args.work, args.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        print("| run | killed | resumed from step | identical |\n|---|---|---|---|", flush=True)
        results, duration = kill_runs(args.runs, args.seed, root)
        finish(root / "other", seed=1)
        repeats = digests(root / "compile") == digests(root / "alone")
        other = {"metrics.csv", "replay.bin"} <= set(differences(digests(root / "alone"), digests(root / "other")))
    kills = sum(len(run.killed) for run in results)
    same = sum(not run.different for run in results)
    print(f"\n{same} of {len(results)} runs identical after {kills} kills; a run alone takes {duration:.1f} s")
    print(f"same seed, same bytes: {repeats}; another seed, other bytes: {other}")
    sys.exit(0 if same == len(results) and repeats and other else 1)


if __name__ == "__main__":
    main()
