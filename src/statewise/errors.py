"""Errors that Statewise raises on purpose, each with a message that says what to do."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint or replay file is missing, damaged, or belongs to something else."""


class RunError(ValueError):
    """A run folder cannot be used: in use, already there, missing, not a run, or out of disk space."""


class EnvironmentFault(RuntimeError):
    """An environment broke its contract: an exception, a wrong shape, or a value that is not finite."""


class DivergenceError(RuntimeError):
    """Training produced a value that is not finite."""
