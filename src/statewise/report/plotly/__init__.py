"""plotly.js for pages that need no network: its cartesian bundle, version 4.1.1, MIT (LICENSE beside it).

A third of the whole library, all that our charts use, in less than half of the time until they are drawn
(`benchmarks/report.py`). The file is as `npm pack plotly.js-cartesian-dist-min@4.1.1` has it; a newer one takes its
place and its digest here.
"""

from importlib.resources import files

SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"


def plotly_js() -> str:
    """The text of the script."""
    return (files(__name__) / "plotly-cartesian.min.js").read_text(encoding="utf-8")
