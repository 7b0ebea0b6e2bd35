"""How long the report page of a whole evaluation takes to make, and a browser to open it.

    python benchmarks/report.py [--tasks 8] [--methods 9] [--seeds 5] [--evaluations 200]

The runs are made up; their number and length are what the page has to bear. Opening is timed in headless Chromium, from
the start of its process until the page can be read and until its first charts are drawn, in turns with an empty page,
which is what the browser itself takes; medians.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import queue
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from statewise.experiments.curves import Curves, curves_of
from statewise.experiments.evaluation import evaluate
from statewise.experiments.report_page import build_page
from statewise.methods import METHODS
from statewise.report.page import page_html

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--no-proxy-server", "--remote-debugging-port=0", "--window-size=1280,900"]


def made_up(tasks: int, methods: int, seeds: int, evaluations: int) -> Curves:
    """Random walks of return, and costs, with as many training rows as evaluations."""
    rng = np.random.default_rng(0)
    runs, rows = [], []
    for label in list(METHODS)[:methods]:
        for task in range(tasks):
            for seed in range(seeds):
                run = {"run": f"{label}/{task}/{seed}", "label": label, "task": f"Task{task}-v0", "seed": seed}
                steps = np.arange(1, evaluations + 1) * 5000
                walks = {name: rng.normal(size=evaluations).cumsum() for name in ("return", "lam", "f", "rho")}
                frame = pl.DataFrame({"step": steps, **walks, "cost": rng.exponential(size=evaluations)})
                phases = (frame.with_columns(phase=pl.lit(phase)) for phase in ("eval", "train"))
                runs.append({**run, "source": "csv", "total_steps": int(steps[-1]), "cost_limit": 1.0})
                rows.append(pl.concat(list(phases)))
    return curves_of(runs, rows)


class Opened(NamedTuple):
    """Seconds from the start of a browser: until it has painted the page, and until the first charts are drawn."""

    read: float
    drawn: float


PROBE = """<script>
const painted = setInterval(() => {
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  if (paint) { clearInterval(painted); fetch(`/painted?${performance.timeOrigin + paint.startTime}`); }
}, 10);
const drawn = setInterval(() => {
  const first = [...document.querySelectorAll("[data-chart]")].slice(0, 2);
  if (first.every((chart) => chart.dataset.drawn)) { clearInterval(drawn); fetch(`/drawn?${Date.now()}`); }
}, 10);
</script></body>"""
"""Says when, in milliseconds; the page's own policy, which lets nothing out, is taken off for it."""


class Pages(http.server.ThreadingHTTPServer):
    """Serves pages with a probe in them, and notes when it speaks."""

    def __init__(self, pages: dict[str, str]) -> None:
        self.pages = {f"/{name}": _probed(text).encode() for name, text in pages.items()}
        self.heard: queue.Queue[tuple[str, float]] = queue.Queue()
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def opened(self, name: str) -> Opened:
        """Open a page in a browser of its own."""
        times: dict[str, float] = {}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
            command = [shutil.which("chromium") or "chromium", *FLAGS, f"--user-data-dir={profile}"]
            begin = time.time()
            address = f"http://127.0.0.1:{self.server_port}/{name}"
            browser = subprocess.Popen([*command, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                while len(times) < 2:
                    word, at = self.heard.get(timeout=120)
                    times[word] = at - begin
            finally:
                browser.terminate()
                browser.wait()
        return Opened(times["/painted"], times["/drawn"])


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Pages  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        word, _, milliseconds = self.path.partition("?")
        if milliseconds:
            self.server.heard.put((word, float(milliseconds) / 1000))
        content = self.server.pages.get(self.path, b"")
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):  # a browser that has been ended
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


def _probed(text: str) -> str:
    open_text = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", text)
    return open_text.replace("</body>", PROBE)


def _median(times: list[Opened]) -> Opened:
    return Opened(statistics.median(t.read for t in times), statistics.median(t.drawn for t in times))


def main() -> None:
    """Make the page, open it, and print what each took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, usual in (("tasks", 8), ("methods", 9), ("seeds", 5), ("evaluations", 200), ("repeats", 7)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument(
        "--beside", type=Path, help="another page, such as an earlier version's, opened in the same turns"
    )
    options = parser.parse_args()
    curves = made_up(options.tasks, options.methods, options.seeds, options.evaluations)
    begin = time.perf_counter()
    evaluation = evaluate(curves)
    print(f"statistics of {len(curves.runs)} runs: {time.perf_counter() - begin:.1f} s")
    begin = time.perf_counter()
    text = page_html(build_page(evaluation))
    print(f"page: {time.perf_counter() - begin:.1f} s, {len(text.encode()) / 1e6:.1f} MB")
    pages = {"empty": "<!doctype html><body>nothing</body>", "report": text}
    if options.beside:
        pages["beside"] = options.beside.read_text("utf-8")
    server = Pages(pages)
    turns = [{name: server.opened(name) for name in pages} for _ in range(options.repeats)]
    medians = {name: _median([turn[name] for turn in turns]) for name in pages}
    own = medians.pop("empty").read
    for name, (read, drawn) in medians.items():
        print(f"{name}: first seen after {read - own:.2f} s, first charts after {drawn - own:.2f} s")
    print(f"beyond the {own:.2f} s until an empty page is seen")


if __name__ == "__main__":
    main()
