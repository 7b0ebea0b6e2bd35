"""A lock on a folder, which the kernel gives back when its holder ends in whatever way."""

from __future__ import annotations

import errno
import importlib
import os
import stat
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from statewise.errors import RunError

LOCK_NAME = ".lock"

_fcntl: Any = importlib.import_module("fcntl") if os.name == "posix" else None
_UNSUPPORTED = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)
"""What file systems say that can't lock a folder, such as NFS."""
_BEYOND_THE_PID = 64


class FolderLock:
    """One holder at a time of a folder: of its `.lock`, which tells the process, and of the folder itself.

    The second keeps others out when the file is removed meanwhile, where the file system can lock folders.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._held: ExitStack | None = None

    def acquire(self) -> None:
        """Hold the lock. RunError where another holder has it, or `.lock` is no lock of ours."""
        if self._held is not None:
            return
        with ExitStack() as stack:
            descriptor = self._open()
            stack.callback(os.close, descriptor)
            holder = self._holder(descriptor)
            self._take(descriptor, holder)
            if _fcntl is not None:
                folder = os.open(self.folder, os.O_RDONLY)
                stack.callback(os.close, folder)
                self._take(folder, holder, _UNSUPPORTED)
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, str(os.getpid()).encode())
            self._held = stack.pop_all()

    def release(self) -> None:
        """Give the lock back; without one nothing happens."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _open(self) -> int:
        path = self.folder / LOCK_NAME
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        try:
            descriptor = os.open(path, flags, 0o644)
        except OSError as error:
            what = "is a symbolic link" if path.is_symlink() else f"can't be written: {error.strerror}"
            raise RunError(f"{path} {what}; a run needs this file for itself") from error
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
            os.close(descriptor)
            raise RunError(f"{path} is a file of another kind or with another name; a run needs this file for itself")
        return descriptor

    def _holder(self, descriptor: int) -> str:
        """The process in the lock's file; RunError where it holds anything else."""
        content = os.read(descriptor, 32)
        if content and not content.isdigit():
            raise RunError(f"{self.folder / LOCK_NAME} isn't a lock of Statewise; a run needs this file for itself")
        return f"process {content.decode()}" if content else "another process"

    def _take(self, descriptor: int, holder: str, ignored: tuple[int, ...] = ()) -> None:
        try:
            _lock(descriptor)
        except (BlockingIOError, PermissionError):
            raise RunError(f"{self.folder} is in use by {holder}: wait for it, or stop it") from None
        except OSError as error:
            if error.errno not in ignored:
                raise RunError(f"{self.folder} can't be locked: {error.strerror}") from error


def _lock(descriptor: int) -> None:
    """Lock a file for this process alone; BlockingIOError or PermissionError where another one has it."""
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        return
    msvcrt: Any = importlib.import_module("msvcrt")
    os.lseek(descriptor, _BEYOND_THE_PID, os.SEEK_SET)  # so that others can read who holds it
    msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
