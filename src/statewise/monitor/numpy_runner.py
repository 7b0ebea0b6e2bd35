"""An exported policy in plain NumPy: to read, to port to another language, and to run batches with.

The file is one that `statewise export RUN --format numpy` wrote; docs/monitor.md says what its arrays and its card are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.monitor.card import require_card
from statewise.storage import checkpoint

Floats = NDArray[np.float32]

ACTIVATIONS: dict[str, Callable[..., Floats]] = {"relu": lambda x: np.maximum(x, np.float32(0.0)), "tanh": np.tanh}


class NumpyPolicy:
    """A policy, its multiplier λ(x) and its feasibility F̂(x), of single observations [obs] or batches [B, obs]."""

    def __init__(self, arrays: dict[str, NDArray[Any]], card: dict[str, Any]) -> None:
        self.arrays = arrays
        self.card = card
        self._network = card["network"]
        self._activate = ACTIVATIONS[self._network["activation"]]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NumpyPolicy:
        """Read an exported file; CheckpointError where it is missing, damaged or something else."""
        arrays, card = checkpoint.load(Path(path))
        return cls(arrays, require_card(card, Path(path)))

    def act(self, obs: NDArray[Any], noise: NDArray[Any] | None = None) -> Floats:
        """Actions in the units of the task, [obs] -> [action]; standard normal noise [action] makes them samples."""
        noise = np.zeros_like(self.arrays["action/low"]) if noise is None else np.asarray(noise, np.float32)
        action = self._action(self.inputs(obs), noise)
        low, high = self.arrays["action/low"], self.arrays["action/high"]
        return np.clip(low + (np.clip(action, -1.0, 1.0) + 1.0) * (0.5 * (high - low)), low, high).astype(np.float32)

    def risk(self, obs: NDArray[Any]) -> tuple[Floats | None, Floats]:
        """λ(x), None where the method has no multiplier, and F̂(x): [obs] -> two scalars, [B, obs] -> [B], [B]."""
        x = self.inputs(obs)
        f = self._feasibility(x)
        return self._multiplier(x, f), f

    def outside(self, obs: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether any entry lies outside of its range in training, as the card says it: [..., obs] -> [...]."""
        obs = np.asarray(obs, np.float32)
        inside = (self.arrays["range/low"] <= obs) & (obs <= self.arrays["range/high"])
        return np.logical_not(inside.all(axis=-1))

    def inputs(self, obs: NDArray[Any]) -> Floats:
        """What the networks see: the observation, its embedding, standardised where the policy was trained so."""
        x: NDArray[Any] = np.asarray(obs, np.float32)
        if self._network["embedding"] == "powers":
            near = x[..., self._network["proximity"]]
            x = np.concatenate([x, *(near**power for power in self._network["powers"])], axis=-1)
        if self._network["embedding"] == "quantiles":
            edges = self.arrays["embedding/edges"]
            low, width = edges[:, :-1], edges[:, 1:] - edges[:, :-1]
            share = (x[..., None] - low) / np.where(width > 1e-6, width, np.inf)
            x = np.concatenate([x, np.clip(share, 0.0, 1.0).reshape(*x.shape[:-1], -1)], axis=-1)
        if "embedding/mean" in self.arrays:
            limit = self._network["clip"]
            x = np.clip((x - self.arrays["embedding/mean"]) / self.arrays["embedding/std"], -limit, limit)
        return np.asarray(x, np.float32)

    def _mlp(self, name: str, x: Floats) -> Floats:
        depth = self._network["depth"]
        for layer in range(depth):
            x = self._activate(x @ self.arrays[f"{name}/{layer}/w"] + self.arrays[f"{name}/{layer}/b"])
        return x @ self.arrays[f"{name}/{depth}/w"] + self.arrays[f"{name}/{depth}/b"]

    def _action(self, x: Floats, noise: NDArray[Any]) -> Floats:
        """In [−1, 1] where `squash` is tanh, unbounded where it is clip: [..., inputs] -> [..., action]."""
        mean, log_std = np.split(self._mlp("policy", x), 2, axis=-1)
        z = mean + np.exp(np.clip(log_std, *self._network["log_std_range"])) * noise
        return np.tanh(z) if self._network["squash"] == "tanh" else z

    def _feasibility(self, x: Floats) -> Floats:
        if self._network["cost_critic"] == "state":
            return self._mlp("cost/0", x)[..., 0]
        noise = self.arrays["cost/noise"]
        x = np.repeat(x[..., None, :], len(noise), axis=-2)
        pairs = np.concatenate([x, self._action(x, noise)], axis=-1)
        values = [self._mlp(f"cost/{member}", pairs)[..., 0] for member in range(self._network["cost_critics"])]
        combined = {"mean": np.mean, "max": np.max}[self._network["cost_twins"]](values, axis=0)
        return combined.mean(axis=-1)

    def _multiplier(self, x: Floats, f: Floats) -> Floats | None:
        kind = self._network["multiplier"]
        if kind == "network":
            return np.logaddexp(np.float32(0.0), self._mlp("multiplier", x)[..., 0])
        if kind == "number":
            return np.broadcast_to(self.arrays["multiplier"], f.shape)
        if kind == "regions":
            margin, critical, infeasible = self.arrays["multiplier"]
            threshold = np.float32(self.card["cost_threshold"])
            return np.where(f >= threshold, infeasible, np.where(f >= threshold - margin, critical, np.float32(0.0)))
        return None
