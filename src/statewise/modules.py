"""Modules behind names such as "module:function": imported where a person gives the name, never where a file does."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from typing import Any


def import_module_of(name: str, what: str) -> None:
    """Import the module of a "module:name" that a person has given in the field `what`; a plain name has none.

    ValueError in one sentence, whatever goes wrong in there, `sys.exit` included.
    """
    module = name.rpartition(":")[0]
    if module:
        _import(module, f"{what}: module {module!r} of {name!r}")


def import_allowed(modules: Iterable[str]) -> None:
    """Import the modules whose names may stand in the files that are read next; ValueError as above."""
    if isinstance(modules, str):
        raise ValueError(f"allow_modules: {modules!r} is not allowed; it must be a tuple, such as ({modules!r},)")
    for module in modules:
        _import(module, f"allow_modules: {module!r}")


def require_imported(name: str, what: str) -> None:
    """Raise ValueError where a file's "module:name" is of a module that this process hasn't imported.

    So files never run code: what they name must be there by an import of the caller's, or by `import_allowed`.
    """
    module = name.rpartition(":")[0]
    if module and sys.modules.get(module) is None:
        raise ValueError(
            f"{what}: {name!r} is of the module {module!r}, which is not imported because a file asks for it; where you"
            f" trust it, import it first, or give --allow-module {module} or allow_modules=({module!r},)"
        )


def find_function(name: str, what: str) -> Callable[..., Any]:
    """The function "module:function" of a module that is imported already; ValueError where there is none."""
    module, _, path = name.rpartition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ValueError(f"{what}: {name!r} is no function of an imported module; it must be module:function")
    return found


def _import(module: str, named: str) -> None:
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{named} can't be imported ({type(error).__name__}: {error})") from error
