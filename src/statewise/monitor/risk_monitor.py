"""The monitor: λ(x) and F̂(x) of every observation, and an alarm that neither chatters nor misses bad input."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, Self, TextIO

import numpy as np
from numpy.typing import NDArray

from statewise.monitor.fused import FusedRisk
from statewise.monitor.numpy_runner import NumpyPolicy

Signal = Literal["f", "lam"]

CLEAR_AFTER = 5
"""Readings in a row below the lower bound before an alarm ends."""
CLEAR_SHARE = 0.8
"""The lower bound as a share of a positive upper one."""


class RiskReading(NamedTuple):
    """What the monitor makes of one observation.

    step: readings since the last reset, from 0. alarm: whether to act. lam, f: λ(x) and F̂(x); None where the method has
    no multiplier, and both where there is a fault. outside: whether an entry is outside of its range in training, or
    there is a fault. fault: why the observation can't be judged, None where it can; a fault is always an alarm.
    """

    step: int
    alarm: bool
    lam: float | None
    f: float | None
    outside: bool
    fault: str | None

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self._asdict(), allow_nan=False)


class Risk(Protocol):
    """What rates single observations: `fused.FusedRisk`, `onnx_runner.OnnxRisk`."""

    card: dict[str, Any]

    def rate(self, obs: NDArray[Any]) -> tuple[float | None, float, bool]:
        """λ(x), F̂(x), and whether an entry is outside of its range: obs [obs], real numbers; ValueError for a fault."""
        ...


class Hysteresis:
    """On above one bound, off only when `clear_after` values in a row were below another; so it doesn't chatter."""

    def __init__(self, alarm_above: float, clear_below: float, clear_after: int) -> None:
        for name, value in (("alarm_above", alarm_above), ("clear_below", clear_below)):
            if not math.isfinite(value):
                raise ValueError(f"{name}: {value!r} is not allowed; it must be a finite number")
        if clear_below > alarm_above:
            raise ValueError(
                f"clear_below: {clear_below:g} is not allowed; it must be at most alarm_above = {alarm_above:g}"
            )
        if clear_after < 1:
            raise ValueError(f"clear_after: {clear_after} is not allowed; it must be at least 1")
        self.alarm_above, self.clear_below, self.clear_after = alarm_above, clear_below, clear_after
        self.reset()

    def reset(self) -> None:
        """Off."""
        self.on = False
        self._clear = 0

    def update(self, value: float) -> bool:
        """Take in the next value, not NaN; infinity switches on. Whether it is on now."""
        if value > self.alarm_above:
            self.on, self._clear = True, 0
        elif self.on:
            self._clear = self._clear + 1 if value < self.clear_below else 0
            self.on = self._clear < self.clear_after
        return self.on


class RiskMonitor:
    """Watches a policy at work, in NumPy or ONNX Runtime; one monitor for one stream of observations.

    monitor = RiskMonitor.load("policy.safetensors")
    reading = monitor.step(obs)
    if reading.alarm: ...
    """

    def __init__(
        self,
        risk: Risk,
        *,
        signal: Signal = "f",
        alarm_above: float | None = None,
        clear_below: float | None = None,
        clear_after: int = CLEAR_AFTER,
    ) -> None:
        """The alarm is on from a signal above `alarm_above`, off after `clear_after` readings below `clear_below`.

        signal: F̂(x) or λ(x). alarm_above: None takes the policy's threshold d on F̂. clear_below: None takes four fifths
        of a positive `alarm_above`, else itself. ValueError where the policy hasn't got the signal, or a bound is no
        number.
        """
        self.card = risk.card
        self.signal: Signal = signal
        if signal not in ("f", "lam"):
            raise ValueError(f"signal: {signal!r} is not allowed; it must be f or lam")
        if signal in self.card["absent"]:
            raise ValueError(f"signal: {signal} is not in this file, as {self.card['absent'][signal]}")
        if alarm_above is None:
            if signal == "lam":
                raise ValueError("alarm_above: is missing; a multiplier has no threshold of its own")
            alarm_above = float(self.card["cost_threshold"])
        if clear_below is None:
            clear_below = CLEAR_SHARE * alarm_above if alarm_above > 0.0 else alarm_above
        self.hysteresis = Hysteresis(alarm_above, clear_below, clear_after)
        self._shape = (int(self.card["observation"]),)
        self._rate = risk.rate
        self._step = 0

    @classmethod
    def load(cls, path: str | os.PathLike[str], **bounds: Any) -> Self:
        """A monitor from a file of `statewise export`, `.onnx` by ONNX Runtime; bounds as in the constructor.

        CheckpointError where the file is missing, damaged or something else.
        """
        path = Path(path)
        if path.suffix == ".onnx":
            from statewise.monitor.onnx_runner import OnnxRisk

            return cls(OnnxRisk(path), **bounds)
        return cls(FusedRisk(NumpyPolicy.load(path)), **bounds)

    def reset(self) -> None:
        """Begin another episode: the alarm is off, and steps count from 0."""
        self.hysteresis.reset()
        self._step = 0

    def step(self, obs: Any) -> RiskReading:
        """The reading of the next observation [obs]. Never raises: what can't be judged is a fault and an alarm."""
        step, self._step = self._step, self._step + 1
        try:
            array = np.asarray(obs)
            if array.shape != self._shape or array.dtype.kind not in "fiub":
                raise ValueError(
                    f"obs: {array.dtype} {list(array.shape)} is not allowed; it must be numbers {list(self._shape)}"
                )
            lam, f, outside = self._rate(array)
            if not math.isfinite(f) or (lam is not None and not math.isfinite(lam)):
                raise ValueError("obs: its entries are too large; what the networks make of them is not finite")
        except Exception as error:
            return RiskReading(step, self.hysteresis.update(math.inf), None, None, True, str(error) or repr(error))
        value = f if self.signal == "f" else lam
        assert value is not None
        return RiskReading(step, self.hysteresis.update(value), lam, f, outside, None)


def write_reading(stream: TextIO, reading: RiskReading) -> None:
    """Append a reading to a stream of JSON lines, and hand it on at once."""
    stream.write(reading.to_json() + "\n")
    stream.flush()
