"""Exit statuses, the exception that carries one, and what any other exception comes to: a sentence and a status."""

from __future__ import annotations

import os
import traceback

from statewise.errors import DivergenceError, EnvironmentFault

OK = 0
BAD_INPUT = 2
"""A method, task, option, file or folder that can't be used."""
FAULT = 3
"""Training diverged, the environment broke its contract, a claim of `verify` did not hold, or code failed."""
INTERRUPTED = 130
"""Stopped by Ctrl-C, SIGTERM or SIGHUP."""

TRACEBACK_VARIABLE = "STATEWISE_TRACEBACK"


class Stopped(Exception):
    """A command ends early: one line for the user, and the exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class HelpShown(Exception):
    """A command has printed its help, and has nothing else to do."""


def verdict(error: BaseException) -> tuple[int, str]:
    """The exit status for an exception, and the sentence about it."""
    match error:
        case Stopped():
            return error.status, str(error)
        case EnvironmentFault() | DivergenceError():
            return FAULT, str(error)
        case KeyboardInterrupt():
            return INTERRUPTED, str(error) or "interrupted"
        case OSError():
            return BAD_INPUT, _file_sentence(error)
        case MemoryError():
            return BAD_INPUT, f"out of memory: {error}"
        case ValueError():
            return BAD_INPUT, str(error)
    match _origin(error):
        case "gymnasium.DependencyNotInstalled":  # its message names the extra
            return BAD_INPUT, str(error)
        case "mujoco.FatalError":
            return BAD_INPUT, f"MuJoCo: {error}; where there is no display, set MUJOCO_GL=egl (or osmesa) to draw"
    return FAULT, _unforeseen(error)


def _origin(error: BaseException) -> str:
    """Package and name of an exception's class, whose package is not imported for this."""
    kind = type(error)
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _file_sentence(error: OSError) -> str:
    try:
        os.getcwd()
    except OSError:
        return "the working folder has been deleted: change to one that exists"
    names = ", ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{names}: {error.strerror}" if names and error.strerror else f"{type(error).__name__}: {error}"


def _unforeseen(error: BaseException) -> str:
    """Type, message and place: what one needs of the traceback first."""
    said = (
        f"sys.exit({error.code!r}) was called" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    )
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{said}{place}; {TRACEBACK_VARIABLE}=1 shows how it came to this"
