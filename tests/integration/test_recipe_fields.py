"""The fields beyond the paper in whole runs: what a policy sees, what its actions span, how long episodes last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box
from support.small_runs import TINY_ALAM, MakeAgent, assert_same_files, folder_of
from support.toys import ExactPoint

from statewise import Agent
from statewise.report.progress import Silent
from statewise.storage import metrics

RECIPE: dict[str, Any] = {
    "embedding": "powers",
    "action_span": "effective",
    "reward_twins": "mean",
    "cost_twins": "mean",
    "penalty_unit": "q_range",
    "episode_steps": 12,
}


class Declared(ExactPoint):
    """A point that says what of its actions has an effect, and that its position senses nearness."""

    effective_action_space = Box(-0.25, 0.5, (1,), np.float32)
    proximity = (0,)


class Listener(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


OBS = np.random.default_rng(0).uniform(-1.0, 1.0, size=(200, 2))


def test_what_an_environment_declares_reaches_the_policy_and_its_file(tiny_agent: MakeAgent, tmp_path: Path) -> None:
    agent = tiny_agent(Declared, "sac-alam", **RECIPE).learn()
    assert agent.action_space == Declared.effective_action_space
    actions = 10.0 * np.concatenate([agent.predict(OBS), agent.predict(OBS, deterministic=False)])
    assert -2.5 <= actions.min() < -1.0 < 1.0 < actions.max() <= 5.0
    assert agent.policy.acting.state.embedding.statistics.mean.shape == (4,)
    agent.save(tmp_path / "policy.safetensors")
    loaded = Agent.load(tmp_path / "policy.safetensors")
    np.testing.assert_array_equal(loaded.predict(OBS), agent.predict(OBS))
    np.testing.assert_array_equal(loaded.risk(OBS), agent.risk(OBS))


def test_a_resumed_run_with_all_of_them_has_the_same_bytes(tiny_agent: MakeAgent, tmp_path: Path) -> None:
    whole = tiny_agent(Declared, "sac-alam", tmp_path / "whole", **RECIPE).learn()
    begun = tiny_agent(Declared, "sac-alam", tmp_path / "begun", **RECIPE).learn(80)
    Agent.load(folder_of(begun), Declared).learn()
    assert_same_files(begun, whole)


@pytest.mark.parametrize("method", ["sac", "sac-alam"])
def test_quantiles_need_no_declaration(method: str, tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint, method, embedding="quantiles").learn()
    again = Agent.load(folder_of(agent), ExactPoint)
    np.testing.assert_array_equal(again.predict(OBS), agent.predict(OBS))
    edges = np.asarray(agent.policy.acting.state.embedding.edges)
    assert edges.shape == (2, 9)
    assert (np.diff(edges, axis=1) > 0.0).all()


def test_a_field_names_the_sensors_in_place_of_the_environment(tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint, "sac", embedding="powers", proximity=[0, 1])
    assert agent.policy.acting.state.embedding.statistics.mean.shape == (6,)
    with pytest.raises(ValueError, match="proximity: 2 is not allowed; the observation has entries 0 to 1"):
        tiny_agent(ExactPoint, "sac", embedding="powers", proximity=[2])


def test_training_episodes_are_cut_and_evaluations_are_not(tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint, "sac", episode_steps=5).learn()
    rows = metrics.read(folder_of(agent) / "metrics.csv")
    lengths = rows.drop_nulls("length")
    assert set(lengths.filter(lengths["phase"] == "train")["length"]) == {5.0}
    assert set(lengths.filter(lengths["phase"] == "eval")["length"]) == {20.0}


@pytest.mark.parametrize(("threshold", "warnings"), [(1e-9, 1), (1e6, 0)])
def test_critics_that_are_off_are_said_to_be_off_once(threshold: float, warnings: int, tmp_path: Path) -> None:
    listener = Listener()
    fields = {**TINY_ALAM, "eval_interval": 16, "cost_threshold": threshold}
    Agent("sac-alam", ExactPoint, root=tmp_path, **fields).learn(progress=listener)
    said = [text for text in listener.said if "Monte Carlo" in text]
    assert len(said) == warnings
    assert all("λ say little" in text for text in said)


def test_the_sampled_policy_is_evaluated_where_asked(tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint, "sac").learn(80)
    sampled = agent.evaluate(4, deterministic=False)
    assert sampled == agent.evaluate(4, deterministic=False)
    assert sampled != agent.evaluate(4)
