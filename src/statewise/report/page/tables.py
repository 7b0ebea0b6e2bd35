"""Tables of the report page."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Cell(NamedTuple):
    """What a cell shows, and the number behind it, which the page keeps in full; `markup`: the text is HTML already."""

    text: str
    value: float | None = None
    markup: bool = False


def table(caption: str, headers: Sequence[str], rows: Iterable[Sequence[Cell | str]], *, name: str = "") -> str:
    """A table whose first column heads its rows; it scrolls by itself where the page is too narrow.

    name: of the table among the page's, so that scripts and tests find it.
    """
    head = "".join(f'<th scope="col">{html.escape(header)}</th>' for header in headers)
    body = "".join(f"<tr>{''.join(_cell(cell, column) for column, cell in enumerate(row))}</tr>" for row in rows)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{html.escape(caption)}">'
        f'<table data-table="{html.escape(name)}"><caption>{html.escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell | str, column: int) -> str:
    cell = Cell(cell) if isinstance(cell, str) else cell
    text = cell.text if cell.markup else html.escape(cell.text)
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f'<th scope="row"{value}>{text}</th>' if column == 0 else f"<td{value}>{text}</td>"


def estimate(value: float | None, low: float | None, high: float | None) -> Cell:
    """A value with its interval, `17.1 [14.2, 20.0]`; a dash where there is none."""
    if value is None:
        return Cell("–")
    interval = "" if low is None or high is None else f" [{number(low)}, {number(high)}]"
    return Cell(number(value) + interval, value)


def number(value: float) -> str:
    """Two to four digits, thousands with commas."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.1 else f"{value:.2g}"
