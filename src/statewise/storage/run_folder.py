"""The folder of a run: its place, its files, and the lock that lets one process at a time write there."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from urllib.parse import quote

from statewise.errors import RunError
from statewise.storage.files import write_text_atomic

_LOCK_NAME = ".lock"


def run_folder(root: Path, task: str, method: str, seed: int, config_hash: str) -> Path:
    """`root/task/method/seed-<seed>-<config_hash>`, the task escaped so that it is one folder's name."""
    folder = quote(task, safe="")
    if not folder.strip("."):
        raise ValueError(f"task is {task!r}: give the id of an environment")
    return root / folder / method / f"seed-{seed}-{config_hash}"


class RunFolder:
    """Files of one run; as a context manager it holds the run's lock, which a killed process gives back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @classmethod
    def create(cls, path: Path, config_json: str, *, overwrite: bool = False) -> RunFolder:
        """A new run at `path`, with its configuration written and its lock held.

        `overwrite` empties a run folder that is there already. Raises RunError when there is a run and it is
        not to be overwritten, when a process uses it, or when the folder holds anything else than a run.
        """
        run = cls(path)
        if path.exists() and not run.config_path.is_file() and not _is_blank(path):
            raise RunError(f"{path} is not empty and not a run folder: choose another --root")
        path.mkdir(parents=True, exist_ok=True)
        run.lock()
        try:
            if run.config_path.exists():
                if not overwrite:
                    raise RunError(f"{path} holds a run: resume it, choose another --root, or --overwrite it")
                run._clear()
            write_text_atomic(run.config_path, config_json)
        except BaseException:
            run.unlock()
            raise
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run at `path`, its lock not yet held. Raises RunError when there is none."""
        run = cls(path)
        if not run.config_path.is_file():
            raise RunError(f"{path} is not a run folder: it holds no {run.config_path.name}")
        return run

    @property
    def config_path(self) -> Path:
        """Configuration, JSON."""
        return self.path / "config.json"

    @property
    def metrics_path(self) -> Path:
        """Figures, a function of seed and configuration, CSV."""
        return self.path / "metrics.csv"

    @property
    def timing_path(self) -> Path:
        """Wall-clock figures, CSV."""
        return self.path / "timing.csv"

    @property
    def replay_path(self) -> Path:
        """Rows of the replay buffer."""
        return self.path / "replay.bin"

    @property
    def calibration_path(self) -> Path:
        """What `statewise calibrate` found, JSON."""
        return self.path / "calibration.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def lock(self) -> None:
        """Hold the run's lock, which the kernel gives back when this process ends in whatever way.

        Raises RunError when another holder has it.
        """
        if self._lock is not None:
            return
        descriptor = os.open(self.path / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode() or "unknown"
            os.close(descriptor)
            raise RunError(f"{self.path} is in use by process {holder}: wait for it, or stop it") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock = descriptor

    def unlock(self) -> None:
        """Give the lock back; without one nothing happens."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> RunFolder:
        self.lock()
        return self

    def __exit__(self, *exception: object) -> None:
        self.unlock()

    def _clear(self) -> None:
        """Empty the folder, the configuration last: cut short, the folder still counts as a run."""
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry not in (self.config_path, self.path / _LOCK_NAME):
                entry.unlink()
        self.config_path.unlink()


def _is_blank(path: Path) -> bool:
    """Whether `path` is a folder with hidden files at most, as a creation that was cut short leaves it."""
    return path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())
