"""`statewise calibrate`: a policy's risk against what came of its states."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from statewise.cli import arguments, named
from statewise.cli.status import OK

_FIGURES = ("auroc", "average_precision", "violated", "spearman", "bias", "brier", "brier_of_rate")
_BOUND = ("alarm_above", "missed", "violating_episodes")


def calibrate(argv: list[str]) -> int:
    """Play episodes, print how well λ and F̂ foretold them, and keep and draw that in the run folder."""
    args = arguments.parse(arguments.Calibrate, argv, "calibrate")
    named.allow(args.allow_module)
    _require_allowed(args)
    from statewise.agent import Agent
    from statewise.report.calibration_picture import calibration_picture, parts_of
    from statewise.report.figures import short
    from statewise.report.progress import progress_for
    from statewise.storage.files import write_text_atomic
    from statewise.storage.run_folder import RunFolder

    run = RunFolder.open(args.run)
    agent = Agent.load(args.run, which=args.checkpoint)
    report = agent.calibrate(
        args.episodes,
        args.seed,
        args.horizon,
        args.stride,
        args.miss_rate,
        crowding=args.crowding,
        progress=None if args.quiet else progress_for(sys.stderr.isatty()),
    )
    write_text_atomic(run.calibration_path, json.dumps(report, indent=2) + "\n")
    title = f"{agent.config.method} on {short(agent.task)}: {report['episodes']} episodes, seed {args.seed}"
    calibration_picture(report, title, agent.config.method, run.calibration_picture_path)
    for name, part in parts_of(report).items():
        print("\n".join(_part_lines(name, part)))
    for name, what in (("fast", "fast states"), ("dense", "denser layouts")):
        if "absent" in report[name]:
            print(f"no figures of {what}: {report[name]['absent']}")
    print(f"file     {run.calibration_path}\npicture  {run.calibration_picture_path}")
    return OK


def _require_allowed(args: arguments.Calibrate) -> None:
    for name in ("episodes", "horizon", "stride"):
        if getattr(args, name) < 1:
            raise ValueError(f"{name}: {getattr(args, name)} is not allowed; it must be at least 1")
    if not 0.0 < args.miss_rate < 1.0:
        raise ValueError(f"miss_rate: {args.miss_rate:g} is not allowed; it must be between 0 and 1")
    if not 1.0 <= args.crowding < math.inf:
        raise ValueError(f"crowding: {args.crowding:g} is not allowed; it must be a number from 1 on")


def _part_lines(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    """One set of states: its figures by λ and F̂ side by side, and the bins of the chances of both."""
    title = f"{name}: {part['states']:,} states"
    yield f"{title:<42}{'F̂(x)':<29}λ(x)"  # a letter of two characters
    for figure in (*_FIGURES, *_BOUND):
        if figure in part["f"]:
            cells = (_cell(part[signal].get(figure, "")) for signal in ("f", "lam"))
            yield f"  {figure:<40}{'{:<28}{}'.format(*cells)}".rstrip()
    for signal, title in (("f", "chance by F̂"), ("lam", "chance by λ")):
        yield from _bin_lines(title, part[signal]["reliability"], "violated")
    yield from _bin_lines("F̂", part["f"]["expected"], "Monte Carlo F")
    yield ""


def _bin_lines(title: str, bins: Sequence[Mapping[str, Any]], came: str) -> Iterator[str]:
    yield f"  {title:<20}{'foretold':>10}{'states':>10}  {came}"
    for each in bins:
        if each["states"]:
            edges = f"{each['low']:.2f} to {each['high']:.2f}"
            yield f"    {edges:<18}{each['foretold']:>10.3f}{each['states']:>10,}  {_cell(each['came'])}"


def _cell(figure: Any) -> str:
    if isinstance(figure, Mapping):
        value, low, high = figure["value"], figure["low"], figure["high"]
        if value is None:
            return "none"
        return f"{value:.3f}  (one episode)" if low is None or high is None else f"{value:.3f}  [{low:.3f}, {high:.3f}]"
    return "none: too few violations" if figure is None else figure if isinstance(figure, str) else f"{figure:.4g}"
