"""Where the seconds of a run go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

PARTS: tuple[str, ...] = ("sample", "update", "evaluate", "checkpoint")


class Stopwatch:
    """Seconds of each part since the last row of timings."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._last = (0, time.monotonic(), time.process_time())

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Count what happens inside as seconds of one of PARTS."""
        began = time.monotonic()
        yield
        self._seconds[part] += time.monotonic() - began

    def restart(self, step: int) -> None:
        """Let the next row begin here."""
        self._last = (step, time.monotonic(), time.process_time())

    def take_row(self, step: int) -> dict[str, float]:
        """Columns of a row of timings; the next one begins here."""
        last_step, then, cpu_then = self._last
        elapsed = time.monotonic() - then
        row = {
            "step": step,
            "seconds": elapsed,
            **{f"{part}_seconds": seconds for part, seconds in self._seconds.items()},
            "steps_per_second": (step - last_step) / max(elapsed, 1e-9),
            "cpu_seconds": time.process_time() - cpu_then,
        }
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self.restart(step)
        return row
