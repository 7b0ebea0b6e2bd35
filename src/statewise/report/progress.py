"""What a person sees while a run goes on: a live bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

SHOWN = {
    "return": "return {:.1f}",
    "cost": "cost {:.2f}",
    "f_bias": "F̂ bias {:+.2f}",
    "lam": "λ {:.3g}",
    "rho": "ρ {:.3g}",
}
"""Columns of the metrics that are shown, and how."""

PLAIN_SECONDS = 10.0


class Progress(Protocol):
    """Told of every block and every row of a run."""

    def start(self, step: int, total: int) -> None:
        """The run begins, or goes on, at `step` of `total`."""
        ...

    def advance(self, step: int) -> None:
        """The run has come to `step`."""
        ...

    def row(self, row: Mapping[str, float | str]) -> None:
        """A row of metrics was written."""
        ...

    def say(self, text: str) -> None:
        """Something that the user should know."""
        ...

    def close(self) -> None:
        """The run has ended or stopped."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, step: int, total: int) -> None:
        """Ignored."""

    def advance(self, step: int) -> None:
        """Ignored."""

    def row(self, row: Mapping[str, float | str]) -> None:
        """Ignored."""

    def say(self, text: str) -> None:
        """Ignored."""

    def close(self) -> None:
        """Ignored."""


class Plain:
    """Lines on standard error: every evaluation, and the rate and time left every ten seconds.

    name: what each line begins with, to tell runs apart.
    """

    def __init__(self, name: str = "") -> None:
        self._name = f"{name}: " if name else ""
        self._began = self._printed = time.monotonic()
        self._first_step = self._total = 0
        self._figures = ""

    def start(self, step: int, total: int) -> None:
        """Rates are of this process, so they count from here."""
        self._began = self._printed = time.monotonic()
        self._first_step, self._total = step, total

    def advance(self, step: int) -> None:
        """Print where the run is, at most every ten seconds."""
        now = time.monotonic()
        if now - self._printed < PLAIN_SECONDS:
            return
        self._printed = now
        rate = (step - self._first_step) / max(now - self._began, 1e-9)
        left = (self._total - step) / max(rate, 1e-9)
        self.say(
            f"step {step:,} of {self._total:,}  {rate:,.0f} steps/s  {_clock(left)} left  {self._figures}".rstrip()
        )

    def row(self, row: Mapping[str, float | str]) -> None:
        """Keep the newest figures; print those of an evaluation at once."""
        text = figures_line(row)
        if row["phase"] == "eval":
            self.say(f"evaluation at step {int(row['step']):,}: {text}")
        elif text:
            self._figures = text

    def say(self, text: str) -> None:
        """One line, written at once so that threads don't mix theirs."""
        print(f"{self._name}{text}\n", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is open."""


def _bar(*first: ProgressColumn) -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        *first,
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[train]}"),
        TextColumn("[dim]{task.fields[evaluation]}"),
        console=Console(stderr=True),
    )


class Live:
    """A bar with the rate, the time left and the newest figures, for a terminal.

    among: bars of several runs, one below the other, which whoever made them ends; name: what tells this one apart.
    """

    def __init__(self, name: str = "", among: Bar | None = None) -> None:
        self._alone = among is None
        self._bar = _bar() if among is None else among
        self._task = self._bar.add_task(name, total=1, rate="", train="", evaluation="")
        self._began, self._first_step = time.monotonic(), 0

    def start(self, step: int, total: int) -> None:
        """Draw the bar."""
        self._began, self._first_step = time.monotonic(), step
        self._bar.update(self._task, total=total, completed=step)
        self._bar.start()

    def advance(self, step: int) -> None:
        """Move the bar."""
        rate = (step - self._first_step) / max(time.monotonic() - self._began, 1e-9)
        self._bar.update(self._task, completed=step, rate=f"{rate:,.0f} steps/s")

    def row(self, row: Mapping[str, float | str]) -> None:
        """Show the figures behind the bar."""
        text = figures_line(row)
        if row["phase"] == "eval":
            self._bar.update(self._task, evaluation=f"evaluated: {text}")
        elif text:
            self._bar.update(self._task, train=text)

    def say(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._alone:
            self._bar.stop()


def progress_for(stream_is_terminal: bool) -> Progress:
    """The live bar on a terminal, plain lines elsewhere."""
    return Live() if stream_is_terminal else Plain()


@contextmanager
def progress_of_many(names: Sequence[str], stream_is_terminal: bool) -> Iterator[list[Progress]]:
    """For several runs at a time: a bar each on a terminal, elsewhere plain lines that begin with the name."""
    if not stream_is_terminal:
        yield [Plain(name) for name in names]
        return
    from rich.progress import TextColumn

    with _bar(TextColumn("{task.description}")) as bar:
        yield [Live(name, bar) for name in names]


def figures_line(row: Mapping[str, float | str]) -> str:
    """The shown columns that a row has, in one line."""
    return "  ".join(form.format(row[name]) for name, form in SHOWN.items() if name in row)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
