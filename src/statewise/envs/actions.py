"""Between a policy's actions in [-1, 1] and the bounds of an action space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gymnasium.spaces import Box
    from numpy.typing import NDArray

    from statewise.envs.base import SafeVectorEnv


def rescale_action(action: NDArray[Any], space: Box) -> NDArray[Any]:
    """Map actions from [-1, 1] to the bounds of `space`; the identity, to the bit, where they are -1 and 1.

    action: [..., act_dim]; what lies outside of [-1, 1] is clipped.
    """
    low, high = _bounds(space)
    if _is_unit(low, high):
        return np.clip(action, -1.0, 1.0)
    return np.clip(low + (action + 1.0) * (0.5 * (high - low)), low, high)


def normalize_action(action: NDArray[Any], space: Box) -> NDArray[Any]:
    """Map actions from the bounds of `space` to [-1, 1]: the inverse of `rescale_action`.

    action: [..., act_dim].
    """
    low, high = _bounds(space)
    if _is_unit(low, high):
        return action
    return 2.0 * (action - low) / (high - low) - 1.0


def spanned_space(env: SafeVectorEnv, span: str) -> Box:
    """What a policy's [-1, 1] spans: the whole action "space", or its "effective" part."""
    return env.effective_action_space if span == "effective" else env.single_action_space


def _bounds(space: Box) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return space.low.astype(np.float64), space.high.astype(np.float64)


def _is_unit(low: NDArray[np.float64], high: NDArray[np.float64]) -> bool:
    return bool((low == -1.0).all() and (high == 1.0).all())
