"""Labels of states: what is ahead of each, worked by hand, and on a whole run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import TINY_ALAM
from support.toys import Point

from statewise import Agent
from statewise.envs import SafeVectorEnv
from statewise.envs.navigation.layout import LayoutError
from statewise.storage.replay import Replay, RowLayout
from statewise.training import calibrating
from statewise.training.labelled import Fast, _ahead, _earlier, _ends_truly, training_speed
from statewise.training.making import Making


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
        assert 0.0 < figures["brier"]["value"] < 1.0
        assert sum(each["states"] for each in figures["reliability"]) == report["states"]
    assert "bias" in report["f"]
    assert "bias" not in report["lam"]
    assert report["fast"] == {"absent": "Point doesn't declare which entries of its observation are a velocity"}
    assert report["dense"] == {"absent": "Point has no layouts that could be made denser"}


class Watched:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.total, self.steps, self.closed = 0, [0], False

    def start(self, step: int, total: int) -> None:
        self.total = total

    def advance(self, step: int) -> None:
        self.steps.append(step)

    def row(self, row: object) -> None:
        raise AssertionError(row)

    def say(self, text: str) -> None:
        raise AssertionError(text)

    def close(self) -> None:
        self.closed = True


@pytest.mark.slow
def test_fast_states_denser_layouts_and_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native task whose run knows the speeds of training; half of its episodes' states are faster than that."""
    monkeypatch.setattr(calibrating, "FAST_SHARE", 0.5)
    small = {**TINY_ALAM, "replay_capacity": 160}
    agent = Agent("sac-alam", "SafetyPointGoal1-v0", root=tmp_path, max_episode_steps=40, **small)
    agent.learn()
    progress = Watched()
    report = agent.calibrate(4, seed=5, horizon=4, stride=2, crowding=1.25, progress=progress)
    assert progress.total == 2 * 4 * 40 == progress.steps[-1]
    assert progress.steps == sorted(progress.steps)
    assert progress.closed
    assert agent.run_path is not None
    above = training_speed(agent.run_path / "replay.bin", (3, 4), 0.5)
    assert report["fast"]["above"] == above
    assert 0 < report["fast"]["states"] < 4 * 40
    assert report["dense"]["crowding"] == 1.25
    assert report["dense"]["states"] == report["states"] == 4 * 18  # of 40 steps those whose 4 next ones are known
    assert report["dense"]["f"]["brier"].keys() == {"value", "low", "high"}
    alone = agent.calibrate(4, seed=5, horizon=4, stride=2, crowding=1.0)
    assert alone["dense"] == {"absent": "not asked for"}
    assert alone["f"] == report["f"]


def test_layouts_without_room_are_told() -> None:
    def make() -> SafeVectorEnv:
        raise LayoutError("there is not enough room")

    met: Any = None  # not looked at
    part = calibrating._dense_part(met, make, met, calibrating.Wanted(crowding=9.0), print)
    assert part == {"crowding": 9.0, "absent": "there is not enough room"}


def test_the_speeds_of_training(tmp_path: Path) -> None:
    layout, rows = RowLayout(3, 1), 101
    replay = Replay(layout, 200, path=tmp_path / "replay.bin")
    assert training_speed(tmp_path / "replay.bin", (1, 2), 0.99) is None
    obs = np.zeros((rows, 3))
    obs[:, 1], obs[:, 2] = 0.6 * np.arange(rows), -0.8 * np.arange(rows)
    zeros = np.zeros(rows)
    replay.add(layout.pack(obs, zeros[:, None], zeros, zeros, zeros, zeros, zeros, obs))
    replay.flush()
    assert training_speed(tmp_path / "replay.bin", (1, 2), 0.99) == pytest.approx(99.0)
    assert Fast((1, 2), 98.5).of(obs).tolist() == [False] * 99 + [True] * 2


def test_which_environments_can_be_denser() -> None:
    made = Making.anew("SafetyCarGoal1-v0", {"crowding": 2.0}).denser(1.5)
    assert isinstance(made, Making)
    assert made.env_kwargs == {"crowding": 3.0}
    assert Making.anew("SafetyPointCircle2-v0").denser(1.5) is None
    assert Making.anew(lambda: Point()).denser(1.5) is None
    env = Making.again("SafetyPointGoal2-v0", None, None, None, "run").denser(1.5)
    assert isinstance(env, Making)
    assert env.recorded is not None
    assert env.recorded.kwargs == {"crowding": 1.5}
