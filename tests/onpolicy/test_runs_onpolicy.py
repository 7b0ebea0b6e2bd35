"""Whole runs of the on-policy methods: they stop and go on to the same bytes, and their policies can be used."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.onpolicy_learners import ON_POLICY
from support.toys import ExactPoint, Point

from statewise import Agent
from statewise.config import OnPolicyConfig
from statewise.storage.checkpoint import load
from statewise.storage.metrics import read

TINY: dict[str, Any] = {
    "preset": "paper",
    "total_steps": 192,
    "num_envs": 2,
    "threads": 1,
    "epoch_steps": 64,
    "minibatch_size": 16,
    "update_epochs": 2,
    "hidden": (8, 8),
    "log_interval": 64,
    "eval_interval": 128,
    "eval_envs": 2,
    "checkpoint_interval": 64,
}
"""Three rollouts of 32 steps of two worlds; episodes of 20 steps end within a rollout and span two."""

OBS = np.random.default_rng(0).normal(size=(50, 2))

each_method = pytest.mark.parametrize("method", ON_POLICY)


class Stopped(BaseException):
    """Raised by a listener to end a run in the middle."""


def stop_behind(step: int) -> Any:
    """A listener that ends a run at its first row behind a step."""

    def listener(row: dict[str, float | str]) -> None:
        if float(row["step"]) > step:
            raise Stopped

    return listener


def stretched() -> ExactPoint:
    """A point with actions in other units than [−1, 1]."""
    return ExactPoint(low=-1.0, high=5.0)


def folder(agent: Agent) -> Path:
    assert agent.run_path is not None
    return agent.run_path


def files(agent: Agent) -> dict[str, bytes]:
    """Bytes of every file that has to be a function of configuration and seed."""
    run = folder(agent)
    paths = [*(run / "checkpoints").iterdir(), run / "metrics.csv", run / "config.json"]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """By method, an agent after a whole run without a stop; the same object for the same method."""

    def train(method: str) -> Agent:
        return Agent(method, stretched, root=tmp_path_factory.mktemp(method), **TINY).learn()

    return functools.cache(train)


@each_method
def test_a_run_has_a_row_an_epoch_and_its_checkpoints(method: str, trained: Any) -> None:
    agent = trained(method)
    table = read(folder(agent) / "metrics.csv")
    rows = table.filter(table["phase"] == "train")
    assert rows["step"].to_list() == [64, 128, 192]
    steps = rows["gradient_step"].to_list()
    assert 0 < steps[0] < steps[1] < steps[2] <= 3 * 2 * 4
    for name in ("episode_cost", "update_kl", "actor_loss", "q_loss", "qc_loss", "lam", "entropy"):
        assert np.isfinite(rows[name].to_numpy()).all(), name
    assert table.filter(table["phase"] == "eval")["step"].to_list() == [128, 192]
    names = sorted(path.name for path in (folder(agent) / "checkpoints").iterdir())
    assert names == ["best.safetensors", "step-000000000128.safetensors", "step-000000000192.safetensors"]


@each_method
def test_the_training_cost_of_the_learner_is_that_of_the_rows(method: str, trained: Any) -> None:
    """The collector's mean cost of the episodes that ended, counted by itself; costs of this task are binary."""
    table = read(folder(trained(method)) / "metrics.csv")
    rows = table.filter(table["phase"] == "train")
    costs = rows["cost"].to_numpy()
    assert costs.max() > 0.0
    np.testing.assert_allclose(rows["episode_cost"].to_numpy(), costs, rtol=1e-5)


@each_method
def test_a_run_that_is_stopped_twice_goes_on_to_the_same_bytes(method: str, trained: Any, tmp_path: Path) -> None:
    """In the second rollout, where this agent goes on, and in the third, where one that is loaded does."""
    begun = Agent(method, stretched, root=tmp_path, **TINY)
    for step in (64, 128):
        with pytest.raises(Stopped):
            begun.learn(listeners=(stop_behind(step),))
    resumed = Agent.load(folder(begun), stretched).learn()
    actual, expected = files(resumed), files(trained(method))
    assert actual.keys() == expected.keys()
    assert [name for name in expected if actual[name] != expected[name]] == []


@each_method
def test_a_saved_policy_acts_the_same_by_its_statistics(method: str, trained: Any, tmp_path: Path) -> None:
    agent, file = trained(method), tmp_path / "policy.safetensors"
    agent.save(file)
    loaded = Agent.load(file)
    np.testing.assert_array_equal(loaded.predict(OBS), agent.predict(OBS))
    for one, other in zip(loaded.risk(OBS), agent.risk(OBS), strict=True):
        np.testing.assert_array_equal(one, other)
    arrays, _ = load(file)
    assert arrays["learner/embedding/statistics/seen"] == 192.0
    assert (arrays["learner/embedding/statistics/m2"] > 0.0).all()


@each_method
def test_predictions_keep_to_the_action_space(method: str, trained: Any) -> None:
    agent = trained(method)
    for deterministic in (True, False):
        actions = np.concatenate([agent.predict(OBS * scale, deterministic) for scale in (1.0, 1e6)])
        assert actions.shape == (100, 1)
        assert actions.min() >= -1.0
        assert actions.max() <= 5.0
    assert len(np.unique(agent.predict(OBS))) > 10
    assert {-1.0, 5.0} <= set(agent.predict(OBS, deterministic=False).ravel().tolist())


@each_method
def test_risk_and_evaluation(method: str, trained: Any) -> None:
    agent = trained(method)
    lam, f = agent.risk(OBS)
    assert lam.shape == f.shape == (50,)
    assert len(np.unique(lam)) == 1
    assert lam[0] >= 0.0
    assert len(np.unique(f)) > 10
    figures = agent.evaluate(episodes=3)
    assert figures["episodes"] == 3
    assert 0.0 < figures["length"] <= 20.0
    assert figures == agent.evaluate(episodes=3)


def test_environments_take_clipped_actions_and_the_learner_the_sampled_ones(tmp_path: Path) -> None:
    made: list[Point] = []

    def make() -> Point:
        made.append(Point(low=-1.0, high=5.0))
        return made[-1]

    agent = Agent("ppo", make, root=tmp_path, **TINY)
    learned: list[Any] = []
    learner: Any = agent.policy.acting
    learn = learner.learn
    learner.learn = lambda memory: learned.append(learner.layout.unpack(memory.rows).action.copy()) or learn(memory)
    agent.learn(64)
    (sampled,) = learned
    # Others were made to look at, and tried with one action at most.
    played = [env for env in made if len(env.actions) > 1]
    taken = np.array([env.actions[-32:] for env in played[:2]]).T.ravel()
    np.testing.assert_allclose(taken, np.clip(2.0 + 3.0 * sampled.ravel(), -1.0, 5.0), rtol=1e-5, atol=1e-5)
    assert np.abs(sampled).max() > 1.0
    assert {-1.0, 5.0} <= set(taken.tolist())


@each_method
def test_the_limit_follows_the_length_of_the_tasks_episodes(method: str, trained: Any) -> None:
    config = trained(method).config
    assert isinstance(config, OnPolicyConfig)
    assert trained(method).policy.acting.core.cost_limit == pytest.approx(config.cost_limit(1000)) == pytest.approx(1.0)


def test_episodes_lost_at_a_resume_are_lost_to_the_cost_as_well(tmp_path: Path) -> None:
    """Point can't restore its state: its running episodes start afresh, and so does what they had cost."""
    agent = Agent("ppo", Point, root=tmp_path, seed=1, **TINY).learn(64)
    assert float(np.sum(agent.policy.acting.state.running)) > 0.0
    Agent.load(folder(agent), Point).learn()
    table = read(folder(agent) / "metrics.csv")
    rows = table.filter(table["phase"] == "train")
    assert rows["step"].to_list() == [64, 128, 192]
    np.testing.assert_allclose(rows["episode_cost"].to_numpy(), rows["cost"].to_numpy(), rtol=1e-6)


# --- what the networks see ---------------------------------------------------------------------------------------


@each_method
@pytest.mark.parametrize(("kind", "inputs"), [("powers", 4), ("quantiles", 18)])
def test_on_policy_methods_take_the_same_embedding(method: str, kind: str, inputs: int, tmp_path: Path) -> None:
    fields = {**TINY, "embedding": kind, **({"proximity": [1]} if kind == "powers" else {})}
    whole = Agent(method, stretched, root=tmp_path / "whole", **fields).learn()
    assert whole.policy.acting.state.embedding.statistics.mean.shape == (inputs,)
    begun = Agent(method, stretched, root=tmp_path / "begun", **fields)
    with pytest.raises(Stopped):
        begun.learn(listeners=(stop_behind(64),))
    resumed = Agent.load(folder(begun), stretched).learn()
    assert files(resumed) == files(whole)
    np.testing.assert_array_equal(resumed.predict(OBS), whole.predict(OBS))
