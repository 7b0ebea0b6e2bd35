"""Runs that take a second, and what the tests look at in their folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from statewise import Agent

TINY: dict[str, Any] = {
    "preset": "paper",
    "total_steps": 160,
    "num_envs": 2,
    "threads": 1,
    "block_length": 4,
    "warmup_steps": 32,
    "hidden": (8, 8),
    "batch_size": 8,
    "replay_capacity": 60,
    "learning_rate": 1e-3,
    "observation_normalization": True,
    "log_interval": 16,
    "eval_interval": 80,
    "eval_envs": 2,
    "checkpoint_interval": 40,
}
"""A run of 20 blocks, four gradient steps each from the fourth on; its replay of 60 + 96 rows wraps around."""

TINY_ALAM: dict[str, Any] = {**TINY, "dual_interval": 7, "dual_steps": 2}
"""The same for SAC-ALaM, with 18 dual cycles, whose interval no block is a multiple of."""

MakeAgent = Callable[..., Agent]


def folder_of(agent: Agent) -> Path:
    """The agent's run folder."""
    assert agent.run_path is not None
    return agent.run_path


def files_of(agent: Agent) -> dict[str, bytes]:
    """Bytes of every file that has to be a function of configuration and seed."""
    run = folder_of(agent)
    paths = [*(run / "checkpoints").iterdir(), run / "metrics.csv", run / "replay.bin", run / "config.json"]
    return {path.name: path.read_bytes() for path in paths}


def checkpoint_steps(agent: Agent) -> list[int]:
    """Steps of the checkpoints that are kept."""
    names = (path.stem for path in (folder_of(agent) / "checkpoints").glob("step-*.safetensors"))
    return sorted(int(name.removeprefix("step-")) for name in names)


def assert_same_files(agent: Agent, other: Agent) -> None:
    """Both runs hold the same files with the same bytes."""
    one, two = files_of(agent), files_of(other)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []


def assert_alike(agent: Agent, other: Agent) -> None:
    """Both have learned the same, to rounding, and something; a cycle's figures are of changes as small as that."""
    one, two = agent.learner.arrays(), other.learner.arrays()
    assert one.keys() == two.keys()
    for name in (name for name in one if not name.startswith("cycle/")):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-4, err_msg=name)
    assert agent.learner.gradient_step == other.learner.gradient_step > 0
    assert checkpoint_steps(agent) == checkpoint_steps(other)
