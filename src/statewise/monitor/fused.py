"""λ(x) and F̂(x) of one observation, fast: the arithmetic of `numpy_runner` in as few calls of NumPy as it takes.

All results go into buffers made beforehand. A layer's bias is the weight of an input that is always one, which the
layer below hands on. The first layers of all networks are one product; the standardisation's division is in its
weights. The mean is still subtracted: folded in, it would cost digits where it is many standard deviations from zero.
"""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
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
        dim = self._inputs.dim
        members = [f"cost/{member}" for member in range(network["cost_critics"])]
        alone = ["multiplier"] if network["multiplier"] == "network" else []
        on_actions = network["cost_critic"] == "action"
        alone, members = ([*alone, "policy"], members) if on_actions else (alone + members, [])
        first = [(arrays[f"{name}/0/w"][:dim], arrays[f"{name}/0/b"]) for name in members + alone]
        self._first = np.concatenate([_extended(*layer, activation.one) for layer in first], axis=1)
        self._first[:dim] /= self._inputs.std[:, None]
        # The critics' share of the state lies right behind their weights of an action: the weights of a one.
        shared = self._first.shape[1] // len(first) * len(members)
        above = shared * len(policy.arrays["action/low"])
        buffer = np.empty(above + self._first.shape[1], np.float32)
        self._hidden, of_state = buffer[above:], buffer[above + shared :]
        self._activate = activation.on(of_state)
        self._heads = _Heads(policy, alone, of_state, activation)
        self._lam = _multiplier(policy, self._heads)
        if on_actions:
            self._f = _OverActions(policy, self._heads, members, buffer[: above + shared], activation)
        else:
            self._f = self._heads.value("cost/0")
        # NumPy's handling of floating-point errors belongs to a context: entering one takes a tenth of np.errstate.
        self._context = contextvars.copy_context()
        self._context.run(np.seterr, over="ignore", invalid="ignore")

    def rate(self, obs: NDArray[Any]) -> tuple[float | None, float, bool]:
        """λ(x), F̂(x), and whether an entry is outside of its range in training; obs: [obs].

        ValueError for NaN or infinity; of entries that are too large the answers may not be finite.
        """
        return self._context.run(self._rate, obs)

    def _rate(self, obs: NDArray[Any]) -> tuple[float | None, float, bool]:
        outside = self._inputs.read(obs)
        self._inputs.centred.dot(self._first, self._hidden)
        self._activate()
        self._heads.run()
        f = self._f()
        return self._lam(f), f, outside


class _Activation(NamedTuple):
    """on(x): a function that activates x in place. one: what is mapped to 1, in float32 exactly."""

    on: Callable[[Floats], Callable[[], Any]]
    one: float


def _relu(x: Floats) -> Callable[[], Any]:
    zeros = np.zeros_like(x)  # quicker than a scalar
    return lambda: np.maximum(x, zeros, out=x)


_ACTIVATIONS = {"relu": _Activation(_relu, 1.0), "tanh": _Activation(lambda x: lambda: np.tanh(x, x), 20.0)}


class _Heads:
    """The networks of the state alone, behind their first layer, whose activations are in `x`, one after another."""

    def __init__(self, policy: NumpyPolicy, names: list[str], x: Floats, activation: _Activation) -> None:
        layers = [_layers(policy, name) for name in names]
        self._x = x.reshape(len(names), 1, -1)
        self._hidden = _stacked(layers, activation, 1)
        top = self._hidden[-1][1] if self._hidden else self._x
        self._top = dict(zip(names, top[:, 0], strict=True))
        self._last = {name: _extended(*of_name[-1]) for name, of_name in zip(names, layers, strict=True)}

    def run(self) -> None:
        """Leave the activations below the last layers."""
        x = self._x
        for w, hidden, activate in self._hidden:
            np.matmul(x, w, hidden)
            activate()
            x = hidden

    def outputs(self, name: str) -> tuple[Callable[[], Any], Floats]:
        """A function that brings the outputs of a network up to date, and where they are."""
        top, last = self._top[name], self._last[name]
        out = np.empty(last.shape[1], np.float32)
        return lambda: top.dot(last, out), out

    def value(self, name: str) -> Callable[[], float]:
        """A function that gives the only output of a network."""
        top, last = self._top[name], self._last[name][:, 0].copy()
        return lambda: float(top.dot(last))


class _OverActions:
    """F̂: the critics' mean over the actions that the file's noise makes of the policy's mean and deviation."""

    def __init__(
        self, policy: NumpyPolicy, heads: _Heads, members: list[str], first: Floats, activation: _Activation
    ) -> None:
        """first: memory for the critics' weights of [action, 1], whose last row is filled from outside."""
        arrays, network = policy.arrays, policy.card["network"]
        self._noise = arrays["cost/noise"]
        samples, size = self._noise.shape
        self._update_policy, out = heads.outputs("policy")
        self._mean, self._log_std = out[:size], out[size:]
        self._limit = np.full(size, network["log_std_range"][1], np.float32)
        self._std, self._z = np.empty(size, np.float32), np.empty((samples, size), np.float32)
        self._action = np.ones((samples, size + 1), np.float32)
        self._squashed = self._action[:, :size]
        self._first = first.reshape(size + 1, -1)
        layers = [_layers(policy, member) for member in members]
        weights = self._first[:size].reshape(size, len(members), -1)
        weights[:] = 0.0
        for number, member in enumerate(members):
            weights[:, number, :-1] = arrays[f"{member}/0/w"][-size:]
        self._flat_x = np.empty((samples, self._first.shape[1]), np.float32)
        self._activate = activation.on(self._flat_x)
        self._x = self._flat_x.reshape(samples, len(members), -1).transpose(1, 0, 2)
        self._hidden = _stacked(layers, activation, samples)
        self._last = np.stack([_extended(*of_member[-1]) for of_member in layers])
        self._mean_weights = None
        if network["cost_twins"] == "mean":
            # The mean over twins and actions of a linear layer is one product, in the order of the memory.
            top = self._hidden[-1][1] if self._hidden else self._x
            spread = np.broadcast_to(self._last[:, None, :, 0] / (len(members) * samples), top.shape)
            self._mean_weights = np.ravel(spread if self._hidden else spread.transpose(1, 0, 2)).copy()
            self._top = (top if self._hidden else self._flat_x).reshape(-1)

    def __call__(self) -> float:
        self._update_policy()
        std, z, x = self._std, self._z, self._x
        # The lower limit is left out: below it a deviation is 2e-9 at most, and so is what that changes.
        np.minimum(self._log_std, self._limit, out=std)
        np.exp(std, std)
        np.multiply(self._noise, std, z)
        np.add(z, self._mean, z)
        np.tanh(z, self._squashed)
        self._action.dot(self._first, self._flat_x)
        self._activate()
        for w, hidden, activate in self._hidden:
            np.matmul(x, w, hidden)
            activate()
            x = hidden
        if self._mean_weights is not None:
            return float(self._top.dot(self._mean_weights))
        return float(np.matmul(x, self._last).max(axis=0).mean())


def _multiplier(policy: NumpyPolicy, heads: _Heads) -> Callable[[float], float | None]:
    """A function F̂(x) -> λ(x) for the observation that was read last."""
    kind = policy.card["network"]["multiplier"]
    if kind == "network":
        value = heads.value("multiplier")
        return lambda f: _softplus(value())
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


def _layers(policy: NumpyPolicy, name: str) -> list[Layer]:
    """The layers behind the first."""
    depth = policy.card["network"]["depth"]
    return [(policy.arrays[f"{name}/{i}/w"], policy.arrays[f"{name}/{i}/b"]) for i in range(1, depth + 1)]


def _stacked(
    networks: list[list[Layer]], activation: _Activation, rows: int
) -> list[tuple[Floats, Floats, Callable[[], Any]]]:
    """Of each hidden layer of M networks of one shape: weights [M, in, out], memory [M, rows, out], its activation."""
    hidden = []
    for members in zip(*(layers[:-1] for layers in networks), strict=True):
        w = np.stack([_extended(w, b, activation.one) for w, b in members])
        memory = np.empty((len(networks), rows, w.shape[2]), np.float32)
        hidden.append((w, memory, activation.on(memory)))
    return hidden


def _extended(w: NDArray[Any], b: NDArray[Any], one: float | None = None) -> Floats:
    """[in + 1, out (+ 1)]: the bias as weights of an input that is one and, given `one`, such an output."""
    extended = np.zeros((len(w) + 1, w.shape[1] + (one is not None)), np.float32)
    extended[:-1, : w.shape[1]], extended[-1, : w.shape[1]] = w, b
    if one is not None:
        extended[-1, -1] = one
    return extended
