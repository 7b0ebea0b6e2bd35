"""The process of one run: `python -m statewise` with its threads capped, which ends when its parent does.

A parent that dies, of whatever, closes the pipe that is this process's standard input: the run then stops as after
SIGTERM, with a checkpoint, so that whoever goes on with the grid finds the run's lock free.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

STOP_SECONDS = 120.0
"""Time that a run has to reach the border of a block and write its checkpoint, once it is asked to stop."""


def command(run: Path, modules: Sequence[str] = ()) -> list[str]:
    """The command line that begins or goes on with a run; its standard input has to be a pipe from the parent.

    modules: those that the spec names, which the process imports for the run's files.
    """
    return [sys.executable, "-m", __name__, "resume", str(run), "--quiet", *allowing(modules)]


def allowing(modules: Sequence[str]) -> list[str]:
    """The part of a command line that lets a run's files name these modules."""
    return [word for module in modules for word in ("--allow-module", module)]


def environment(cores: int) -> dict[str, str]:
    """This process's environment, with every library that a run uses capped to that many threads."""
    count = str(cores)
    capped = dict.fromkeys(
        ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"), count
    )
    flags = [os.environ.get("XLA_FLAGS", "")]
    if cores == 1:
        flags.append("--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    return {**os.environ, **capped, "XLA_FLAGS": " ".join(filter(None, flags))}


def stop_with_the_parent() -> None:
    """Wait for the end of the parent, then end this process as SIGTERM does, or at once where that takes too long."""
    while os.read(0, 1):
        pass  # nothing is ever written: reading ends when the parent's end of the pipe is closed
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Run the command `statewise` with this process's arguments."""
    threading.Thread(target=stop_with_the_parent, daemon=True).start()
    runpy.run_module("statewise", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
