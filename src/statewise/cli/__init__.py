"""The command line: finds the command, and turns whatever goes wrong into one line and an exit status."""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence

from statewise import __version__
from statewise.cli.status import BAD_INPUT, OK, TRACEBACK_VARIABLE, HelpShown, verdict
from statewise.cli.streams import lasting_streams, unwritten

COMMANDS = {
    "train": ("METHOD TASK", "train a method on a task"),
    "resume": ("RUN", "go on with a run from its last checkpoint"),
    "evaluate": ("RUN", "play episodes with a trained policy, and film them"),
    "grid": ("SPEC", "run many runs side by side, to the end whatever dies on the way"),
    "plot": ("RUN...", "draw one run, or compare several"),
    "statistics": ("RUNS...", "summarise many runs with intervals, and draw them"),
    "report": ("RUNS...", "write many runs as one page for a browser"),
    "verify": ("", "check the paper's theorems in numbers"),
    "risk": ("RUN [RUN]", "draw where a policy is at risk, and say it in numbers"),
    "calibrate": ("RUN", "hold a policy's risk against what comes of many states"),
    "export": ("RUN", "write a policy and its risk to a file that needs no JAX"),
    "methods": ("", "list the methods"),
    "tasks": ("", "list the native tasks"),
    "config": ("METHOD", "print a method's configuration as JSON"),
}
"""Arguments and purpose of each command; `commands` has a function of the same name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; argv defaults to the process's arguments.

    0: done; 2: bad input; 3: training diverged, a claim of `verify` did not hold, or code failed, an environment's too;
    130: interrupted. No exception leaves it; with STATEWISE_TRACEBACK set, its traceback comes before the sentence.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    with lasting_streams() as (out, _):
        try:
            status = _run(arguments)
        except HelpShown:
            status = OK
        except BaseException as error:
            if os.environ.get(TRACEBACK_VARIABLE):
                traceback.print_exc()
            status = _complain(*verdict(error))
        out.flush()
        lost = unwritten(out)
        if lost is not None and status == OK:
            status = _complain(BAD_INPUT, f"standard output: {lost.strerror}")
    return status


def _run(arguments: list[str]) -> int:
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        print(_overview())
        return OK
    if name == "--version":
        print(f"statewise {__version__}")
        return OK
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}? Known" if near else "known"
        raise ValueError(f"command: {name!r} is unknown; {hint} are {', '.join(COMMANDS)}")
    from statewise.cli import commands

    return getattr(commands, name)(arguments[1:])


def _complain(status: int, message: str) -> int:
    print(f"statewise: {' '.join(message.split())}", file=sys.stderr)
    return status


def _overview() -> str:
    lines = [f"  {f'{name} {arguments}':<20}  {purpose}" for name, (arguments, purpose) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: statewise COMMAND ...",
            "",
            "State-wise safe reinforcement learning: SAC-ALaM and its baselines.",
            "",
            *lines,
            f"  {'--version':<20}  print the version",
            "",
            "`statewise COMMAND --help` explains a command, `statewise train METHOD --help` every field of a method.",
        ]
    )
