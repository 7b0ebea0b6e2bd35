"""Small agents for the tests of whole runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statewise import Agent

# `benchmarks` is imported as a package of the repository, which an installation doesn't hold.
sys.path.insert(0, str(Path(__file__).parents[2]))

TINY: dict[str, Any] = {
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


@pytest.fixture
def tiny_agent(tmp_path: Path) -> MakeAgent:
    """A function (env, method="sac", root=tmp_path, constraint=None, **fields): an agent with `TINY` or `TINY_ALAM`."""

    def make(env: Any, method: str = "sac", root: Path = tmp_path, **fields: Any) -> Agent:
        tiny = TINY if method == "sac" else TINY_ALAM
        return Agent(method, env, root=root, **{**tiny, **fields})

    return make
