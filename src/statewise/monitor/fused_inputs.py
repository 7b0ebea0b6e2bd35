"""The inputs of the networks from one observation, for `fused`: embedded, clipped, centred, with a one behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.monitor.numpy_runner import Floats


class Inputs:
    """Buffers from an observation to `centred` [inputs + 1], for the first layer, whose weights divide by `std`."""

    def __init__(self, arrays: dict[str, NDArray[Any]], network: dict[str, Any]) -> None:
        low, high = arrays["range/low"], arrays["range/high"]
        size = len(low)
        added = {"none": 0, "powers": len(network.get("powers", ())) * len(network.get("proximity", ()))}
        if network["embedding"] == "quantiles":
            added["quantiles"] = arrays["embedding/edges"][:, 1:].size
        self.dim = size + added[network["embedding"]]
        self.mean = arrays.get("embedding/mean", np.zeros(self.dim, np.float32))
        self.std = arrays.get("embedding/std", np.ones(self.dim, np.float32))
        reach = network["clip"] * self.std if "clip" in network else np.full(self.dim, np.inf, np.float32)
        self._low, self._high = low, high
        self._clip_low, self._clip_high = self.mean - reach, self.mean + reach
        # Within these bounds nothing is clipped and nothing outside of training, so that one look tells both.
        self._inner_low, self._inner_high = self._clip_low.copy(), self._clip_high.copy()
        self._inner_low[:size], self._inner_high[:size] = (
            np.maximum(low, self._clip_low[:size]),
            np.minimum(high, self._clip_high[:size]),
        )
        self._x, self._inner = np.empty(self.dim, np.float32), np.empty(self.dim, np.float32)
        self.centred = np.ones(self.dim + 1, np.float32)
        self._centred = self.centred[:-1]
        self._raw = self._x[:size]
        self._embed = _embedding(arrays, network, self._x, size)

    def read(self, obs: NDArray[Any]) -> bool:
        """Take in an observation [obs]; whether an entry is outside of its range. ValueError for infinity.

        NaN may come through: what the networks make of it is NaN too, so that who finds that calls `require_finite`.
        """
        x, inner = self._x, self._inner
        self._raw[:] = obs
        self._embed()
        np.maximum(x, self._inner_low, out=inner)
        np.minimum(inner, self._inner_high, out=inner)
        outside = False
        if inner.tobytes() != x.tobytes():
            self.require_finite()  # clipped, infinity would look like any other number
            outside = bool(((self._raw < self._low) | (self._raw > self._high)).any())
            np.maximum(x, self._clip_low, out=x)
            np.minimum(x, self._clip_high, out=x)
        np.subtract(x, self.mean, self._centred)
        return outside

    def require_finite(self) -> None:
        """ValueError where the observation that was read last holds NaN or infinity."""
        if not np.isfinite(self._raw).all():
            raise ValueError("obs: holds NaN or infinity, as a float32")


def _embedding(arrays: dict[str, NDArray[Any]], network: dict[str, Any], x: Floats, size: int) -> Callable[[], None]:
    """A function that fills x [inputs] behind its first `size` entries, the observation."""
    if network["embedding"] == "quantiles":
        edges = arrays["embedding/edges"]
        low, width = edges[:, :-1], edges[:, 1:] - edges[:, :-1]
        inverse = np.where(width > 1e-6, 1.0 / np.maximum(width, 1e-6), 0.0).astype(np.float32)
        column, share = x[:size, None], x[size:].reshape(low.shape)

        def quantiles() -> None:
            np.subtract(column, low, out=share)
            np.multiply(share, inverse, out=share)
            np.clip(share, 0.0, 1.0, out=share)

        return quantiles
    if network["embedding"] != "powers":
        return lambda: None
    near = np.asarray(network["proximity"])
    raw, blocks = x[:size], x[size:].reshape(-1, len(near))
    squarings = np.diff(np.log2([1, *network["powers"]])).astype(int).tolist()
    together = (np.diff(near) == 1).all()
    sensors = raw[near[0] : near[-1] + 1] if together else np.empty(len(near), np.float32)
    squares, base = [], sensors
    for block, count in zip(blocks, squarings, strict=True):
        squares += [(base, block), *[(block, block)] * (count - 1)]
        base = block

    def powers() -> None:
        if not together:
            np.take(raw, near, out=sensors, mode="clip")
        for base, square in squares:
            np.multiply(base, base, square)

    return powers
