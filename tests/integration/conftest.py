"""Small agents for the tests of whole runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import TINY, TINY_ALAM, MakeAgent

from statewise import Agent

# `benchmarks` is imported as a package of the repository, which an installation doesn't hold.
sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture
def tiny_agent(tmp_path: Path) -> MakeAgent:
    """A function (env, method="sac", root=tmp_path, constraint=None, **fields): an agent with `TINY` or `TINY_ALAM`."""

    def make(env: Any, method: str = "sac", root: Path = tmp_path, **fields: Any) -> Agent:
        tiny = TINY if method == "sac" else TINY_ALAM
        return Agent(method, env, root=root, **{**tiny, **fields})

    return make
