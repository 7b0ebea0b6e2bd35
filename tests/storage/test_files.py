"""A file that is written replaces a plain file or nothing: never a device, a pipe or a folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statewise.errors import RunError
from statewise.report.film import VideoWriter
from statewise.storage import checkpoint
from statewise.storage.files import write_bytes_atomic, write_text_atomic

MAKERS: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "folder": Path.mkdir,
    "link to a device": lambda path: path.symlink_to("/dev/full"),
    "link to a folder": lambda path: path.symlink_to(path.parent),
}
WRITERS: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda path: write_bytes_atomic(path, b"new"),
    "text": lambda path: write_text_atomic(path, "new"),
    "checkpoint": lambda path: checkpoint.save(path, {"a": np.zeros(1)}, {}),
    "film": VideoWriter,
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_no_plain_file_is_left_alone(kind: str, writer: str, tmp_path: Path) -> None:
    path = tmp_path / "out.gif"
    MAKERS[kind](path)
    before = path.lstat()
    with pytest.raises(RunError, match=r"out\.gif is not a plain file"):
        WRITERS[writer](path)
    assert (path.lstat().st_mode, path.lstat().st_ino) == (before.st_mode, before.st_ino)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_a_device_is_left_alone(device: str) -> None:
    with pytest.raises(RunError, match="is not a plain file"):
        write_bytes_atomic(Path(device), b"new")
    assert Path(device).is_char_device()


def test_a_file_and_a_link_to_one_are_replaced(tmp_path: Path) -> None:
    for path in (tmp_path / "file", tmp_path / "link"):
        if path.name == "link":
            path.symlink_to(tmp_path / "file")
        write_text_atomic(path, path.name)
        assert path.read_text() == path.name
