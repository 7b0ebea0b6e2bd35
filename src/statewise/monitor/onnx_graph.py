"""An exported policy as an ONNX graph, built node by node: needs the package onnx (`pip install statewise[export]`).

    inputs   obs [B, obs] float32; noise [B, action] float32, may be left out: zeros give the deterministic action
    outputs  action [B, action], lam [B] (where the method has a multiplier), f [B], outside [B] bool

The file's metadata hold the card as JSON under `statewise`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from statewise import __version__
from statewise.monitor.card import CARD_KEY, SEAL, SEAL_KEY, seal
from statewise.monitor.export import Exported
from statewise.storage.files import write_bytes_atomic

OPSET = 17
IR_VERSION = 8
"""The oldest that go together: ONNX Runtime 1.12 and later read them."""


def write_onnx(path: Path, exported: Exported) -> None:
    """Write the file of `--format onnx`, sealed by a digest over its bytes."""
    write_bytes_atomic(path, seal(build_model(exported).SerializeToString(deterministic=True)))


def build_model(exported: Exported) -> Any:
    """The checked onnx.ModelProto of an exported policy."""
    card = exported.card
    graph = _Graph(exported)
    graph.build()
    floats, batch = TensorProto.FLOAT, "batch"
    inputs = [
        helper.make_tensor_value_info("obs", floats, [batch, card["observation"]]),
        helper.make_tensor_value_info("noise", floats, ["draws", card["action"]]),
    ]
    outputs = [helper.make_tensor_value_info("action", floats, [batch, card["action"]])]
    outputs += [helper.make_tensor_value_info("lam", floats, [batch])] if card["network"]["multiplier"] else []
    outputs += [helper.make_tensor_value_info("f", floats, [batch])]
    outputs += [helper.make_tensor_value_info("outside", TensorProto.BOOL, [batch])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "statewise policy", inputs, outputs, graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="statewise",
        producer_version=__version__,
    )
    helper.set_model_props(model, {CARD_KEY: json.dumps(card, allow_nan=False), SEAL_KEY: SEAL})
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants while they are put together; a tensor is its name."""

    def __init__(self, exported: Exported) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._arrays, self._card = exported.arrays, exported.card
        self._network = exported.card["network"]
        self._activation = {"relu": "Relu", "tanh": "Tanh"}[self._network["activation"]]

    def build(self) -> None:
        """All outputs."""
        # A constant of an input's name is its default.
        self._constant(np.zeros((1, self._card["action"])), "noise")
        x = self._inputs()
        mean, std = self._gaussian(x)
        self._action(self._squashed(self._op("Add", mean, self._op("Mul", std, "noise"))))
        if self._network["cost_critic"] == "state":
            self._op("Squeeze", self._mlp("cost/0", x), self._constant([1]), out="f")
        else:
            self._mean_over_actions(x, mean, std)
        self._multiplier(x)
        self._outside()

    # --- parts -------------------------------------------------------------------------------------------------------

    def _inputs(self) -> str:
        """What the networks see [B, inputs]."""
        x = "obs"
        if self._network["embedding"] == "powers":
            blocks = [x, *self._powers()]
            x = self._op("Concat", *blocks, axis=1)
        if self._network["embedding"] == "quantiles":
            x = self._op("Concat", x, self._positions(), axis=1)
        if "embedding/mean" in self._arrays:
            centred = self._op("Sub", x, self._array("embedding/mean"))
            limit = self._network["clip"]
            x = self._clip(self._op("Div", centred, self._array("embedding/std")), -limit, limit)
        return x

    def _powers(self) -> list[str]:
        """The powers of the proximity sensors, by squaring."""
        base = self._op("Gather", "obs", self._constant(self._network["proximity"]), axis=1)
        blocks, reached = [], 1
        for power in self._network["powers"]:
            while reached < power:
                base, reached = self._op("Mul", base, base), 2 * reached
            blocks.append(base)
        return blocks

    def _positions(self) -> str:
        """Where each entry lies in each piece between its quantiles, flat."""
        edges = self._arrays["embedding/edges"]
        low, width = edges[:, :-1], edges[:, 1:] - edges[:, :-1]
        column = self._op("Unsqueeze", "obs", self._constant([2]))
        wide = np.where(width > 1e-6, width, np.inf)
        share = self._op("Div", self._op("Sub", column, self._constant(low)), self._constant(wide))
        return self._op("Reshape", self._clip(share, 0.0, 1.0), self._constant([-1, low.size]))

    def _gaussian(self, x: str) -> tuple[str, str]:
        """Mean and standard deviation of the policy [B, action], before any tanh."""
        size = self._card["action"]
        mean, log_std = "mean", "log_std"
        parts = [self._mlp("policy", x), self._constant([size, size])]
        self.nodes.append(helper.make_node("Split", parts, [mean, log_std], axis=1))
        return mean, self._op("Exp", self._clip(log_std, *self._network["log_std_range"]))

    def _squashed(self, z: str) -> str:
        return self._op("Tanh", z) if self._network["squash"] == "tanh" else z

    def _action(self, action: str) -> None:
        low, high = self._arrays["action/low"], self._arrays["action/high"]
        shifted = self._op("Add", self._clip(action, -1.0, 1.0), self._constant(1.0))
        scaled = self._op("Mul", shifted, self._constant(0.5 * (high - low)))
        raised = self._op("Max", self._op("Add", scaled, self._array("action/low")), self._array("action/low"))
        self._op("Min", raised, self._array("action/high"), out="action")

    def _mean_over_actions(self, x: str, mean: str, std: str) -> None:
        """f: the critics' mean over the actions that the file's noise makes."""
        middle = self._constant([1])
        spread = self._op("Mul", self._op("Unsqueeze", std, middle), self._array("cost/noise"))
        actions = self._squashed(self._op("Add", self._op("Unsqueeze", mean, middle), spread))
        values = [
            self._action_values(f"cost/{member}", x, actions, middle) for member in range(self._network["cost_critics"])
        ]
        combined = self._op({"mean": "Mean", "max": "Max"}[self._network["cost_twins"]], *values)
        self._op("ReduceMean", combined, out="f", axes=[1, 2], keepdims=0)

    def _action_values(self, name: str, x: str, actions: str, middle: str) -> str:
        """One critic [B, K, 1]; the state's share of its first layer is computed once for all actions."""
        split = len(self._arrays[f"{name}/0/w"]) - self._card["action"]
        of_state, of_action = (self._constant(w) for w in np.split(self._arrays[f"{name}/0/w"], [split]))
        share = self._op("Unsqueeze", self._op("Gemm", x, of_state, self._array(f"{name}/0/b")), middle)
        h = self._op("Add", share, self._op("MatMul", actions, of_action))
        for layer in range(1, self._network["depth"] + 1):
            product = self._op("MatMul", self._op(self._activation, h), self._array(f"{name}/{layer}/w"))
            h = self._op("Add", product, self._array(f"{name}/{layer}/b"))
        return h

    def _multiplier(self, x: str) -> None:
        kind = self._network["multiplier"]
        if kind == "network":
            value = self._op("Squeeze", self._mlp("multiplier", x), self._constant([1]))
            self._op("Softplus", value, out="lam")
        if kind == "number":
            self._op("Expand", self._array("multiplier"), self._op("Shape", "f"), out="lam")
        if kind == "regions":
            margin, critical, infeasible = self._arrays["multiplier"]
            threshold = np.float32(self._card["cost_threshold"])
            beyond = [
                self._op("GreaterOrEqual", "f", self._constant(border)) for border in (threshold, threshold - margin)
            ]
            feasible = self._op("Where", beyond[1], self._constant(critical), self._constant(0.0))
            self._op("Where", beyond[0], self._constant(infeasible), feasible, out="lam")

    def _outside(self) -> None:
        """Not within its range, which NaN isn't."""
        above = self._op("GreaterOrEqual", "obs", self._array("range/low"))
        below = self._op("LessOrEqual", "obs", self._array("range/high"))
        inside = self._op("Cast", self._op("And", above, below), to=TensorProto.FLOAT)
        every = self._op("ReduceMin", inside, axes=[1], keepdims=0)
        self._op("Less", every, self._constant(0.5), out="outside")

    # --- pieces ------------------------------------------------------------------------------------------------------

    def _mlp(self, name: str, x: str) -> str:
        for layer in range(self._network["depth"] + 1):
            x = self._op(self._activation, x) if layer else x
            x = self._op("Gemm", x, self._array(f"{name}/{layer}/w"), self._array(f"{name}/{layer}/b"))
        return x

    def _clip(self, x: str, low: float, high: float) -> str:
        return self._op("Clip", x, self._constant(low), self._constant(high))

    def _op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        out = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], **attributes))
        return out

    def _array(self, name: str) -> str:
        """One of the exported arrays, under its name."""
        if all(constant.name != name for constant in self.constants):
            self._constant(self._arrays[name], name)
        return name

    def _constant(self, value: Any, name: str | None = None) -> str:
        """A constant: whole numbers as int64, others as float32."""
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind == "i" else np.float32)
        name = name or f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name
