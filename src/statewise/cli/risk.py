"""`statewise risk`: where a policy is at risk, as picture, page and numbers."""

from __future__ import annotations

from pathlib import Path

from statewise.cli import arguments, named
from statewise.cli.status import OK


def risk(argv: list[str]) -> int:
    """Draw the maps of one run, or of two side by side, and print their numbers."""
    args = arguments.parse(arguments.Risk, argv, "risk")
    named.allow(args.allow_module)
    if not 1 <= len(args.runs) <= 2:
        raise ValueError(f"runs: {len(args.runs)} are not allowed; name one run, or two to set side by side")
    if len(set(args.runs)) < len(args.runs):
        raise ValueError(f"runs: {args.runs[0]} is named twice; name two different ones to set side by side")
    from statewise.agent import Agent
    from statewise.maps.outputs import Wanted, report_risk
    from statewise.training.evaluate import EVAL_SEED

    agents = [Agent.load(run, which=args.checkpoint) for run in args.runs]
    folder = args.runs[0] if len(args.runs) == 1 and args.runs[0].is_dir() else Path()
    seed = EVAL_SEED if args.seed is None else args.seed
    wanted = Wanted(args.speeds, args.coordinates, args.step, seed)
    env = agents[0].vector()
    try:
        policies = {str(run): agent.policy for run, agent in zip(args.runs, agents, strict=True)}
        print(report_risk(policies, env, wanted, args.output or (folder / "risk.png", folder / "risk.html")))
    finally:
        env.close()
    return OK
