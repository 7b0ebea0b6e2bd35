"""The tables in these pages that follow from the code: methods from the registry, columns of the metrics.

    python docs/tables.py            # write them anew
    python docs/tables.py --check    # exit with 1 where one is out of date

Each stands in its page between two comments, `<!-- table: name -->` and `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from statewise.config import OnPolicyConfig, RunConfig, SacConfig
from statewise.core.columns import EVALUATION, LEARNING, Column
from statewise.methods import METHODS, Method, metric_columns
from statewise.spec import make_config

PAGES = Path(__file__).parent


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in map(tuple, lines))


def columns_table() -> str:
    """Every column that the methods of the package write, and whose it is."""
    shared = {column.name for column in (*LEARNING, *EVALUATION)}
    rows = [(f"`{c.name}`", _escaped(c.meaning), "" if c.name in shared else _owner(c)) for c in metric_columns("sac")]
    return table(("column", "meaning", "only of"), rows)


def methods_table() -> str:
    """Every method: what it is, where it is from, and the fields that its family's plain method doesn't have."""
    rows = [(f"`{name}`", m.summary, m.source, _own_fields(m)) for name, m in METHODS.items()]
    return table(("method", "what it is", "source", "fields of its own (default)"), rows)


TABLES = {"columns": columns_table, "methods": methods_table}


def _owner(column: Column) -> str:
    return ", ".join(f"`{name}`" for name, method in METHODS.items() if column in method.columns)


def _own_fields(method: Method) -> str:
    family: type[RunConfig] = SacConfig if issubclass(method.config, SacConfig) else OnPolicyConfig
    shared, values = family().to_dict(), make_config(method.config.method, "paper").to_dict()
    return ", ".join(f"`{name}` {_number(value)}" for name, value in values.items() if name not in shared)


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def filled(text: str) -> str:
    """A page with its tables made anew; ValueError for a table that nothing makes."""

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in TABLES:
            raise ValueError(f"table: {name!r} is unknown; known are {', '.join(TABLES)}")
        return f"<!-- table: {name} -->\n{TABLES[name]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (?P<name>\w+) -->\n.*?<!-- end -->", fill, text, flags=re.DOTALL)


def main() -> int:
    """Write or check every page."""
    outdated = []
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            outdated.append(page)
            if "--check" not in sys.argv[1:]:
                page.write_text(new, encoding="utf-8")
    if "--check" in sys.argv[1:] and outdated:
        print(f"{', '.join(page.name for page in outdated)}: out of date; run python docs/tables.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
