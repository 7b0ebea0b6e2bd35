"""Between a policy's actions in [-1, 1] and the bounds that they span."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Span(Protocol):
    """What [-1, 1] stands for: a lower and an upper bound [act_dim], such as a `gymnasium.spaces.Box`."""

    @property
    def low(self) -> NDArray[Any]: ...
    @property
    def high(self) -> NDArray[Any]: ...


class Bounds(NamedTuple):
    """A span as two plain arrays [act_dim]."""

    low: NDArray[Any]
    high: NDArray[Any]


def rescale_action(action: NDArray[Any], span: Span) -> NDArray[Any]:
    """Map actions from [-1, 1] to the bounds of `span`; the identity, to the bit, where they are -1 and 1.

    action: [..., act_dim]; what lies outside of [-1, 1] is clipped.
    """
    low, high = _bounds(span)
    if _is_unit(low, high):
        return np.clip(action, -1.0, 1.0)
    return np.clip(low + (action + 1.0) * (0.5 * (high - low)), low, high)


def normalize_action(action: NDArray[Any], span: Span) -> NDArray[Any]:
    """Map actions from the bounds of `span` to [-1, 1]: the inverse of `rescale_action`.

    action: [..., act_dim].
    """
    low, high = _bounds(span)
    if _is_unit(low, high):
        return action
    return 2.0 * (action - low) / (high - low) - 1.0


def _bounds(span: Span) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return span.low.astype(np.float64), span.high.astype(np.float64)


def _is_unit(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    return bool((low == -1.0).all() and (high == 1.0).all())
