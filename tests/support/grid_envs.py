"""Points on a line for grids of runs: each has a mishap of its own, once, where a folder for markers is named."""

from __future__ import annotations

import errno
import os
import signal
import time
from pathlib import Path
from typing import Any

import gymnasium

from support.toys import Action, ExactPoint

MARKERS = "STATEWISE_TEST_MARKERS"
"""Variable that names the folder where a mishap notes that it has happened; without it none does."""
TASKS = {kind: f"support.grid_envs:Grid{kind.title()}-v0" for kind in ("paused", "killed", "hung", "full", "faulty")}
"""Ids by what goes wrong: a step that lasts until a file `go` is there, SIGKILL, a step without an end, a disk without
space, an exception always."""
STEPS_BEFORE = 1_008 + 60
"""Steps of all environments of a process before its mishap: those of the probe states, then some of training, behind
the first checkpoint and before the last."""


class MishapPoint(ExactPoint):
    """An exact point in whose process something goes wrong once."""

    taken = 0

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def step(self, action: Action) -> Any:
        MishapPoint.taken += 1
        if MishapPoint.taken >= STEPS_BEFORE:
            mishap(self.kind)
        return super().step(action)


def mishap(kind: str) -> None:
    """Let it happen, unless it has happened before."""
    if kind == "faulty":
        raise RuntimeError("this environment never works")
    folder = Path(os.environ.get(MARKERS, "nowhere"))
    marker = folder / kind
    if not folder.exists() or marker.exists():
        return
    marker.touch()
    if kind == "paused":
        while not (folder / "go").exists():
            time.sleep(0.01)
    elif kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "hung":
        time.sleep(10_000)
    else:
        os.fsync = no_space


def no_space(descriptor: int) -> None:
    """What a file system without space says when data has to reach the disk."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


for kind, task in TASKS.items():
    gymnasium.register(task.partition(":")[2], "support.grid_envs:MishapPoint", kwargs={"kind": kind})
