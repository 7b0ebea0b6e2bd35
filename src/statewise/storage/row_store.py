"""Rows of float32 in memory, or in a file that survives a kill of the process at any moment."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from statewise.errors import CheckpointError
from statewise.storage.files import disk_full_is_run_error, write_bytes_atomic

Rows = NDArray[np.float32]

_HEADER_BYTES = 4096
_WRITTEN_OFFSET = _HEADER_BYTES - 8
_SEGMENT_BYTES = 32 << 20
_ZEROS_BYTES = 1 << 20


class RowStore:
    """`rows`, a writable array [places so far, width], and `written`, a count that is kept beside them.

    A file holds one page with its title and `written`, then the rows. It grows in segments, so that a short
    run stays small, and growing allocates the blocks: a full disk is an error there, not a fault that kills
    the process at a later write.

    path: the file, None for memory; title: one line that a file must start with to be continued; places: rows
    to grow to. Raises CheckpointError when the file is cut or of another title, RunError on a full disk.
    """

    rows: Rows

    def __init__(self, path: Path | None, title: str, places: int, width: int) -> None:
        self.path = path
        self._places = places
        self._width = width
        self._row_bytes = 4 * width
        if path is None:
            size = _HEADER_BYTES + places * self._row_bytes
            private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if os.name == "posix" else {}
            self._use(mmap.mmap(-1, size, **private))
            return
        if not path.exists():
            write_bytes_atomic(path, f"{title}\n".encode().ljust(_HEADER_BYTES, b"\0"))
        _check_header(path, title)
        self._map(path)
        if len(self.rows) < min(self.written, places):
            missing = f"it has room for {len(self.rows)} rows, but {self.written} were written"
            raise CheckpointError(f"{path}: the replay file is cut: {missing}")

    @property
    def written(self) -> int:
        """Rows ever written, to be raised before the rows themselves are."""
        return int(self._written[0])

    @written.setter
    def written(self, count: int) -> None:
        self._written[0] = count

    def reserve(self, places: int) -> None:
        """Let `rows` have at least `places` rows; what they hold stays."""
        if self.path is None or places <= len(self.rows):
            return
        segment = max(1, _SEGMENT_BYTES // self._row_bytes)
        places = min(self._places, -(-places // segment) * segment)
        with disk_full_is_run_error(self.path), self.path.open("r+b") as file:
            _allocate(file, _HEADER_BYTES + places * self._row_bytes)
            os.fsync(file.fileno())
        self._map(self.path)

    def sync(self) -> None:
        """Make the rows and `written` durable; the kernel writes the pages that changed alone."""
        self._mapping.flush()

    def sync_written(self) -> None:
        """Make `written` durable."""
        self._mapping.flush(0, _HEADER_BYTES)

    def _map(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._use(mmap.mmap(file.fileno(), 0))

    def _use(self, mapping: mmap.mmap) -> None:
        self._mapping = mapping
        places = (len(mapping) - _HEADER_BYTES) // self._row_bytes
        floats = np.frombuffer(mapping, np.float32, places * self._width, _HEADER_BYTES)
        self.rows = floats.reshape(places, self._width)
        self._written = np.frombuffer(mapping, np.uint64, 1, _WRITTEN_OFFSET)


def _allocate(file: BinaryIO, size: int) -> None:
    """Let a file have `size` bytes of its own on the disk; those it has stay."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    # macOS and Windows: zeros take the blocks as well, where a mere change of size would leave a hole.
    missing = size - file.seek(0, os.SEEK_END)
    while missing > 0:
        missing -= file.write(bytes(min(missing, _ZEROS_BYTES)))
    file.flush()


def read_rows(path: Path) -> tuple[str, int, Rows]:
    """Title, rows ever written, and the floats behind the header, flat and read-only; ValueError where it is cut."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise ValueError("it is cut")
    title = header.partition(b"\n")[0].decode(errors="replace")
    floats = (path.stat().st_size - _HEADER_BYTES) // 4
    rows = np.memmap(path, np.float32, "r", _HEADER_BYTES, (floats,)) if floats else np.empty(0, np.float32)
    return title, int.from_bytes(header[_WRITTEN_OFFSET:], "little"), rows


def _check_header(path: Path, title: str) -> None:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
    found, _, rest = header.partition(b"\n")
    if len(header) < _HEADER_BYTES or rest.strip(b"\0")[8:]:
        raise CheckpointError(f"{path}: cut, or not a replay file")
    if found != title.encode():
        raise CheckpointError(f"{path}: not the replay of this run: it is {found!r}, not {title!r}")
