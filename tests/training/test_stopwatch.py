"""Where the seconds of a run go: wall clock, its parts, and the processor's, each since the last row."""

from __future__ import annotations

import pytest

from statewise.training import stopwatch
from statewise.training.stopwatch import Stopwatch


def test_seconds_are_those_since_the_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"monotonic": 100.0, "process_time": 7.0}
    for name in clock:
        monkeypatch.setattr(stopwatch.time, name, lambda name=name: clock[name])

    def spend(wall: float, processor: float) -> None:
        clock["monotonic"] += wall
        clock["process_time"] += processor

    watch = Stopwatch()
    with watch.timed("update"):
        spend(3.0, 5.0)
    spend(1.0, 0.5)
    first = watch.take_row(200)
    assert (first["seconds"], first["update_seconds"], first["cpu_seconds"]) == (4.0, 3.0, 5.5)
    assert first["steps_per_second"] == 50.0
    spend(2.0, 1.0)
    second = watch.take_row(300)
    assert (second["seconds"], second["update_seconds"], second["cpu_seconds"]) == (2.0, 0.0, 1.0)
    spend(10.0, 10.0)
    watch.restart(300)
    assert watch.take_row(300)["cpu_seconds"] == 0.0
