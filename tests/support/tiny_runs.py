"""Arguments of runs that take seconds, and where they end up."""

from __future__ import annotations

from pathlib import Path

TASK = "SafetySwimmerVelocity-v1"
TINY = {
    "preset": "paper",
    "hidden": 8,
    "batch-size": 8,
    "num-envs": 2,
    "threads": 1,
    "block-length": 4,
    "warmup-steps": 16,
    "replay-capacity": 1000,
    "dual-interval": 20,
    "eval-envs": 1,
    "eval-interval": 256,
    "checkpoint-interval": 256,
    "log-interval": 64,
    "total-steps": 512,
}


def train(root: Path, *more: str) -> list[str]:
    """Arguments that train SAC-ALaM for 512 steps under `root`."""
    fields = [part for name, value in TINY.items() for part in (f"--{name}", str(value))]
    return ["train", "sac-alam", TASK, "--root", str(root), "--quiet", *fields, *more]


def only_run(root: Path) -> Path:
    """The one run folder under `root`."""
    (config,) = root.glob("*/*/*/config.json")
    return config.parent
