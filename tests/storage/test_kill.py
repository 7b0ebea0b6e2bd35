"""A run that is killed at random moments goes on from its last checkpoint to the very same bytes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from statewise.methods import metric_columns
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.metrics import MetricsWriter, read
from statewise.storage.replay import Replay, RowLayout
from statewise.storage.run_folder import RunFolder

LAYOUT = RowLayout(obs_dim=3, act_dim=2)
CAPACITY, SLACK, BLOCK, INTERVAL = 500, 350, 50, 300

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_kill import train
train(Path(sys.argv[1]))
"""


def train(path: Path) -> None:
    """Write rows whose every number is their place in the run, with a checkpoint each INTERVAL, for ever."""
    with RunFolder.open(path) as run:
        store = CheckpointStore(run.checkpoints, keep=2)
        replay = Replay(LAYOUT, CAPACITY, slack=SLACK, path=run.replay_path)
        metadata = store.load_latest()[2] if store.latest() else {"count": 0, "position": 0}
        replay.rewind(metadata["count"])
        metrics = MetricsWriter(run.metrics_path, metric_columns("sac"), position=metadata["position"])
        while True:
            replay.add(expected_rows(replay.count, replay.count + BLOCK))
            metrics.append({"step": replay.count, "phase": "train", "lam": replay.count / 7})
            if replay.count % INTERVAL == 0:
                replay.flush()
                metrics.flush()
                metadata = {"count": replay.count, "position": metrics.position}
                store.save(replay.count, {"w": np.full(1000, replay.count, np.float32)}, metadata)
                print("saved", flush=True)


def expected_rows(start: int, stop: int) -> np.ndarray:
    return np.repeat(np.arange(start, stop, dtype=np.float32)[:, None], LAYOUT.width, axis=1)


def run_and_kill(path: Path, checkpoints: int, seconds: float) -> None:
    """Let a process train for some checkpoints and a moment more."""
    command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(checkpoints):
            assert process.stdout.readline() == "saved\n"
        time.sleep(seconds)
        process.kill()


def check_state(run: RunFolder) -> int:
    """Everything that the last checkpoint promises is there; its step."""
    step, arrays, metadata = CheckpointStore(run.checkpoints, keep=2).load_latest()
    np.testing.assert_array_equal(arrays["w"], np.full(1000, step))
    replay = Replay(LAYOUT, CAPACITY, slack=SLACK, path=run.replay_path)
    replay.rewind(metadata["count"])
    drawn = np.unique(replay.sample(0, 0, (20_000,)), axis=0)
    np.testing.assert_array_equal(drawn, expected_rows(max(0, step - CAPACITY), step))
    frame = read(run.metrics_path)
    assert frame["step"].to_list() == [BLOCK * (number + 1) for number in range(len(frame))]
    assert frame["lam"].to_list() == [count / 7 for count in frame["step"]]
    assert len(frame) * BLOCK >= step
    return step


def test_killed_run_continues_to_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    run = RunFolder.create(tmp_path / "run", '{"statewise": "0", "method": "", "task": "", "config": {}}')
    run.unlock()
    reached = [0]
    for seconds in rng.uniform(0.0, 0.01, size=6):
        run_and_kill(run.path, 2, seconds)
        reached.append(check_state(run))
    assert (np.diff(reached) >= 2 * INTERVAL).all()
    assert reached[-1] > 2 * (CAPACITY + SLACK)
