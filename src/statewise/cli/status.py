"""Exit statuses, and the exception that carries one."""

from __future__ import annotations

OK = 0
BAD_INPUT = 2
"""A method, task, option, file or folder that can't be used."""
FAULT = 3
"""Training diverged, the environment broke its contract, or a claim of `verify` did not hold."""
INTERRUPTED = 130
"""Stopped by Ctrl-C or SIGTERM."""


class Stopped(Exception):
    """A command ends early: one line for the user, and the exit status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
