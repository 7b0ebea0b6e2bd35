"""Modules that the command line names: a person's own, which may lie in the working folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from statewise.modules import import_allowed


def look_in_working_folder(*names: str | None) -> None:
    """Let Python look in the working folder too where one of these names is of a module, "module:name".

    Last, so that no file there takes the place of an installed package.
    """
    if any(":" in name for name in names if name) and not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


def allow(modules: Sequence[str]) -> None:
    """Import the modules of --allow-module, so that a run's files may name them."""
    look_in_working_folder(*(f"{module}:" for module in modules))
    import_allowed(modules)
