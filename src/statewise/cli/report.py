"""`statewise report`: many runs as one page for a browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from statewise.cli import arguments
from statewise.cli.statistics import read
from statewise.cli.status import OK
from statewise.config.run import Count, check

if TYPE_CHECKING:
    from statewise.experiments.evaluation import Evaluation


def report(argv: list[str]) -> int:
    """Write the page, and with --watch write it again until every run is over."""
    args = arguments.parse(arguments.Report, argv, "report")
    check("watch", args.watch, Count | None)
    evaluation = _write(args)
    print(f"{len(evaluation.runs)} runs: {args.output}", flush=True)
    while args.watch is not None and not is_over(args.runs, evaluation):
        time.sleep(args.watch)
        evaluation = _write(args)
    if args.watch is not None:
        _write(args, last=True)
    return OK


def _write(args: arguments.Report, *, last: bool = False) -> Evaluation:
    from statewise.experiments.evaluation import evaluate
    from statewise.experiments.report_page import build_page
    from statewise.report.page import write_page

    evaluation = evaluate(read(args, "report"), args.reference)
    write_page(build_page(evaluation, args.title, None if last else args.watch), args.output)
    return evaluation


def is_over(paths: tuple[Path, ...], evaluation: Evaluation) -> bool:
    """Whether nothing more will come: every run has ended or failed, those that a grid still has to start too."""
    from statewise.experiments.grid.state import OVER, read_runs

    waiting = [
        run for path in paths if (path / "grid.json").is_file() for run in read_runs(path) if run["state"] not in OVER
    ]
    runs = evaluation.runs
    return not waiting and bool((runs["finished"] | runs["failure"].is_not_null()).all())
