"""`statewise calibrate`: a policy's risk against what came of its states."""

from __future__ import annotations

import json
import math
from typing import Any

from statewise.cli import arguments, named
from statewise.cli.status import OK


def calibrate(argv: list[str]) -> int:
    """Play episodes, print how well λ and F̂ foretold them, and keep that in the run folder."""
    args = arguments.parse(arguments.Calibrate, argv, "calibrate")
    named.allow(args.allow_module)
    for name in ("episodes", "horizon", "stride"):
        if getattr(args, name) < 1:
            raise ValueError(f"{name}: {getattr(args, name)} is not allowed; it must be at least 1")
    if not 0.0 < args.miss_rate < 1.0:
        raise ValueError(f"miss_rate: {args.miss_rate:g} is not allowed; it must be between 0 and 1")
    from statewise.agent import Agent
    from statewise.storage.files import write_text_atomic
    from statewise.storage.run_folder import RunFolder

    path = RunFolder.open(args.run).calibration_path
    agent = Agent.load(args.run, which=args.checkpoint)
    report = agent.calibrate(args.episodes, args.seed, args.horizon, args.stride, args.miss_rate)
    write_text_atomic(path, json.dumps(report, indent=2) + "\n")
    for signal in ("f", "lam"):
        for name, figure in report[signal].items():
            print(f"{signal:<5}{name:<20}{_estimate(figure)}")
    print(f"file     {path}")
    return OK


def _estimate(figure: Any) -> str:
    if isinstance(figure, dict):
        value, low, high = (math.nan if x is None else x for x in figure.values())
        return f"{value:8.3f}   [{low:.3f}, {high:.3f}]"
    return "none: too few violations" if figure is None else f"{figure:8.3f}"
