"""What a person sees of a grid: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from statewise.experiments.grid.state import Entry

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PLAIN_SECONDS = 60.0
"""Between two summaries on plain lines."""
ORDER = ("running", "failed", "waiting", "finished")
"""Which runs a table that is too long for the terminal shows first."""
FIGURES = {"progress": 8, "steps/s": 7, "return": 7, "cost": 6, "left": 11}
"""Columns of figures and their widths; the run's name and its state share what a terminal has left."""
STYLES = {"running": "bold", "failed": "red", "waiting": "dim", "finished": "green"}


class PlainLines:
    """Lines on standard error: what happens, and a summary every minute."""

    def __init__(self) -> None:
        self._printed = time.monotonic()

    def show(self, entries: Sequence[Entry]) -> None:
        """Print the summary, at most once a minute."""
        if time.monotonic() - self._printed >= PLAIN_SECONDS:
            self._printed = time.monotonic()
            self.say(summary(entries))

    def say(self, text: str) -> None:
        """One line with the time of day."""
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is open."""


class LiveTable:
    """A table of all runs on the terminal, as many as fit, with what happens in lines above it."""

    def __init__(self, console: Console | None = None) -> None:
        """console: where to draw; None takes standard error."""
        from rich.console import Console
        from rich.live import Live

        self._console = console or Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False)

    def show(self, entries: Sequence[Entry]) -> None:
        """Draw the table anew."""
        self._live.start()
        self._live.update(table(entries, rows=max(3, self._console.height - 8)), refresh=True)

    def say(self, text: str) -> None:
        """A line above the table."""
        self._console.print(f"{time.strftime('%H:%M:%S')} {text}", highlight=False, markup=False)

    def close(self) -> None:
        """Leave the table as it stands."""
        self._live.stop()


def display_for(stream_is_terminal: bool) -> PlainLines | LiveTable:
    """The live table on a terminal, plain lines elsewhere."""
    return LiveTable() if stream_is_terminal else PlainLines()


def summary(entries: Sequence[Entry]) -> str:
    """How many runs stand where, how fast they go, and the time left; one line."""
    counts = {state: sum(entry.state == state for entry in entries) for state in ORDER}
    parts = [f"{count} {state}" for state, count in counts.items() if count]
    rate = sum(entry.watch.rate for entry in entries if entry.state == "running")
    if rate:
        left = sum(entry.run.total_steps - entry.watch.step for entry in entries if not entry.is_over)
        parts.append(f"{rate:,.0f} steps/s, about {clock(left / rate)} left")
    return ", ".join(parts)


def table(entries: Sequence[Entry], rows: int) -> RenderableType:
    """The runs as a table of at most `rows` rows, running ones first, over the summary."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(caption=summary(entries), caption_justify="left", box=None, pad_edge=False)
    grid.add_column("run", min_width=22)
    for name, width in FIGURES.items():
        grid.add_column(name, justify="right", width=width, no_wrap=True)
    grid.add_column("state", min_width=8)
    ordered = sorted(entries, key=lambda entry: ORDER.index(entry.state))
    for entry in ordered[:rows]:
        texts = (Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells(entry))
        grid.add_row(*texts, style=STYLES[entry.state])
    if len(ordered) > rows:
        grid.add_row(f"and {len(ordered) - rows} more", style="dim")
    return grid


def cells(entry: Entry) -> tuple[str, ...]:
    """A run's row: label, task and seed, the figures, and its state or what is the matter."""
    watch, runs = entry.watch, entry.state == "running"
    figures = [f"{watch.figures[name]:.1f}" if name in watch.figures else "" for name in ("return", "cost")]
    left = clock((entry.run.total_steps - watch.step) / watch.rate) if runs and watch.rate else ""
    spec = entry.run.spec
    task = re.sub(r"^Safety|-v\d+$", "", spec.task)
    return (
        f"{entry.run.label} {task} {spec.config.seed}",
        f"{max(watch.step, entry.step) / entry.run.total_steps:.0%}",
        f"{watch.rate:,.0f}" if runs and watch.rate else "",
        *figures,
        left,
        entry.state if not entry.reason else f"{entry.state}: {entry.reason}",
    )


def clock(seconds: float) -> str:
    """Hours and minutes, or minutes and seconds where it is less than an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
