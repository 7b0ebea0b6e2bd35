"""The folder of a run: its place, which files are a run's, and the lock that lets one process at a time write there."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from statewise.errors import RunError
from statewise.storage.files import remove_temporary_files, write_text_atomic
from statewise.storage.lock import LOCK_NAME, FolderLock

_CONFIG_NAME = "config.json"
_MARKER = {"statewise", "method", "task", "config"}
"""Keys of a config.json by which a folder is known as a run's."""

_NAMES = {
    "checkpoints": re.compile(r"(step-\d{12}|best)\.safetensors"),
    "tensorboard": re.compile(r"events\.out\.tfevents\..+"),
    "": re.compile(r"(metrics|timing)\.csv|(config|machine|failure)\.json|replay\.bin|progress\.png"),
}
"""What a run writes, by folder. The checkpoints come first: while one is left, the rest of the run is."""


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
        self._lock = FolderLock(path)

    @classmethod
    def create(cls, path: Path, config_json: str, *, overwrite: bool = False) -> RunFolder:
        """A new run at `path`, with its configuration written and its lock held.

        `overwrite` removes the files of a run that is there already, and nothing else. Raises RunError when there is a
        run and it is not to be overwritten, when a process uses it, or when the folder holds anything else than a run.
        """
        run = cls(path)
        if path.exists() and not _is_config(run.config_path) and not _is_blank(path):
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
            raise RunError(f"{path} is not a run folder: it holds no {_CONFIG_NAME}")
        if not _is_config(run.config_path):
            raise RunError(f"{path} is not a run folder: its {_CONFIG_NAME} is damaged, or not one of Statewise")
        return run

    @property
    def config_path(self) -> Path:
        """Configuration, JSON; by it a folder is known as a run's."""
        return self.path / _CONFIG_NAME

    @property
    def metrics_path(self) -> Path:
        """Figures, a function of seed and configuration, CSV."""
        return self.path / "metrics.csv"

    @property
    def timing_path(self) -> Path:
        """Wall-clock figures, CSV."""
        return self.path / "timing.csv"

    @property
    def machine_path(self) -> Path:
        """Processor and versions that computed the run, JSON."""
        return self.path / "machine.json"

    @property
    def replay_path(self) -> Path:
        """Rows of the replay buffer."""
        return self.path / "replay.bin"

    @property
    def picture_path(self) -> Path:
        """The picture of the run."""
        return self.path / "progress.png"

    @property
    def failure_path(self) -> Path:
        """Why the run broke off behind its newest checkpoint, JSON."""
        return self.path / "failure.json"

    @property
    def calibration_path(self) -> Path:
        """What `statewise calibrate` found, JSON."""
        return self.path / "calibration.json"

    @property
    def calibration_picture_path(self) -> Path:
        """The picture of that."""
        return self.path / "calibration.png"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def lock(self) -> None:
        """Hold the run's lock, and remove what writers that were killed left behind.

        Raises RunError when another holder has it, or where a file of the run is a link to elsewhere.
        """
        self._lock.acquire()
        try:
            self._require_own_files()
            for folder, names in _NAMES.items():
                remove_temporary_files(self.path / folder, names)
        except BaseException:
            self.unlock()
            raise

    def unlock(self) -> None:
        """Give the lock back; without one nothing happens."""
        self._lock.release()

    def __enter__(self) -> RunFolder:
        self.lock()
        return self

    def __exit__(self, *exception: object) -> None:
        self.unlock()

    def _files(self) -> Iterator[Path]:
        """The files here that a run writes."""
        for folder, names in _NAMES.items():
            path = self.path / folder
            yield from sorted(entry for entry in path.glob("*") if names.fullmatch(entry.name))

    def _require_own_files(self) -> None:
        """Raise RunError for a link or anything else in the place of a file or folder that a run writes."""
        for path in (self.path / folder for folder in _NAMES if folder):
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise RunError(
                    f"{path} is no folder of its own: a run writes into no other place; move the folder there"
                )
        for path in self._files():
            if not stat.S_ISREG(path.lstat().st_mode):
                raise RunError(f"{path} is no file of its own: a run writes into no other place; move the file there")

    def _clear(self) -> None:
        """Remove what a run writes but the configuration, by which the folder still counts as a run when cut short."""
        for path in self._files():
            if path != self.config_path:
                path.unlink()
        for path in (self.path / folder for folder in _NAMES if folder):
            if path.exists() and not any(path.iterdir()):
                path.rmdir()


def _is_config(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.keys() >= _MARKER and isinstance(content["statewise"], str)


def _is_blank(path: Path) -> bool:
    """Whether `path` is an empty folder, but for what a creation that was cut short leaves there."""
    leftover = re.compile(rf"{re.escape(LOCK_NAME)}|\.{re.escape(_CONFIG_NAME)}\.\d+\.tmp")
    return path.is_dir() and all(leftover.fullmatch(entry.name) for entry in path.iterdir())
