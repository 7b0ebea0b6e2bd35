"""Films of runs inside the page: those that lie in a run's folder and are small enough to be carried."""

from __future__ import annotations

import base64
import html
import shlex
from pathlib import Path

MOST_OF_A_RUN = 1_000_000
"""Bytes of a film that the page still takes in."""
MOST_OF_A_PAGE = 20_000_000
"""Bytes of all films of a page."""
_KINDS = {".mp4": (4, b"ftyp"), ".gif": (0, b"GIF8")}
"""Suffixes, in order of preference, and by what bytes at which place such a file is known."""


class Films:
    """The films of one page, in the order in which its runs are told."""

    def __init__(self) -> None:
        self._room = MOST_OF_A_PAGE

    def of(self, run: Path, who: str) -> str:
        """A run's film as HTML, or what is to be done to have one; run: its folder, who: label, task and seed."""
        path = next((p for suffix in _KINDS for p in sorted(run.glob(f"*{suffix}")) if p.is_file()), None)
        if path is None:
            return _advice("It has no film.", run)
        size = path.stat().st_size
        if size > MOST_OF_A_RUN:
            return _advice(f"Its film {path} takes {size / 1e6:.1f} MB, and a page takes in 1 MB of a run.", run)
        content = path.read_bytes()
        at, known = _KINDS[path.suffix]
        if content[at : at + len(known)] != known:
            return _advice(f"{path} is no film.", run)
        if size > self._room:
            return f"<p>Its film is {html.escape(str(path))}: this page carries as many as it can.</p>"
        self._room -= size
        return _element(path.suffix, base64.b64encode(content).decode(), html.escape(f"Film of {who}"))


def _element(suffix: str, content: str, name: str) -> str:
    if suffix == ".gif":
        return f'<p><img class="film" src="data:image/gif;base64,{content}" alt="{name}"></p>'
    source = f"data:video/mp4;base64,{content}"
    return f'<p><video class="film" controls muted playsinline src="{source}" aria-label="{name}"></video></p>'


def _advice(what: str, run: Path) -> str:
    command = shlex.join(["statewise", "evaluate", str(run), "--video", str(run / "film.mp4")])
    told = f"{html.escape(what)} This films an episode, and the next report shows it:"
    return f"<p>{told}</p><pre>{html.escape(command)}</pre>"
