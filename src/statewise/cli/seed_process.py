"""A seed of `statewise train … --seeds` in a process of its own: what the parent does, and what the process runs.

The process tells of its progress in lines of JSON on standard output, and last of all what ended it early.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statewise.cli import arguments, commands, named
from statewise.cli.status import FAULT, INTERRUPTED, OK, TRACEBACK_VARIABLE, Stopped, verdict
from statewise.cli.streams import Outlet
from statewise.experiments.grid import child
from statewise.report.progress import Progress, Silent
from statewise.spec import RunSpec
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.run_folder import RunFolder
from statewise.training.signals import stop_requests

if TYPE_CHECKING:
    from statewise.agent import Agent

LOOK_SECONDS = 0.1
"""Between two looks whether the user has asked to stop."""


def learn_apart(agent: Agent, progress: Progress | None, *, overwrite: bool, tensorboard: bool) -> None:
    """Begin an agent's run, or go on with it, in another process to its end; the agent itself doesn't learn.

    Asked to stop, the process writes a checkpoint first. Stopped, with the status and the sentence, where something
    ends the run early; RunError where its folder can't be used.
    """
    shown = progress or Silent()
    with agent.open_run(overwrite, shown) as run:
        path = run.path
    with stop_requests() as requested, _begin(path, tensorboard) as process:
        threading.Thread(target=_pass_on, args=(process, requested), daemon=True).start()
        try:
            assert process.stdout is not None
            ended = _relay(process.stdout, shown)
        except BaseException:
            process.kill()
            raise
        status = process.wait()
        if ended is not None:
            raise Stopped(*ended)
        if status == OK:
            return
        if requested():
            raise Stopped(INTERRUPTED, "stopped before it had begun")
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    raise Stopped(FAULT, f"its process {how}")


def _begin(run: Path, tensorboard: bool) -> subprocess.Popen[str]:
    """The process. Its standard input is a pipe that nothing is written to, by whose end it sees that of its parent."""
    allowed = child.allowing(RunSpec.read(RunFolder(run).config_path).modules)
    return subprocess.Popen(
        # -P: a file in the working folder must not take the place of a package
        [sys.executable, "-P", "-m", __name__, str(run), *allowed, *(["--tensorboard"] if tensorboard else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C reaches the parent alone: a second signal would end the process at once
    )


def _pass_on(process: subprocess.Popen[str], requested: Callable[[], bool]) -> None:
    """Ask the process to stop once the user has asked this one."""
    while process.poll() is None:
        if requested():
            process.terminate()
            return
        time.sleep(LOOK_SECONDS)


def _relay(lines: Iterable[str], progress: Progress) -> tuple[int, str] | None:
    """Hand on what the process tells; the status and the sentence that ended it early, None where nothing did."""
    ended = None
    for line in lines:
        (name, told), *_ = json.loads(line).items()
        if name == "ended":
            ended = (int(told[0]), str(told[1]))
        else:
            getattr(progress, name)(*told)
    return ended


class Told:
    """Progress in lines of JSON: the name of the call, and its arguments. A parent that is gone ends nothing."""

    def __init__(self, out: Outlet) -> None:
        self._out = out

    def start(self, step: int, total: int) -> None:
        """The run begins, or goes on, at `step` of `total`."""
        self._tell("start", step, total)

    def advance(self, step: int) -> None:
        """The run has come to `step`."""
        self._tell("advance", step)

    def row(self, row: Mapping[str, float | str]) -> None:
        """A row of metrics was written."""
        self._tell("row", {name: value if isinstance(value, str) else float(value) for name, value in row.items()})

    def say(self, text: str) -> None:
        """Something that the user should know."""
        self._tell("say", text)

    def close(self) -> None:
        """The run has ended or stopped."""
        self._tell("close")

    def ended(self, status: int, sentence: str) -> None:
        """What ended the run early."""
        self._tell("ended", status, sentence)

    def _tell(self, name: str, *told: Any) -> None:
        self._out.write(json.dumps({name: told}) + "\n")
        self._out.flush()


def main(argv: Sequence[str]) -> int:
    """Bring the run that is named to its end, and tell of it; the exit status."""
    threading.Thread(target=child.stop_with_the_parent, daemon=True).start()
    # What else prints, an environment say, is not to come between the lines.
    told = Told(Outlet(os.fdopen(os.dup(1), "w", encoding="utf-8")))
    os.dup2(2, 1)
    try:
        _learn(arguments.parse(arguments.Resume, list(argv), "resume"), told)
    except BaseException as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            traceback.print_exc()
        status, sentence = verdict(error)
        told.ended(status, sentence)
        return status
    return OK


def _learn(args: arguments.Resume, told: Told) -> None:
    from statewise.agent import Agent

    named.allow(args.allow_module)
    commands.spare_threads_for(RunSpec.read(RunFolder.open(args.run).config_path).config)
    agent = Agent.open(args.run)
    begun = CheckpointStore(RunFolder(args.run).checkpoints, keep=1).latest() is not None
    with ExitStack() as stack:
        agent.learn(overwrite=not begun, progress=told, listeners=commands.listeners_of(args, agent, stack))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
