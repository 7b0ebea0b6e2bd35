"""Modules that the command line names: a person's own, which may lie in the working folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from statewise.modules import find_function, import_allowed, import_module_of


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


def constraint(name: str | None) -> Callable[..., Any] | None:
    """The function of --constraint, "module:function", whose module is imported."""
    if name is None:
        return None
    look_in_working_folder(name)
    import_module_of(name, "constraint")
    return find_function(name, "constraint")


def constraint_in_file(name: str | None) -> Callable[..., Any] | None:
    """The function that config.json names, of a module that is imported already."""
    return None if name is None else find_function(name, "constraint")
