"""An environment that changes the working folder doesn't carry its run away."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import TINY, folder_of
from support.toys import ExactPoint

from statewise import Agent


def test_a_run_stays_where_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)

    class Wanderer(ExactPoint):
        def reset(self, **options: Any) -> Any:
            os.chdir(elsewhere)
            return super().reset(**options)

    agent = Agent("sac", Wanderer, root="runs", **TINY).learn()
    assert list(elsewhere.iterdir()) == []
    assert folder_of(agent).is_relative_to(tmp_path / "runs")
    assert (folder_of(agent) / "checkpoints" / "step-000000000160.safetensors").exists()
    monkeypatch.chdir(tmp_path)
    run = folder_of(agent).relative_to(tmp_path)
    longer = Agent.load(run, Wanderer).learn(240)
    assert folder_of(longer) == folder_of(agent)
    assert list(elsewhere.iterdir()) == []
