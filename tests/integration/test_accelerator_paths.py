"""What runs only where JAX has an accelerator, forced here on a CPU: rows on the device, ensembles in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from support.small_runs import TINY, TINY_ALAM, assert_alike, assert_same_files, folder_of

from statewise import Agent
from statewise.core import networks
from statewise.sac import device_rows
from statewise.sac.device_rows import DeviceRows
from statewise.sac.sac_learner import SacLearner
from statewise.seeds import learn_seeds

SWIMMER = "SafetySwimmerVelocity-v1"


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Rows are kept on the device, as if they fitted an accelerator; the shape of every draw from there."""
    made: list[Any] = []
    sample = DeviceRows.sample

    def watched(self: DeviceRows, seed: int, step: int, shape: tuple[int, ...]) -> Any:
        made.append(shape)
        return sample(self, seed, step, shape)

    monkeypatch.setattr(device_rows, "fit", lambda replay: True)
    monkeypatch.setattr(DeviceRows, "sample", watched)
    return made


@pytest.fixture
def batched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The members of an ensemble are one batched call."""
    monkeypatch.setattr(networks, "batches_members", lambda: True)


def make(root: Path, method: str = "sac-alam", seed: int = 0) -> Agent:
    return Agent(method, SWIMMER, root=root, seed=seed, **(TINY_ALAM if method == "sac-alam" else TINY))


@pytest.mark.parametrize("method", ["sac-alam", "sac"])
def test_rows_on_the_device_change_no_bit_also_resumed(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, draws: list[Any]
) -> None:
    begun = make(tmp_path / "device", method).learn(80)
    resumed = Agent.load(folder_of(begun)).learn()
    blocks = draws.count((4, 8))
    assert resumed.learner.gradient_step == 4 * blocks > 0
    assert (len(draws) > blocks) == (method == "sac-alam")
    compiled: Any = cast(SacLearner, resumed.learner).compiled_update
    assert compiled._cache_size() == 1, "a block was looked up anew"
    monkeypatch.setattr(device_rows, "fit", lambda replay: False)
    assert_same_files(resumed, make(tmp_path / "host", method).learn())


def test_seeds_at_once_draw_on_the_device_each_from_its_own_rows(tmp_path: Path, draws: list[Any]) -> None:
    agents = [make(tmp_path / "together", seed=seed) for seed in range(2)]
    learn_seeds(agents, batched=True)
    assert draws
    draws.clear()
    for agent in agents:
        assert_alike(agent, make(tmp_path / "alone", seed=agent.config.seed).learn())


@pytest.mark.usefixtures("batched")
def test_ensembles_in_one_call_learn_the_same_to_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = make(tmp_path / "batched").learn()
    monkeypatch.setattr(networks, "batches_members", lambda: False)
    assert_alike(one, make(tmp_path / "apart").learn())
