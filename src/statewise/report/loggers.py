"""Listeners that pass the rows of metrics on to TensorBoard or Weights & Biases, both optional."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from statewise.spec import RunSpec

Row = Mapping[str, float | str]


class Log(NamedTuple):
    """An open logger: how it takes figures at a step, and how it is closed."""

    write: Callable[[dict[str, float], int], Any]
    close: Callable[[], Any]


def _warn(text: str) -> None:
    print(f"statewise: {text}", file=sys.stderr)


class Listener:
    """Takes rows of metrics; the logger is opened at the first one's step, as the run folder must be there by then.

    A logger that fails is told no more, and the run goes on: its own metrics are on disk whatever becomes of copies.
    """

    def __init__(self, name: str, open_log: Callable[[int], Log], warn: Callable[[str], None] = _warn) -> None:
        self._name = name
        self._open = open_log
        self._warn = warn
        self._log: Log | None = None
        self._failed = False

    def __call__(self, row: Row) -> None:
        """Log the row's figures as train/<column> or eval/<column>."""
        if self._failed:
            return
        with self._surviving():
            if self._log is None:
                self._log = self._open(int(row["step"]))
            figures = {
                f"{row['phase']}/{name}": float(value) for name, value in row.items() if name not in ("phase", "step")
            }
            self._log.write(figures, int(row["step"]))

    def close(self) -> None:
        """Write out what is left."""
        with self._surviving():
            if self._log is not None:
                self._log.close()

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a service that is down raises what it likes
            if not self._failed:
                self._warn(f"{self._name}: {type(error).__name__}: {error}; the run goes on without it")
            self._failed = True


def tensorboard_listener(run_folder: Path) -> Listener:
    """Event files in `run_folder`/tensorboard, by TensorBoard's own writer; ValueError where it is missing.

    A process that goes on with a run cuts off, from its own first step on, what one that was killed behind the last
    checkpoint had logged already.
    """
    summary = _extra("tensorboard.summary", "tensorboard")

    def open_log(step: int) -> Log:
        for path in (run_folder / "tensorboard").glob("events.out.tfevents.*"):
            os.truncate(path, _length_before(path.read_bytes(), step))
        writer = summary.Writer(str(run_folder / "tensorboard"))

        def write(figures: dict[str, float], step: int) -> None:
            for name, value in figures.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        return Log(write, writer.close)

    return Listener("tensorboard", open_log)


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

    return Listener("wandb", open_log)


def _length_before(events: bytes, step: int) -> int:
    """Bytes of an event file up to its first whole record of `step` or later.

    A record is its length in 8 bytes, a checksum in 4, an event, and a checksum in 4.
    """
    event = importlib.import_module("tensorboard.compat.proto.event_pb2").Event
    broken = importlib.import_module("google.protobuf.message").DecodeError
    position = 0
    while position < len(events):
        begin = position + 12
        end = begin + int.from_bytes(events[position : position + 8], "little")
        try:
            if end + 4 > len(events) or event.FromString(events[begin:end]).step >= step:
                break
        except broken:
            break
        position = end + 4
    return position


def _extra(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(f"{extra}: {error.name} is missing; pip install 'statewise[{extra}]'") from error
