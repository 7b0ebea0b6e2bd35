"""A run-time check of the annotated shapes of the formulas, for use in their tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

from jaxtyping import jaxtyped


def checked(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The formula, its array arguments and result held to the dtypes and shapes that its annotations name."""
    hints = get_type_hints(formula)
    names = [name for name in hints if name != "return"]

    def call(*args: Any, **options: Any) -> Any:
        with jaxtyped("context"):
            for name, value in zip(names, args, strict=False):
                assert isinstance(value, hints[name]), f"{name}: {value!r} is not {hints[name]}"
            result = formula(*args, **options)
            assert isinstance(result, hints["return"]), f"result: {result!r} is not {hints['return']}"
        return result

    return call
