"""What goes wrong in a run ends it with one clear error, and nothing that was saved is lost."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_runs import TINY_ALAM, MakeAgent, assert_same_files, checkpoint_steps, files_of, folder_of
from support.toys import ExactPoint, Point

from statewise import Agent
from statewise.config import AlamConfig, SacConfig
from statewise.errors import CheckpointError, DivergenceError, RunError
from statewise.spec import RunSpec, make_config
from statewise.storage.run_folder import RunFolder


class Explosive(ExactPoint):
    """Rewards that no critic survives, once `armed`."""

    armed = False

    def step(self, action: Any) -> Any:
        obs, reward, *rest = super().step(action)
        return obs, 1e38 if Explosive.armed else reward, *rest


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """A run from start to end."""
    return Agent("sac-alam", ExactPoint, root=tmp_path_factory.mktemp("finished"), **TINY_ALAM).learn()


@pytest.fixture
def copied(finished: Agent, tmp_path: Path) -> Path:
    """A copy of that run's folder."""
    return Path(shutil.copytree(folder_of(finished), tmp_path / "copied"))


def newest(run: Path) -> Path:
    return sorted((run / "checkpoints").glob("step-*"))[-1]


def test_divergence_names_the_quantity_and_keeps_the_last_good_checkpoint(
    tiny_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arm(row: dict[str, float | str]) -> None:
        monkeypatch.setattr(Explosive, "armed", row["step"] == 96)

    agent = tiny_agent(Explosive)
    with pytest.raises(DivergenceError, match=r"^q_loss became inf at gradient step \d+$") as caught:
        agent.learn(listeners=(arm,))
    assert checkpoint_steps(agent) == [40, 80]
    report = json.loads((folder_of(agent) / "failure.json").read_text())
    assert report["error"] == str(caught.value)
    assert report["last_checkpoint"] == 80
    monkeypatch.setattr(Explosive, "armed", False)
    agent.learn()
    assert checkpoint_steps(agent)[-1] == 160
    assert not (folder_of(agent) / "failure.json").exists()


def test_divergence_before_the_first_checkpoint_leaves_no_broken_weights(
    finished: Agent, tiny_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    del finished
    monkeypatch.setattr(Explosive, "armed", True)
    agent = tiny_agent(Explosive)
    with pytest.raises(DivergenceError):
        agent.learn()
    assert checkpoint_steps(agent) == []
    monkeypatch.setattr(Explosive, "armed", False)
    healthy = tiny_agent(Explosive, root=folder_of(agent).parents[2] / "healthy").learn()
    assert_same_files(agent.learn(), healthy)


def test_a_run_folder_in_use_is_refused(copied: Path) -> None:
    agent = Agent.load(copied, ExactPoint)
    with RunFolder.open(copied), pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        agent.learn()
    agent.learn()


def test_a_run_that_is_there_is_not_overwritten_by_chance(finished: Agent, tiny_agent: MakeAgent) -> None:
    before = files_of(finished)
    again = tiny_agent(ExactPoint, "sac-alam", root=folder_of(finished).parents[2])
    with pytest.raises(RunError, match="holds a run"):
        again.learn()
    assert files_of(finished) == before


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def test_a_damaged_checkpoint_is_named_and_nothing_is_deleted(finished: Agent, copied: Path) -> None:
    agent = Agent.load(copied, ExactPoint)
    whole = newest(copied).read_bytes()
    for damage in (cut, flip, empty):
        newest(copied).write_bytes(whole)
        damage(newest(copied))
        before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
        with pytest.raises(CheckpointError, match=newest(copied).name):
            Agent.load(copied, ExactPoint)
        with pytest.raises(CheckpointError, match=newest(copied).name):
            agent.learn()
        assert {path: path.read_bytes() for path in before} == before

    newest(copied).unlink()
    assert_same_files(agent.learn(), finished)


@pytest.mark.parametrize(
    ("env", "method", "fields", "fragment"),
    [
        (Point, "sac-alam", {}, "its task is 'Point', but this run's is 'ExactPoint'"),
        (ExactPoint, "sac", {}, "its method is 'sac', but this run's is 'sac-alam'"),
        (ExactPoint, "sac-alam", {"eval_envs": 1, "log_interval": 8}, "other values of eval_envs, log_interval"),
    ],
    ids=["task", "method", "configuration"],
)
def test_a_checkpoint_of_another_run_is_refused(
    env: Any, method: str, fields: dict[str, Any], fragment: str, copied: Path, tiny_agent: MakeAgent
) -> None:
    agent = Agent.load(copied, ExactPoint)
    foreign = tiny_agent(env, method, **fields).learn(total_steps=40)
    shutil.copy(newest(folder_of(foreign)), newest(copied))
    with pytest.raises(CheckpointError, match=fragment):
        agent.learn()


@pytest.mark.parametrize("name", ["metrics.csv", "replay.bin"])
def test_a_missing_file_is_named(name: str, copied: Path) -> None:
    agent = Agent.load(copied, ExactPoint)
    (copied / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        agent.learn()


def test_a_full_disk_ends_the_run_and_it_goes_on_with_space(
    finished: Agent, tiny_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = tiny_agent(ExactPoint, "sac-alam")

    def fill_the_disk(row: dict[str, float | str]) -> None:
        def full(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        if row["step"] == 112:
            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(RunError, match="disk full"):
        agent.learn(listeners=(fill_the_disk,))
    assert checkpoint_steps(agent) == [40, 80]
    monkeypatch.undo()
    assert_same_files(agent.learn(), finished)


def test_a_disk_too_small_for_the_replay_is_an_error_before_training(
    tiny_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match=r"disk full while writing .*replay\.bin"):
        tiny_agent(ExactPoint).learn()


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "red"},
        {"method": "sac-magic"},
        {"config": {"gama": 0.9}},
        {"config": {"gamma": 2}},
        {"config": []},
        {"method": ["sac"]},
        {"method": None},
        {"task": 1},
        {"task": "a\0b"},
        {"task": "\x1b[31mPoint"},
        {"task": "\ud800"},
        {"constraint": ["math:sqrt"]},
        {"config": {"hidden": [8] * 3000}},
    ],
)
def test_a_tampered_configuration_is_refused(change: dict[str, Any], copied: Path) -> None:
    path = copied / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RunError, match=r"config\.json"):
        RunSpec.read(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", "null", "9" * 10_000, "\ufeff{}"])
def test_a_configuration_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=r"config\.json: can't be used"):
        RunSpec.read(path)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(-2, 300), max_size=3),
    st.sampled_from(["rad", "adam", "cdf", "mean"]),
)


@given(
    st.dictionaries(
        st.sampled_from([*(field.name for field in dataclasses.fields(AlamConfig)), "gama"]), VALUES, max_size=4
    ),
    st.sampled_from(["sac", "sac-alam", "sac-alam-ga", "sac-lagnet"]),
    st.sampled_from(["standard", "paper", "demo"]),
)
def test_any_fields_make_a_configuration_or_a_value_error(fields: dict[str, Any], method: str, preset: str) -> None:
    try:
        config = make_config(method, preset, **fields)
    except ValueError:
        return
    assert isinstance(config, SacConfig)
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert config.total_updates >= 1
