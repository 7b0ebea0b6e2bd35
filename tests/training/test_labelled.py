"""Labels of states: what is ahead of each, worked by hand, and on a whole run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.small_runs import TINY_ALAM
from support.toys import Point

from statewise import Agent
from statewise.training.labelled import _ahead, _earlier, _ends_truly


def column(*values: int) -> np.ndarray:
    return np.array(values, bool)[:, None]


def test_what_is_ahead() -> None:
    event, ends = column(0, 0, 1, 0, 0, 1, 0), column(0, 0, 0, 0, 1, 0, 1)
    ahead = _ahead(event, ends)[:, 0]
    assert ahead[[0, 1, 2, 5]].tolist() == [2, 1, 0, 0]
    assert (ahead[[3, 4, 6]] > 10**9).all()
    assert _earlier(event, ends)[:, 0].tolist() == [False, False, False, True, True, False, True]


def test_which_episodes_end_in_a_terminal_state() -> None:
    terminated, ends = column(0, 0, 1, 0, 0), column(0, 0, 1, 0, 1)
    assert _ends_truly(terminated, ends)[:, 0].tolist() == [True, True, True, False, False]


@pytest.mark.slow
def test_a_run_is_calibrated(tmp_path: Path) -> None:
    agent = Agent("sac-alam", lambda: Point(), root=tmp_path, **TINY_ALAM)
    report = agent.calibrate(30, seed=5, horizon=4, stride=2, miss_rate=0.5)
    again = agent.calibrate(30, seed=5, horizon=4, stride=2, miss_rate=0.5)
    assert report == again
    assert report["episodes"] == 40
    assert 0 < report["states"] <= 40 * 10
    for signal in ("lam", "f"):
        figures = report[signal]
        assert 0.0 <= figures["auroc"]["low"] <= figures["auroc"]["value"] <= figures["auroc"]["high"] <= 1.0
        assert figures["violated"]["value"] == report["f"]["violated"]["value"]
        assert figures["violating_episodes"] > 0
    assert "bias" in report["f"]
    assert "bias" not in report["lam"]
