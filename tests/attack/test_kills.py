"""Runs through the command line that die at every single change of a file: each ends as a run left alone does."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.attacks import SCALE, TASK, Attacks, compile_once
from support.killing import FileOperations, Killed

from statewise.cli import commands, main
from statewise.report import pictures
from statewise.storage.files import write_bytes_atomic
from statewise.storage.run_folder import RunFolder

ANY: dict[str, Any] = {
    "preset": "paper",
    "total-steps": 48,
    "num-envs": 2,
    "threads": 1,
    "hidden": 8,
    "log-interval": 24,
    "eval-interval": 24,
    "eval-envs": 1,
    "checkpoint-interval": 16,
    "checkpoints-kept": 1,
}
SAC: dict[str, Any] = {
    "warmup-steps": 8,
    "batch-size": 8,
    "block-length": 4,
    "replay-capacity": 16,  # with its slack of 24 rows it wraps around
}
FIELDS: dict[str, dict[str, Any]] = {
    "sac-alam": {**ANY, **SAC, "dual-interval": 7, "dual-steps": 2},
    "ppo": {**ANY, "epoch-steps": 16, "minibatch-size": 8, "update-epochs": 2},
}
if SCALE > 1:
    FIELDS |= {name: {**ANY, **SAC} for name in ("sac", "sac-pid", "sac-fpi")}
    FIELDS |= {"sac-lagnet": FIELDS["sac-alam"], "p3o": FIELDS["ppo"], "crpo": FIELDS["ppo"]}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile each method once, and let the picture be a digest of the figures that it shows."""
    compile_once(monkeypatch)

    def picture(run: Path, output: Path | None = None, *, frames: Any = ()) -> Path:
        del output, frames
        folder = RunFolder(run)
        write_bytes_atomic(folder.picture_path, hashlib.sha256(folder.metrics_path.read_bytes()).digest())
        return folder.picture_path

    monkeypatch.setattr(pictures, "run_picture", picture)
    monkeypatch.setattr(commands, "_frames", lambda agent: [])


def train(root: Path, method: str) -> list[str]:
    """Arguments of the command."""
    fields = [part for name, value in FIELDS[method].items() for part in (f"--{name}", str(value))]
    return ["train", method, TASK, "--root", str(root), "--quiet", *fields]


def run_of(root: Path) -> Path | None:
    """The run below `root`, once its configuration is there."""
    return next((path.parent for path in root.glob("*/*/*/config.json")), None)


def command(root: Path, method: str) -> list[str]:
    """What a user would enter: the run is resumed where there is one."""
    run = run_of(root)
    return train(root, method) if run is None else ["resume", str(run), "--quiet"]


def files(root: Path) -> dict[str, bytes]:
    """Every file that is no record of time, or of the process at work."""
    run = run_of(root)
    assert run is not None
    paths = (path for path in run.rglob("*") if path.is_file() and path.name not in ("timing.csv", ".lock"))
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files that the dead left open
@pytest.mark.parametrize("method", FIELDS)
def test_a_run_that_dies_at_any_change_of_a_file_ends_as_if_left_alone(
    method: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attacks: Attacks
) -> None:
    operations = FileOperations(tmp_path, monkeypatch)
    operations.start()
    assert main(train(tmp_path / "alone", method)) == 0
    expected, changes = files(tmp_path / "alone"), operations.count
    assert {"config.json", "metrics.csv", "machine.json", "progress.png", "checkpoints/best.safetensors"} <= set(
        expected
    )

    kills = 0
    for fatal in range(1, changes + 1):
        root = tmp_path / f"killed-{fatal}"
        for again in range(2 if fatal % 8 == 0 else 1):  # every eighth one dies in its resume as well
            operations.start(fatal if again == 0 else 1 + fatal % 17)
            with contextlib.suppress(Killed):
                main(command(root, method))
            kills += operations.count >= operations.fatal
        operations.start()
        assert main(command(root, method)) == 0, fatal
        assert differing(files(root), expected) == [], fatal
        shutil.rmtree(root)
    attacks.note("kills at a change of a file", kills)
    assert kills >= changes
