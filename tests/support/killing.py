"""A process that dies at one chosen operation on its files, without a process of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statewise.storage.replay import Replay
from statewise.storage.row_store import RowStore

_CHANGING = ("replace", "rename", "unlink", "remove", "mkdir", "rmdir", "ftruncate", "write", "posix_fallocate")


class Killed(BaseException):
    """In place of SIGKILL."""


class FileOperations:
    """Counts what changes files below `root`, and lets the process die before change number `fatal`, counted from 1.

    Whatever the dying process would still change, on its way through `except` and `finally`, fails as well, as a dead
    one changes nothing. A row of metrics gets half into its file; rows of the replay count as a change each time that
    they are added. Opening for reading is no change, nor is syncing, which is left out: what the kernel was given
    outlives a process.
    """

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.fatal = 0
        self._root = str(root)
        self._dead = False
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(RowStore, "sync", lambda store: None)
        for name in _CHANGING:
            patch.setattr(os, name, self._watched(getattr(os, name)))
        patch.setattr(os, "open", self._watched_open(os.open))
        patch.setattr(io, "open", self._watched_stream(io.open))
        patch.setattr(Replay, "add", self._watched_add(Replay.add))

    def start(self, fatal: int = 0) -> None:
        """A new process; 0: that is left alone."""
        self.count, self.fatal, self._dead = 0, fatal, False

    def change(self) -> None:
        """Count a change, or die before it."""
        self.count += 1
        if self._dead or self.count == self.fatal:
            self._dead = True
            raise Killed

    def _is_inside(self, path: Any) -> bool:
        return isinstance(path, int) or os.fspath(path).startswith(self._root)

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(path: Any, *arguments: Any, **options: Any) -> Any:
            if self._is_inside(path):
                self.change()
            return function(path, *arguments, **options)

        return watched

    def _watched_open(self, function: Callable[..., int]) -> Callable[..., int]:
        def watched(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and self._is_inside(path) and not os.path.exists(path):
                self.change()
            return function(path, flags, *arguments, **options)

        return watched

    def _watched_stream(self, function: Callable[..., Any]) -> Callable[..., Any]:
        operations = self

        class Unbuffered(io.FileIO):
            def write(self, data: Any) -> int:
                try:
                    operations.change()
                except Killed:
                    if operations.count == operations.fatal:
                        super().write(data[: len(data) // 2])
                    raise
                return super().write(data)

            def truncate(self, size: int | None = None) -> int:
                operations.change()
                return super().truncate(size)

        def watched(path: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **options: Any) -> Any:
            if not set(mode) & set("wax+") or not self._is_inside(path):
                return function(path, mode, buffering, *arguments, **options)
            if buffering == 0:
                return Unbuffered(path, mode.replace("b", ""))
            self.change()
            return function(path, mode, buffering, *arguments, **options)

        return watched

    def _watched_add(self, function: Callable[..., None]) -> Callable[..., None]:
        def watched(replay: Replay, rows: Any) -> None:
            self.change()
            function(replay, rows)

        return watched
