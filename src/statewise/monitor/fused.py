"""λ(x) and F̂(x) of one observation, fast: the arithmetic of `numpy_runner` in as few calls of NumPy as it takes.

All results go into buffers made beforehand. A layer's bias is the weight of an input that is always one, which the
layer below hands on. The first layers of all networks are one product; the standardisation's division is in its
weights. The mean is still subtracted: folded in, it would cost digits where it is many standard deviations from zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.monitor.fused_inputs import Inputs
from statewise.monitor.numpy_runner import Floats, NumpyPolicy

Layer = tuple[NDArray[Any], NDArray[Any]]
"""Weights [in, out] and biases [out]."""


class FusedRisk:
    """The risk of an exported policy, one observation at a time; not for two threads at once."""

    def __init__(self, policy: NumpyPolicy) -> None:
        self.card = policy.card
        network, arrays = policy.card["network"], policy.arrays
        self._inputs, activation = Inputs(arrays, network), _ACTIVATIONS[network["activation"]]
        self._activate = activation.apply
        dim, depth = self._inputs.dim, network["depth"]
        members = [f"cost/{member}" for member in range(network["cost_critics"])]
        on_actions = network["cost_critic"] == "action"
        alone = (["multiplier"] if network["multiplier"] == "network" else []) + (["policy"] if on_actions else members)
        names = alone + (members if on_actions else [])
        first = [(arrays[f"{name}/0/w"][:dim], arrays[f"{name}/0/b"]) for name in names]
        self._first = np.concatenate([_extended(*layer, activation.one) for layer in first], axis=1)
        self._first[:dim] /= self._inputs.std[:, None]
        self._hidden = np.empty(self._first.shape[1], np.float32)
        parts = self._hidden.reshape(len(names), -1)
        self._alone = self._hidden[: parts.shape[1] * len(alone)]
        heads = {
            name: _Head(_layers(arrays, name, depth), part, activation)
            for name, part in zip(alone, parts[: len(alone)], strict=True)
        }
        self._lam = _multiplier(policy, heads.get("multiplier"))
        if on_actions:
            self._f = _OverActions(policy, heads["policy"], parts[len(alone) :], members, activation)
        else:
            self._f = heads[members[0]].value

    def rate(self, obs: NDArray[Any]) -> tuple[float | None, float, bool]:
        """λ(x), F̂(x), and whether an entry is outside of its range in training; obs: [obs].

        ValueError for NaN or infinity; of entries that are too large the answers may not be finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            outside = self._inputs.read(obs)
            self._inputs.centred.dot(self._first, self._hidden)
            self._activate(self._alone)
            f = self._f()
            lam = self._lam(f)
        return lam, f, outside


class _Activation(NamedTuple):
    """apply(x): in place. one: what it maps to 1, in float32 exactly."""

    apply: Callable[[Floats], Any]
    one: float


_ZERO = np.float32(0.0)
_ACTIVATIONS = {
    "relu": _Activation(lambda x: np.maximum(x, _ZERO, out=x), 1.0),
    "tanh": _Activation(lambda x: np.tanh(x, x), 20.0),
}


class _Head:
    """A network behind its first layer, whose activations are in `x`."""

    def __init__(self, layers: Sequence[Layer], x: Floats, activation: _Activation) -> None:
        self._x, self._activate = x, activation.apply
        weights = [_extended(*layer, activation.one) for layer in layers[:-1]]
        self._hidden = [(w, np.empty(w.shape[1], np.float32)) for w in weights]
        self._last = _extended(*layers[-1])
        self._only = self._last[:, 0].copy()
        self.out = np.empty(self._last.shape[1], np.float32)

    def run(self) -> None:
        """Leave the outputs in `out`."""
        self._top().dot(self._last, self.out)

    def value(self) -> float:
        """The only output."""
        return float(self._top().dot(self._only))

    def _top(self) -> Floats:
        """The activations below the last layer."""
        x = self._x
        for w, hidden in self._hidden:
            x.dot(w, hidden)
            self._activate(hidden)
            x = hidden
        return x


class _OverActions:
    """F̂: the critics' mean over the actions that the file's noise makes of the policy's mean and deviation."""

    def __init__(
        self, policy: NumpyPolicy, head: _Head, features: Floats, members: Sequence[str], activation: _Activation
    ) -> None:
        """features [E, width]: the state's share of the critics' first layers."""
        arrays, network = policy.arrays, policy.card["network"]
        self._noise, self._limit = arrays["cost/noise"], np.float32(network["log_std_range"][1])
        samples, size = self._noise.shape
        self._policy, self._features, self._activate = head, features, activation.apply
        self._mean, self._log_std = head.out[:size], head.out[size:]
        self._std, self._z = np.empty(size, np.float32), np.empty((samples, size), np.float32)
        self._action = np.ones((samples, size + 1), np.float32)
        self._squashed = self._action[:, :size]
        self._first = np.zeros((len(members), size + 1, features.shape[1]), np.float32)
        self._bias = self._first[:, size]
        for weights, member in zip(self._first, members, strict=True):
            weights[:size, :-1] = arrays[f"{member}/0/w"][-size:]
        ensembles = [_layers(arrays, member, network["depth"]) for member in members]
        shape = (len(members), samples)
        self._x = np.empty((*shape, features.shape[1]), np.float32)
        weights = [
            np.stack([_extended(w, b, activation.one) for w, b in twins])
            for twins in zip(*(e[:-1] for e in ensembles), strict=True)
        ]
        self._hidden = [(w, np.empty((*shape, w.shape[2]), np.float32)) for w in weights]
        self._last = np.stack([_extended(*layers[-1]) for layers in ensembles])
        self._top = self._hidden[-1][1] if self._hidden else self._x
        self._mean_weights = None
        if network["cost_twins"] == "mean":
            # The mean over twins and actions of a linear layer is one product.
            spread = np.broadcast_to(self._last[:, None, :, 0], self._top.shape)
            self._mean_weights, self._flat = (spread / (len(members) * samples)).ravel(), self._top.reshape(-1)

    def __call__(self) -> float:
        self._policy.run()
        std, z, x = self._std, self._z, self._x
        # The lower limit is left out: below it a deviation is 2e-9 at most, and so is what that changes.
        np.minimum(self._log_std, self._limit, out=std)
        np.exp(std, std)
        np.multiply(self._noise, std, z)
        np.add(z, self._mean, z)
        np.tanh(z, self._squashed)
        self._bias[:] = self._features
        np.matmul(self._action, self._first, x)
        self._activate(x)
        for w, hidden in self._hidden:
            np.matmul(x, w, hidden)
            self._activate(hidden)
            x = hidden
        if self._mean_weights is not None:
            return float(self._flat.dot(self._mean_weights))
        return float(np.matmul(x, self._last).max(axis=0).mean())


def _multiplier(policy: NumpyPolicy, head: _Head | None) -> Callable[[float], float | None]:
    """A function F̂(x) -> λ(x) for the observation that was read last."""
    kind = policy.card["network"]["multiplier"]
    if head is not None:
        return lambda f: _softplus(head.value())
    if kind == "number":
        lam = float(policy.arrays["multiplier"])
        return lambda f: lam
    if kind == "regions":
        threshold = np.float32(policy.card["cost_threshold"])
        margin, critical, infeasible = policy.arrays["multiplier"]
        border = float(threshold - margin)
        return lambda f: float(infeasible) if f >= threshold else float(critical) if f >= border else 0.0
    return lambda f: None


def _softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def _layers(arrays: dict[str, NDArray[Any]], name: str, depth: int) -> list[Layer]:
    """The layers behind the first."""
    return [(arrays[f"{name}/{i}/w"], arrays[f"{name}/{i}/b"]) for i in range(1, depth + 1)]


def _extended(w: NDArray[Any], b: NDArray[Any], one: float | None = None) -> Floats:
    """[in + 1, out (+ 1)]: the bias as weights of an input that is one and, given `one`, such an output."""
    extended = np.zeros((len(w) + 1, w.shape[1] + (one is not None)), np.float32)
    extended[:-1, : w.shape[1]], extended[-1, : w.shape[1]] = w, b
    if one is not None:
        extended[-1, -1] = one
    return extended
