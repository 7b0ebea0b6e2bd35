"""The example that goes from one's own environment to a monitored run, in small."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from statewise.monitor.numpy_runner import NumpyPolicy

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module("own_environment")
    sys.modules.pop("own_environment", None)


def test_its_environment_is_sound_and_costs_below_five_metres(example: Any) -> None:
    check_env(example.Following(), skip_render_check=True)
    env = example.Following()
    obs, _ = env.reset(seed=0)
    for number in range(200):
        obs, reward, terminated, truncated, info = env.step(np.ones(1, np.float32))
        assert info["cost"] == float(obs[0] < 5.0)
        assert reward == pytest.approx(max(1.0 - obs[0] / 50.0, 0.0))
        assert not terminated
        assert not truncated
        assert number < 199 or info["cost"] == 1.0  # full throttle ends at the other's bumper
    speed = obs[1]
    obs, *_ = env.step(np.array([-1.0], np.float32))
    assert obs[1] == pytest.approx(speed - 0.6)


@pytest.mark.slow
def test_it_runs_from_training_to_a_monitored_run(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main(steps=1500, episodes=4, root=tmp_path)
    said = capsys.readouterr().out
    readings = [json.loads(line) for line in (tmp_path / "readings.jsonl").read_text().splitlines()]
    assert len(readings) == 4 * 301
    assert all(reading["fault"] is None for reading in readings)
    alarms = sum(reading["alarm"] for reading in readings if reading["step"] > 0)
    guarded = next(line for line in said.splitlines() if line.startswith("guarded"))
    assert f"steps with an alarm {alarms / 4:.1f}," in guarded
    braked = sum(reading["alarm"] for reading in readings if reading["step"] < 300)
    assert f"braked {braked / 4:.1f} an episode" in guarded
    assert "braked 0.0 an episode" in next(line for line in said.splitlines() if line.startswith("watched"))
    card = NumpyPolicy.load(tmp_path / "following.safetensors").card
    assert card["calibration"]["episodes"] == 4
    assert card["calibration"]["fast"]["share"] == 0.99
