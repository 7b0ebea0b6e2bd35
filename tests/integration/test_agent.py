"""The Python face: predict, risk, save and load, and what a run costs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from support.small_runs import TINY_ALAM, MakeAgent, folder_of
from support.toys import ExactPoint, Point

from statewise import Agent
from statewise.config import SacConfig
from statewise.errors import CheckpointError, RunError
from statewise.spec import RunSpec, make_config
from statewise.storage.checkpoint import load, save
from statewise.storage.run_folder import RunFolder

OBS = np.random.default_rng(0).normal(size=(7, 2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """An agent after a whole run, with actions in other units than [−1, 1]."""
    root = tmp_path_factory.mktemp("trained")
    return Agent("sac-alam", shifted, root=root, **TINY_ALAM).learn()


def shifted() -> ExactPoint:
    return ExactPoint(low=-1.0, high=5.0)


def test_one_observation_is_a_row_of_a_batch(trained: Agent) -> None:
    batch = trained.predict(OBS)
    assert batch.shape == (7, 1)
    assert batch.dtype == np.float32
    np.testing.assert_allclose([trained.predict(obs) for obs in OBS], batch, rtol=1e-5)
    lam, f = trained.risk(OBS)
    assert lam.shape == f.shape == (7,)
    assert (lam >= 0.0).all()
    one_lam, one_f = trained.risk(OBS[0])
    assert one_lam.shape == one_f.shape == ()


def test_deterministic_predictions_repeat_and_stochastic_ones_vary(trained: Agent) -> None:
    np.testing.assert_array_equal(trained.predict(OBS), trained.predict(OBS))
    assert (trained.predict(OBS, deterministic=False) != trained.predict(OBS, deterministic=False)).any()
    for first, second in zip(trained.risk(OBS), trained.risk(OBS), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (1, 1, 2), (0,)])
def test_other_shapes_are_refused(shape: tuple[int, ...], trained: Agent) -> None:
    for function in (trained.predict, trained.risk):
        with pytest.raises(ValueError, match=r"obs: shape .* is not allowed; ExactPoint has \[2\]"):
            function(np.zeros(shape))


def test_observations_must_be_finite(trained: Agent) -> None:
    with pytest.raises(ValueError, match="NaN or infinity"):
        trained.predict(np.array([0.0, np.nan]))


@pytest.mark.parametrize(
    ("obs", "said"),
    [
        (np.array([0.0, 1e39]), "as a float32"),  # finite as float64, infinite as the networks take it
        (np.zeros((0, 2)), "shape"),
        (np.array(["0", "1"]), "dtype"),
        (np.array([0.0, 1.0j]), "dtype"),
    ],
)
def test_no_observation_gets_an_answer_that_reads_as_safe_by_being_nan(trained: Agent, obs: Any, said: str) -> None:
    for ask in (trained.predict, trained.risk):
        with pytest.raises(ValueError, match=said):
            ask(obs)


def test_an_answer_that_is_not_finite_is_an_error(trained: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = np.full(7, np.nan, np.float32)
    monkeypatch.setattr(trained.policy.acting, "risk", lambda obs: (np.zeros(7, np.float32), broken))
    with pytest.raises(ValueError, match="too large"):
        trained.risk(OBS)


@pytest.mark.parametrize("steps", [0, -1, 2.5, float("nan"), float("inf"), "100"])
def test_steps_to_learn_are_a_positive_whole_number(trained: Agent, steps: Any) -> None:
    with pytest.raises(ValueError, match=r"total_steps: .* must be a whole number of at least 1"):
        trained.learn(steps)


def test_weights_that_are_not_finite_are_refused(trained: Agent, tmp_path: Path) -> None:
    trained.save(tmp_path / "whole.safetensors")
    arrays, metadata = load(tmp_path / "whole.safetensors")
    name = next(name for name in arrays if "/policy/" in name)
    arrays[name].flat[0] = np.nan
    save(tmp_path / "broken.safetensors", arrays, metadata)
    with pytest.raises(CheckpointError, match="holds NaN or infinity"):
        Agent.load(tmp_path / "broken.safetensors")


def test_a_run_without_a_checkpoint_is_opened_at_its_beginning(tiny_agent: MakeAgent, tmp_path: Path) -> None:
    whole = tiny_agent(ExactPoint, root=tmp_path / "whole").learn()
    begun = tiny_agent(ExactPoint, root=tmp_path / "begun").learn()
    shutil.rmtree(folder_of(begun) / "checkpoints")
    opened = Agent.open(folder_of(begun), ExactPoint)
    assert opened.run_path == begun.run_path
    assert_same_policy(opened.learn(overwrite=True), whole)
    assert_same_policy(Agent.open(folder_of(begun), ExactPoint), whole)


def test_a_folder_that_only_says_what_to_run_is_opened_without_a_word(tmp_path: Path) -> None:
    """As a grid makes it; warnings are errors here."""
    spec = RunSpec("SafetySwimmerVelocity-v1", make_config("sac-alam", **TINY_ALAM))
    RunFolder.create(tmp_path / "run", spec.to_json()).unlock()
    opened, made = Agent.open(tmp_path / "run"), Agent("sac-alam", spec.task, root=tmp_path)
    assert opened.policy.about.environment == made.policy.about.environment


def assert_same_policy(one: Agent, other: Agent) -> None:
    np.testing.assert_array_equal(one.predict(OBS), other.predict(OBS))
    for first, second in zip(one.risk(OBS), other.risk(OBS), strict=True):
        np.testing.assert_array_equal(first, second)
    assert one.config == other.config
    assert one.action_space == other.action_space


def test_a_saved_file_holds_the_whole_policy(trained: Agent, tmp_path: Path) -> None:
    file = tmp_path / "policy.safetensors"
    trained.save(file)
    loaded = Agent.load(file)
    assert_same_policy(loaded, trained)
    with pytest.raises(RunError, match="load its run folder"):
        loaded.learn()
    again = tmp_path / "again.safetensors"
    loaded.save(again)
    assert again.read_bytes() == file.read_bytes()


def test_a_file_without_what_only_trains_is_the_same_policy_and_smaller(trained: Agent, tmp_path: Path) -> None:
    whole, slim = tmp_path / "whole.safetensors", tmp_path / "slim.safetensors"
    trained.save(whole)
    trained.save(slim, whole=False)
    assert_same_policy(Agent.load(slim), trained)
    assert slim.stat().st_size < 0.6 * whole.stat().st_size
    arrays, metadata = load(slim)
    save(slim, {name: array for name, array in arrays.items() if "/policy/" not in name}, metadata)
    with pytest.raises(CheckpointError, match=r"policy/\S+ is missing"):
        Agent.load(slim)


def test_a_run_folder_holds_the_latest_and_the_best_policy(trained: Agent) -> None:
    run = folder_of(trained)
    assert_same_policy(Agent.load(run), trained)
    best = Agent.load(run, which="best")
    assert best.predict(OBS).shape == (7, 1)
    with pytest.raises(ValueError, match="latest or best"):
        Agent.load(run, which="newest")


def test_what_is_no_run_or_no_policy_is_refused(trained: Agent, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        Agent.load(tmp_path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        Agent.load(tmp_path / "policy.safetensors")
    foreign = tmp_path / "foreign.safetensors"
    save(foreign, {"w": np.zeros(3, np.float32)}, {"by": "another program"})
    with pytest.raises(CheckpointError, match="foreign"):
        Agent.load(foreign)
    trained.save(tmp_path / "whole.safetensors")
    arrays, metadata = load(tmp_path / "whole.safetensors")
    for name in metadata.keys() - {"gradient_step", "environment"}:
        save(foreign, arrays, {key: value for key, value in metadata.items() if key != name})
        with pytest.raises(CheckpointError, match="foreign"):
            Agent.load(foreign)


def test_evaluation_repeats_and_takes_its_seed(trained: Agent) -> None:
    first = trained.evaluate(episodes=3)
    assert first["episodes"] == 3
    assert first == trained.evaluate(episodes=3)
    assert first != trained.evaluate(episodes=3, seed=7)
    with pytest.raises(ValueError, match="at least 1"):
        trained.evaluate(episodes=0)


def test_an_environment_by_gymnasium_make_is_made_again_for_every_use(tiny_agent: MakeAgent) -> None:
    import gymnasium

    env: Any = gymnasium.make("Pendulum-v1")
    agent = tiny_agent(env, constraint=lambda obs, action, next_obs: abs(next_obs[2]) - 6.0)
    assert agent.task == "Pendulum-v1"
    assert agent.evaluate(episodes=2)["length"] == 200


def test_no_function_is_compiled_twice_and_a_block_is_fetched_once(
    tiny_agent: MakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches: list[Any] = []
    device_get = jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: fetches.append(tree) or device_get(tree))
    agent = tiny_agent(Point, "sac-alam")
    agent.learn()
    learner = agent.policy.acting
    compiled = {name: getattr(learner, name)._cache_size() for name in ("_act", "_greedy", "compiled_update")}
    assert compiled == {"_act": 1, "_greedy": 1, "compiled_update": 1}
    blocks = (agent.config.total_steps - agent.config.learning_starts) // agent.config.block_env_steps + 1
    assert isinstance(agent.config, SacConfig)
    assert len(fetches) == blocks == learner.gradient_step // agent.config.block_updates
