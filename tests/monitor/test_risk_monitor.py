"""The monitor: an alarm without chatter, faults that never pass as safe, a fallback at the wheel."""

from __future__ import annotations

import io
import json
import math
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from numpy.typing import NDArray
from support.exports import OBS, observations, small_policy

from statewise.monitor import RiskMonitor, RiskReading
from statewise.monitor.export import Exported, export_policy
from statewise.monitor.guard import Guarded
from statewise.monitor.risk_monitor import Hysteresis, write_reading

FUZZED = 100_000


class Dial:
    """A risk that is the observation's first entry, with λ twice as large; outside beyond 10, no answer beyond 100."""

    card: dict[str, Any] = {"absent": {}, "cost_threshold": 1.0, "observation": 1}  # noqa: RUF012

    def rate(self, obs: NDArray[Any]) -> tuple[float | None, float, bool]:
        f = float(obs[0])
        if abs(f) > 100.0:
            raise ValueError("obs: too large")
        return 2.0 * f, f, abs(f) > 10.0


def alarms(monitor: RiskMonitor, values: list[float]) -> list[bool]:
    return [monitor.step(np.array([value])).alarm for value in values]


@pytest.fixture(scope="module")
def exported() -> Exported:
    return export_policy(small_policy("sac-alam"))


# --- alarm -----------------------------------------------------------------------------------------------------------


def test_an_alarm_ends_only_after_readings_in_a_row_below_the_lower_bound() -> None:
    monitor = RiskMonitor(Dial(), alarm_above=1.0, clear_below=0.5, clear_after=2)
    values = [0.9, 1.0, 1.1, 0.6, 0.4, 0.6, 0.4, 0.4, 0.9, 1.2, 0.4]
    assert alarms(monitor, values) == [False, False, True, True, True, True, True, False, False, True, True]


def test_a_signal_that_trembles_at_the_bound_gives_one_alarm() -> None:
    monitor = RiskMonitor(Dial())
    trembling = 1.0 + 0.1 * np.random.default_rng(0).normal(size=1000)
    on = np.array(alarms(monitor, [0.0, *trembling.tolist()]))
    assert np.count_nonzero(np.diff(on.astype(int))) == 1


def test_the_bounds_that_are_taken() -> None:
    monitor = RiskMonitor(Dial())
    bounds = monitor.hysteresis
    assert (bounds.alarm_above, bounds.clear_below, bounds.clear_after) == (1.0, 0.8, 5)
    assert RiskMonitor(Dial(), alarm_above=-1.0).hysteresis.clear_below == -1.0
    assert alarms(RiskMonitor(Dial(), signal="lam", alarm_above=1.0), [0.4, 0.6]) == [False, True]


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"signal": "q"}, "signal: 'q' is not allowed"),
        ({"signal": "lam"}, "alarm_above: is missing"),
        ({"alarm_above": math.nan}, "alarm_above: nan is not allowed"),
        ({"alarm_above": 1.0, "clear_below": 2.0}, "clear_below: 2 is not allowed; it must be at most alarm_above = 1"),
        ({"clear_after": 0}, "clear_after: 0 is not allowed"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(bounds: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RiskMonitor(Dial(), **bounds)


def test_a_signal_that_the_file_lacks_is_refused() -> None:
    plain = export_policy(small_policy("sac"))
    with pytest.raises(ValueError, match="signal: lam is not in this file, as sac has no multiplier"):
        RiskMonitor(plain.fused, signal="lam", alarm_above=0.5)


def test_reset_begins_anew() -> None:
    monitor = RiskMonitor(Dial())
    assert [monitor.step([5.0]).step, monitor.step([0.0]).step] == [0, 1]
    monitor.reset()
    assert monitor.step([0.0]) == RiskReading(0, False, 0.0, 0.0, False, None)


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "obs",
    [
        [math.nan],
        [math.inf],
        [1e39],
        [1000.0],
        [],
        [0.0, 0.0],
        [[0.0]],
        0.0,
        None,
        "0",
        ["0"],
        [None],
        [1j],
        {"obs": [0.0]},
        [[0.0], [0.0, 1.0]],
    ],
)
def test_what_cannot_be_judged_is_a_fault_and_an_alarm(obs: Any, exported: Exported) -> None:
    for monitor in (RiskMonitor(Dial()), RiskMonitor(exported.fused)):
        monitor.step(np.zeros(1))
        reading = monitor.step(obs)
        assert reading.alarm
        assert reading.outside
        assert reading.fault
        assert (reading.lam, reading.f) == (None, None)
        assert json.loads(reading.to_json())["alarm"] is True


def test_a_fault_counts_as_a_value_above_every_bound() -> None:
    monitor = RiskMonitor(Dial(), clear_after=2)
    assert alarms(monitor, [0.0, math.nan, 0.0, 0.0]) == [False, True, True, False]


def test_observations_outside_of_training_are_flagged(exported: Exported) -> None:
    monitor = RiskMonitor(exported.fused)
    usual = observations(1)[0]
    low, high = exported.arrays["range/low"], exported.arrays["range/high"]
    assert not monitor.step(usual).outside
    for entry in range(OBS):
        for edge, beyond in ((low, -np.inf), (high, np.inf)):
            obs = usual.copy()
            obs[entry] = edge[entry]
            assert not monitor.step(obs).outside
            obs[entry] = np.nextafter(edge[entry], np.float32(beyond))
            assert monitor.step(obs).outside
            assert exported.runner.outside(obs)


def fuzzed(random: np.random.Generator) -> Any:
    """An observation from a plant, a broken sensor or a careless caller."""
    kind = random.integers(10)
    obs = random.normal(size=OBS) * 10.0 ** random.integers(-3, 4)
    if kind == 0:
        obs[random.integers(OBS)] = random.choice([np.nan, np.inf, -np.inf, 1e39, -1e300])
    if kind == 1:
        obs *= 10.0 ** random.integers(0, 40)
    if kind == 2:
        return random.normal(size=random.integers(0, 2 * OBS))
    if kind == 3:
        return random.choice(np.array([None, "x", 1.0, [], {}], object))
    if kind == 4:
        return obs.astype(random.choice(["int32", "int64", "bool", "complex64", "U8", "object"]))
    if kind == 5:
        return random.integers(0, 2**32, OBS, np.uint32).view(np.float32)
    return obs


@pytest.mark.slow
def test_fuzzed_observations_neither_crash_nor_pass_as_safe(exported: Exported) -> None:
    random, monitor = np.random.default_rng(7), RiskMonitor(exported.fused)
    shadow = Hysteresis(monitor.hysteresis.alarm_above, monitor.hysteresis.clear_below, monitor.hysteresis.clear_after)
    judged, answers, faults = [], [], 0
    for step in range(FUZZED):
        obs = fuzzed(random)
        reading = monitor.step(obs)
        assert reading.step == step
        real = isinstance(obs, np.ndarray) and obs.shape == (OBS,) and obs.dtype.kind in "fiub"
        with np.errstate(over="ignore"):
            sound = real and bool(np.isfinite(obs.astype(np.float32)).all())
        if reading.fault is None:
            assert sound
            assert reading.f is not None
            assert reading.alarm == shadow.update(reading.f)
            judged.append(obs.astype(np.float32))
            answers.append((reading.lam, reading.f, reading.outside))
        else:
            assert reading.alarm
            assert not sound
            shadow.update(math.inf)
            faults += 1
    assert faults > FUZZED // 5
    with np.errstate(over="ignore"):
        lam, f = exported.runner.risk(np.array(judged))
    found_lam, found_f, outside = (np.array(column) for column in zip(*answers, strict=True))
    np.testing.assert_allclose(found_f, f, rtol=1e-5, atol=1e-5)
    assert lam is not None
    np.testing.assert_allclose(found_lam, lam, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(outside, exported.runner.outside(np.array(judged)))


# --- in an environment -----------------------------------------------------------------------------------------------


class Drift(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """One entry that moves by the action."""

    observation_space = Box(-np.inf, np.inf, (1,), np.float64)
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._x = np.zeros(1)
        return self._x.copy(), {"start": True}

    def step(self, action: Any) -> Any:
        self._x = self._x + action
        return self._x.copy(), 1.0, False, False, {"cost": 0.0}


def test_the_wrapper_records_readings_and_hands_over_on_alarm() -> None:
    stream = io.StringIO()
    seen: list[float] = []

    def back(obs: Any) -> NDArray[np.float32]:
        seen.append(float(obs[0]))
        return np.array([-0.5], np.float32)

    env = Guarded(Drift(), RiskMonitor(Dial(), clear_below=0.8, clear_after=1), back, stream)
    _, info = env.reset(seed=0)
    assert info == {"start": True, "risk": RiskReading(0, False, 0.0, 0.0, False, None)._asdict(), "fallback": False}
    steps = [env.step(np.array([0.75], np.float32)) for _ in range(5)]
    assert [step[0][0] for step in steps] == [0.75, 1.5, 1.0, 0.5, 1.25]
    assert [step[4]["fallback"] for step in steps] == [False, False, True, True, False]
    assert seen == [1.5, 1.0]
    assert all(step[4]["cost"] == 0.0 for step in steps)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert lines == [info["risk"], *(step[4]["risk"] for step in steps)]
    assert [line["alarm"] for line in lines] == [False, False, True, True, False, True]
    env.reset()
    assert env.reading is not None
    assert not env.reading.alarm


def test_without_a_fallback_the_wrapper_only_watches() -> None:
    env = Guarded(Drift(), RiskMonitor(Dial()))
    env.reset()
    assert [env.step(np.ones(1, np.float32))[0][0] for _ in range(3)] == [1.0, 2.0, 3.0]
    assert env.reading is not None
    assert env.reading.alarm


def test_readings_are_lines_of_json_without_nan() -> None:
    stream = io.StringIO()
    write_reading(stream, RiskReading(0, True, None, None, True, "obs: holds NaN"))
    assert stream.getvalue() == (
        '{"step": 0, "alarm": true, "lam": null, "f": null, "outside": true, "fault": "obs: holds NaN"}\n'
    )
