"""A replay's rows on an accelerator, where minibatches are gathered, so that only their places travel there."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from statewise.storage.replay import Replay

_PIECE = 4096
"""Rows that go to the device at a time, where more than a block's are missing there."""


class DeviceRows:
    """What `Replay.sample` gives, as arrays on the device: the same rows, drawn from a copy that follows the replay."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self._rows = jnp.zeros((replay.places, replay.layout.width), jnp.float32)
        self._count = 0
        self._rewinds = replay.rewinds

    def sample(self, seed: int, step: int, shape: tuple[int, ...]) -> jax.Array:
        """Rows [*shape, D], as `Replay.sample` draws them. ValueError where there is nothing to draw from."""
        places = self.replay.places_of(seed, step, shape) % self.replay.places
        self._follow()
        return _take(self._rows, places.astype(np.int32))

    def _follow(self) -> None:
        """Copy what was added since the last draw; after a rewind, the whole window."""
        replay = self.replay
        known = self._count if self._rewinds == replay.rewinds else 0
        for first in range(max(known, replay.count - len(replay)), replay.count, _PIECE):
            end = min(first + _PIECE, replay.count)
            places = np.arange(first, end) % replay.places
            self._rows = _put(self._rows, places.astype(np.int32), replay.rows_from(first, end))
        self._count, self._rewinds = replay.count, replay.rewinds


@partial(jax.jit, donate_argnums=0)
def _put(rows: Any, places: Any, new: Any) -> Any:
    return rows.at[places].set(new, unique_indices=True)


@jax.jit
def _take(rows: Any, places: Any) -> Any:
    return rows[places]


def fit(replay: Replay) -> bool:
    """Whether JAX has an accelerator with twice the memory free that the replay's rows need."""
    if jax.default_backend() == "cpu":
        return False
    memory = jax.devices()[0].memory_stats() or {}
    free = memory.get("bytes_limit", 0) - memory.get("bytes_in_use", 0)
    return 2 * 4 * replay.places * replay.layout.width <= free
