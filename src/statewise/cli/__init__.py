"""The command line: finds the command, and turns whatever goes wrong into one line and an exit status."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence

from statewise import __version__
from statewise.cli.status import BAD_INPUT, INTERRUPTED, OK, Stopped

COMMANDS = {
    "train": ("METHOD TASK", "train a method on a task"),
    "resume": ("RUN", "go on with a run from its last checkpoint"),
    "evaluate": ("RUN", "play episodes with a trained policy, and film them"),
    "plot": ("RUN...", "draw one run, or compare several"),
    "calibrate": ("RUN", "hold a policy's risk against what comes of many states"),
    "export": ("RUN", "write a policy and its risk to a file that needs no JAX"),
    "methods": ("", "list the methods"),
    "tasks": ("", "list the native tasks"),
    "config": ("METHOD", "print a method's configuration as JSON"),
}
"""Arguments and purpose of each command; `commands` has a function of the same name."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; argv defaults to the process's arguments.

    0: done; 2: bad input; 3: training diverged or the environment failed; 130: interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _run(arguments)
    except Stopped as error:
        return _complain(str(error), error.status)
    except ValueError as error:
        return _complain(str(error), BAD_INPUT)
    except SystemExit:
        return OK  # tyro leaves in this way after --help
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)


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
    # Modules of one's own, named in a task or a constraint, are looked for in the working folder too.
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    from statewise.cli import commands

    return getattr(commands, name)(arguments[1:])


def _complain(message: str, status: int) -> int:
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
