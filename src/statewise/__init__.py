"""State-wise safe reinforcement learning on JAX: SAC-ALaM and its baselines.

`Agent` trains, predicts and rates risk; `make_vector` builds the environments it learns in. Both are loaded
at their first use, so that importing the package starts neither JAX nor MuJoCo.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statewise.agent import Agent
    from statewise.envs import make_vector

__version__ = "0.1.0"

__all__ = ["Agent", "__version__", "make_vector"]

_HOMES = {"Agent": "statewise.agent", "make_vector": "statewise.envs"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
