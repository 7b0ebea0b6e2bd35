"""Measures the first blocks of one run, in a process of its own with the threads of the real one.

python -m statewise.experiments.grid.probe < config.json > measured.json
"""

from __future__ import annotations

import dataclasses
import json
import resource
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

from statewise.config import RunConfig
from statewise.methods import find_method

if TYPE_CHECKING:
    import polars

_DISK_BLOCK = 512
"""Bytes of what `st_blocks` counts."""
FEW_STEPS = 4_096
"""A block of more environment steps than this is long enough for a few of them to be measured."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a run takes: seconds on its cores, bytes of memory and disk.

    start: what a process takes beside its steps, compilation included; step, update: sampling and learning for one
    environment step; evaluation, checkpoint: one of them; replay_step: what its replay grows by in one step.
    """

    start_seconds: float
    step_seconds: float
    update_seconds: float
    evaluation_seconds: float
    checkpoint_seconds: float
    memory_bytes: float
    checkpoint_bytes: float
    replay_step_bytes: float


def shortened(config: RunConfig) -> RunConfig:
    """The configuration of a run of a few blocks, each with a row of metrics, every third one evaluated and saved."""
    fields: dict[str, Any] = {"warmup_steps": 1} if "warmup_steps" in config.to_dict() else {}
    block = config.block_env_steps
    blocks, interval = (4, 1) if block > FEW_STEPS else (12, 3)
    return config.replace(
        total_steps=blocks * block,
        log_interval=block,
        eval_interval=interval * block,
        checkpoint_interval=interval * block,
        **fields,
    )


def measure(task: str, config: RunConfig, began: float) -> Measured:
    """Train a few blocks in a temporary folder; began: when this process started, of `time.time()`."""
    from statewise import Agent
    from statewise.storage import metrics

    short = shortened(config)
    with tempfile.TemporaryDirectory() as folder:
        agent = Agent.from_config(short, task, root=folder).learn()
        assert agent.run_path is not None
        rows = metrics.read(agent.run_path / "timing.csv")
        checkpoint = max(path.stat().st_size for path in (agent.run_path / "checkpoints").iterdir())
        replay = agent.run_path / "replay.bin"
        replay_bytes = replay.stat().st_blocks * _DISK_BLOCK if replay.exists() else 0
    step, update, evaluation, save = rates(rows, short.block_env_steps)
    return Measured(
        start_seconds=time.time() - began - float(_settled(rows)["seconds"].sum()),
        step_seconds=step,
        update_seconds=update,
        evaluation_seconds=evaluation,
        checkpoint_seconds=save,
        memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        checkpoint_bytes=checkpoint,
        replay_step_bytes=replay_bytes / short.total_steps,
    )


def rates(rows: polars.DataFrame, block: int) -> tuple[float, float, float, float]:
    """Seconds of sampling and of learning for one step, of one evaluation and of one checkpoint."""
    settled = _settled(rows)
    steps = len(settled) * block
    sample, update = (float(settled[f"{part}_seconds"].sum()) / steps for part in ("sample", "update"))
    occasions = (settled[f"{part}_seconds"].to_numpy() for part in ("evaluate", "checkpoint"))
    evaluation, checkpoint = (float(seconds[seconds > 0].mean()) for seconds in occasions)
    return sample, update, evaluation, checkpoint


def _settled(rows: polars.DataFrame) -> polars.DataFrame:
    """The second half, in which nothing is compiled any more."""
    return rows[len(rows) // 2 :]


def main() -> None:
    """Read what to measure from standard input, write what came out to standard output."""
    asked = json.load(sys.stdin)
    config = find_method(asked["method"]).config.from_dict(asked["config"])
    print(json.dumps(dataclasses.asdict(measure(asked["task"], config, asked["began"]))))


if __name__ == "__main__":
    main()
