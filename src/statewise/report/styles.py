"""How each method looks, in every picture: a colour, a kind of line and a marker of its own.

Colours are told apart with any of the three colour-blindnesses; lines of one kind also differ in lightness, so that
a picture reads in grey. A test holds both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple


class Style(NamedTuple):
    """A colour (#rrggbb), a kind of line and a marker, by matplotlib's names."""

    colour: str
    line: Literal["solid", "dashed", "dotted", "dashdot"]
    marker: str


STYLES: dict[str, Style] = {
    "sac-alam": Style("#d55e00", "solid", "o"),
    "sac-alam-ga": Style("#e69f00", "dashed", "s"),
    "sac-lagnet": Style("#0072b2", "dashed", "^"),
    "sac-lag": Style("#56b4e9", "dashdot", "v"),
    "sac-pid": Style("#335555", "dashdot", "D"),
    "asac": Style("#cc79a7", "dotted", "P"),
    "sac-fpi": Style("#330077", "dashed", "X"),
    "p3o": Style("#5500dd", "solid", "<"),
    "crpo": Style("#777755", "dashdot", ">"),
    "ppo": Style("#993300", "dotted", "*"),
    "sac": Style("#111111", "solid", "h"),
}
"""The methods that come with Statewise."""

LIMIT_COLOUR = "#6b7280"
"""Of the cost limit, a thin dotted line."""


def styles_of(labels: Iterable[str]) -> dict[str, Style]:
    """A style for each label: a method's own for its name, for any other the next one that no label has.

    Beyond the eleventh label they repeat.
    """
    wanted = list(dict.fromkeys(labels))
    taken = {STYLES[label] for label in wanted if label in STYLES}
    free = [style for style in STYLES.values() if style not in taken] or list(STYLES.values())
    others = [label for label in wanted if label not in STYLES]
    return {label: STYLES[label] if label in STYLES else free[others.index(label) % len(free)] for label in wanted}
