"""The report page: one HTML file with its styles, scripts and data inside, which needs no network."""

from __future__ import annotations

import html
import json
import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from statewise.report.plotly import plotly_js
from statewise.storage.files import write_text_atomic


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its heading, and what is in it, as HTML."""

    anchor: str
    heading: str
    content: str


@dataclass(frozen=True)
class Page:
    """A report before it is written.

    data: what the charts are drawn from, as JSON values. details: the same of each run, by its number, read when the
    run is opened. refresh: seconds after which a browser loads the page again; None never does.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    data: dict[str, Any]
    details: dict[int, dict[str, Any]]
    refresh: int | None = None


def write_page(page: Page, path: str | os.PathLike[str]) -> None:
    """Write the page as one file that appears whole or not at all."""
    write_text_atomic(Path(path), page_html(page))


def page_html(page: Page) -> str:
    """The text of the file."""
    assets = files("statewise.report.page")
    links = "".join(f'<a href="#{s.anchor}">{html.escape(s.heading)}</a>' for s in page.sections)
    sections = "".join(
        f'<section id="{s.anchor}" aria-labelledby="{s.anchor}-heading">'
        f'<h2 id="{s.anchor}-heading">{html.escape(s.heading)}</h2>{s.content}</section>'
        for s in page.sections
    )
    details = "".join(json_script(f"run-{number}", detail) for number, detail in page.details.items())
    refresh = f'<meta http-equiv="refresh" content="{page.refresh}">' if page.refresh else ""
    return Template((assets / "page.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(page.title),
        lead=page.lead,
        refresh=refresh,
        links=links,
        sections=sections,
        style=(assets / "page.css").read_text(encoding="utf-8"),
        data=json_script("data", page.data) + details,
        plotly=plotly_js(),
        script=(assets / "page.js").read_text(encoding="utf-8"),
    )


def json_script(name: str, value: Any) -> str:
    """JSON in a script element that nothing runs; `<` is escaped, so that no text in it can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>'


def chart(name: str, text: str, **attributes: str) -> str:
    """A place that page.js draws chart `name` into; `text` is its alternative for who can't see it."""
    extra = "".join(f' data-{key}="{html.escape(value)}"' for key, value in attributes.items())
    return f'<div class="chart" role="img" data-chart="{name}"{extra} aria-label="{html.escape(text)}"></div>'
