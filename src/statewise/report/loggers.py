"""Listeners that pass the rows of metrics on to TensorBoard or Weights & Biases, both optional."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from statewise.spec import RunSpec

Row = Mapping[str, float | str]


class Log(NamedTuple):
    """An open logger: how it takes figures at a step, and how it is closed."""

    write: Callable[[dict[str, float], int], Any]
    close: Callable[[], Any]


class Listener:
    """Takes rows of metrics; the logger is opened at the first one's step, as the run folder must be there by then."""

    def __init__(self, open_log: Callable[[int], Log]) -> None:
        self._open = open_log
        self._log: Log | None = None

    def __call__(self, row: Row) -> None:
        """Log the row's figures as train/<column> or eval/<column>."""
        if self._log is None:
            self._log = self._open(int(row["step"]))
        figures = {
            f"{row['phase']}/{name}": float(value) for name, value in row.items() if name not in ("phase", "step")
        }
        self._log.write(figures, int(row["step"]))

    def close(self) -> None:
        """Write out what is left."""
        if self._log is not None:
            self._log.close()


def tensorboard_listener(run_folder: Path) -> Listener:
    """Event files in `run_folder`/tensorboard, by TensorBoard's own writer; ValueError where it is missing.

    A process that goes on with a run begins with the sign on which TensorBoard drops the steps, from its own first one
    on, that a process killed behind the last checkpoint had logged already.
    """
    summary = _extra("tensorboard.summary", "tensorboard")

    def open_log(step: int) -> Log:
        folder = str(run_folder / "tensorboard")
        _begin_session(folder, step)
        writer = summary.Writer(folder)

        def write(figures: dict[str, float], step: int) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        return Log(write, writer.close)

    return Listener(open_log)


def wandb_listener(project: str, spec: RunSpec) -> Listener:
    """A Weights & Biases run in `project`, with the configuration; ValueError where wandb is missing.

    WANDB_MODE=offline keeps everything in the folder that WANDB_DIR names, without a network.
    """
    wandb = _extra("wandb", "wandb")

    def open_log(step: int) -> Log:
        del step
        run = wandb.init(
            project=project,
            group=f"{spec.task}/{spec.config.method}/{spec.config.digest()}",
            name=f"{spec.config.method} seed {spec.config.seed}",
            config={"task": spec.task, "method": spec.config.method, **spec.config.to_dict()},
        )
        return Log(lambda figures, step: run.log(figures, step=step), run.finish)

    return Listener(open_log)


def _begin_session(folder: str, step: int) -> None:
    """An event file that lets TensorBoard drop what earlier ones hold from `step` on."""
    protocol = importlib.import_module("tensorboard.compat.proto.event_pb2")
    files = importlib.import_module("tensorboard.summary.writer.event_file_writer")
    writer = files.EventFileWriter(folder)
    start = protocol.SessionLog(status=protocol.SessionLog.START)
    writer.add_event(protocol.Event(step=step, wall_time=time.time(), session_log=start))
    writer.close()


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"{extra}: {error.name} is missing; pip install 'statewise[{extra}]'") from error
