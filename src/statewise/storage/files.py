"""Files that are either the old version or the new one, never half of each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from statewise.errors import RunError

TEMPORARY_SUFFIX = ".tmp"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8 so that `path` holds either the old content or all of the new one.

    Raises RunError when the disk is full; `path` is then as it was.
    """
    write_bytes_atomic(path, text.encode())


def write_bytes_atomic(path: Path, data: bytes) -> None:
    """Write `data` so that `path` holds either the old content or all of the new one, even after a power cut.

    Raises RunError when the disk is full, or where `path` is a device, a pipe or a folder; `path` is then as it was.
    """
    require_replaceable(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
    try:
        with disk_full_is_run_error(path), temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def require_replaceable(path: Path) -> None:
    """Raise RunError unless `path` is a plain file, a link to one, or nothing yet: nothing else is ever replaced."""
    if path.exists() and not path.is_file():
        raise RunError(f"{path} is not a plain file, so it is not replaced: choose another name")


def remove_temporary_files(folder: Path) -> None:
    """Remove what writers that were killed left in `folder`; call it only as the folder's one writer."""
    for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: files created, renamed or removed there so far."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def disk_full_is_run_error(path: Path) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" met while writing `path` into a RunError."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise RunError(f"disk full while writing {path}: free some space, then resume the run") from error
        raise
