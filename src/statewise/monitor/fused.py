"""λ(x) and F̂(x) of one observation, fast: the arithmetic of `numpy_runner` in as few calls of NumPy as it takes.

All results go into buffers made beforehand. A layer's bias is the weight of an input that is always one, which the
layer below hands on, and zeros fill its width up to a multiple of LANES; with that, and weights that begin where a line
of the cache does, products are a fifth faster. The first layers of all networks are one product, as are the last ones
of those of the state alone; the standardisation's division is in the weights. The mean is still subtracted: folded in,
it would cost digits where it is many standard deviations from zero.
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

LANES = 8
"""Floats that a processor takes at a time."""
LINE = 64
"""Bytes of a line of its cache."""
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
        self._first = np.concatenate([_extended(*layer, dim + 1, activation.one) for layer in first], axis=1)
        self._first[:dim] /= self._inputs.std[:, None]
        self._first = _aligned(self._first)
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
        if not math.isfinite(f):
            self._inputs.require_finite()
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
        self._hidden = _stacked(layers, activation, 1, self._x.shape[2])
        top = self._hidden[-1][1] if self._hidden else self._x
        self._top = top.reshape(-1)
        sizes = [of_name[-1][0].shape[1] for of_name in layers]
        ends = np.cumsum(sizes).tolist()
        self._last = np.zeros((ends[-1], len(self._top)), np.float32)
        self._out = np.empty(ends[-1], np.float32)
        self._place: dict[str, slice] = {}
        for number, (name, of_name) in enumerate(zip(names, layers, strict=True)):
            self._place[name] = slice(ends[number] - sizes[number], ends[number])
            inputs = slice(number * top.shape[2], (number + 1) * top.shape[2])
            self._last[self._place[name], inputs] = _extended(*of_name[-1], top.shape[2]).T
        self._last = _aligned(self._last)

    def run(self) -> None:
        """Bring all outputs up to date."""
        x = self._x
        for w, hidden, activate in self._hidden:
            np.matmul(x, w, hidden)
            activate()
            x = hidden
        self._last.dot(self._top, self._out)

    def outputs(self, name: str) -> Floats:
        """Where `run` leaves the outputs of a network."""
        return self._out[self._place[name]]

    def value(self, name: str) -> Callable[[], float]:
        """A function that gives the only output of a network."""
        item, place = self._out.item, self._place[name].start
        return lambda: item(place)


class _OverActions:
    """F̂: the critics' mean over the actions that the file's noise makes of the policy's mean and deviation."""

    def __init__(
        self, policy: NumpyPolicy, heads: _Heads, members: list[str], first: Floats, activation: _Activation
    ) -> None:
        """first: memory for the critics' weights of [action, 1], whose last row is filled from outside."""
        arrays, network = policy.arrays, policy.card["network"]
        noise = arrays["cost/noise"]
        samples, size = noise.shape
        self._moments = heads.outputs("policy")
        self._log_std = self._moments[size:]
        self._limit = np.full(size, network["log_std_range"][1], np.float32)
        # Mean and deviation [2 · action] to all samples: ones pick the mean, the noise scales the deviation.
        self._spread = np.zeros((samples, size, 2, size), np.float32)
        for entry in range(size):
            self._spread[:, entry, 0, entry], self._spread[:, entry, 1, entry] = 1.0, noise[:, entry]
        self._spread = self._spread.reshape(samples * size, 2 * size)
        self._flat_z = np.empty(samples * size, np.float32)
        self._z = self._flat_z.reshape(samples, size)
        self._action = np.ones((samples, size + 1), np.float32)
        self._squashed = self._action[:, :size]
        self._first = first.reshape(size + 1, -1)
        layers = [_layers(policy, member) for member in members]
        weights = self._first[:size].reshape(size, len(members), -1)
        weights[:] = 0.0
        for number, member in enumerate(members):
            of_action = arrays[f"{member}/0/w"][-size:]
            weights[:, number, : of_action.shape[1]] = of_action
        self._flat_x = np.empty((samples, self._first.shape[1]), np.float32)
        self._activate = activation.on(self._flat_x)
        self._x = self._flat_x.reshape(samples, len(members), -1).transpose(1, 0, 2)
        width = self._x.shape[2]
        self._hidden = _stacked(layers, activation, samples, width)
        width = self._hidden[-1][1].shape[2] if self._hidden else width
        self._last = np.stack([_extended(*of_member[-1], width) for of_member in layers])
        self._mean_weights = None
        if network["cost_twins"] == "mean":
            # The mean over twins and actions of a linear layer is one product, in the order of the memory.
            top = self._hidden[-1][1] if self._hidden else self._x
            spread = np.broadcast_to(self._last[:, None, :, 0] / (len(members) * samples), top.shape)
            self._mean_weights = np.ravel(spread if self._hidden else spread.transpose(1, 0, 2)).copy()
            self._top = (top if self._hidden else self._flat_x).reshape(-1)

    def __call__(self) -> float:
        std, x = self._log_std, self._x
        # The lower limit is left out: below it a deviation is 2e-9 at most, and so is what that changes.
        np.minimum(std, self._limit, out=std)
        np.exp(std, std)
        self._spread.dot(self._moments, self._flat_z)
        np.tanh(self._z, self._squashed)
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
    networks: list[list[Layer]], activation: _Activation, rows: int, width: int
) -> list[tuple[Floats, Floats, Callable[[], Any]]]:
    """Of each hidden layer of M networks of one shape: weights [M, in, out], memory [M, rows, out], its activation.

    width: of the layer below the first of them.
    """
    hidden = []
    for members in zip(*(layers[:-1] for layers in networks), strict=True):
        w = _aligned(np.stack([_extended(w, b, width, activation.one) for w, b in members]))
        width = w.shape[2]
        memory = np.empty((len(networks), rows, width), np.float32)
        hidden.append((w, memory, activation.on(memory)))
    return hidden


def _extended(w: NDArray[Any], b: NDArray[Any], rows: int, one: float | None = None) -> Floats:
    """[rows, out] of weights [in, out]: behind them the bias, as weights of an input that is one, and zeros.

    Given `one`, such an output follows, and zeros fill the width up to a multiple of LANES.
    """
    size, out = w.shape
    extended = np.zeros((rows, out if one is None else -(-(out + 1) // LANES) * LANES), np.float32)
    extended[:size, :out], extended[size, :out] = w, b
    if one is not None:
        extended[size, out] = one
    return extended


def _aligned(x: Floats) -> Floats:
    """The same numbers, the first of them at a whole multiple of LINE in memory."""
    memory = np.empty(x.size + LINE // x.itemsize, x.dtype)
    start = -memory.ctypes.data % LINE // x.itemsize
    aligned = memory[start : start + x.size].reshape(x.shape)
    aligned[...] = x
    return aligned
