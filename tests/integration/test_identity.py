"""The environment of a run is part of the run: recorded, made again, compared, and asked for where it can't be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils import RecordConstructorArgs
from gymnasium.wrappers import TimeLimit, TransformReward
from support.small_runs import TINY, folder_of
from support.toys import Point, beyond_one

from statewise import Agent
from statewise.cli import main
from statewise.envs import make_vector
from statewise.errors import RunError
from statewise.identity import Identity
from statewise.report.progress import Silent
from statewise.spec import RunSpec, make_config, run_labels
from statewise.storage import metrics
from statewise.training.making import Making

SHORT: dict[str, Any] = {**TINY, "total_steps": 64, "eval_interval": 32, "checkpoint_interval": 32, "num_envs": 1}
ANGLE = "support.toys:beyond_one"


class Heard(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class Dear(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """Every step costs, so much."""

    def __init__(self, env: gymnasium.Env[Any, Any], price: float) -> None:
        RecordConstructorArgs.__init__(self, price=price)
        gymnasium.Wrapper.__init__(self, env)
        self.price = price

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, info = self.env.step(action)
        return obs, reward, terminated, truncated, {**info, "cost": self.price}


class Secret(gymnasium.Wrapper[Any, Any, Any, Any]):
    """A wrapper that doesn't keep its arguments."""


def light() -> Any:
    return gymnasium.make("Pendulum-v1", g=0.1)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    """Half a run in a pendulum that hardly falls, at a price, made with `gymnasium.make`."""
    root = tmp_path_factory.mktemp("half")
    return Agent("sac", Dear(light(), 0.5), root=root, **SHORT).learn(32)


def test_arguments_and_wrappers_are_recorded_and_made_again(half: Agent) -> None:
    run = folder_of(half)
    written = json.loads((run / "config.json").read_text())["environment"]
    assert written["kwargs"] == {"g": 0.1}
    assert written["wrappers"] == [{"entry_point": f"{__name__}:Dear", "kwargs": {"price": 0.5}}]
    assert written["max_episode_steps"] == 200
    figures = half.evaluate(2)
    assert figures["cost"] == 100.0
    assert Agent.load(run).evaluate(2) == figures
    heavy = Agent.load(run, lambda: Dear(gymnasium.make("Pendulum-v1"), 0.5)).evaluate(2)
    assert heavy["return"] != figures["return"]


def test_a_policy_in_one_file_knows_its_environment_too(half: Agent, tmp_path: Path) -> None:
    half.save(tmp_path / "policy.safetensors")
    assert Agent.load(tmp_path / "policy.safetensors").evaluate(2) == half.evaluate(2)


def test_the_command_line_goes_on_in_the_environment_of_the_run(
    half: Agent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    run = Path(shutil.copytree(folder_of(half), tmp_path / "run"))
    assert main(["resume", str(run), "--quiet"]) == 0
    rows = metrics.read(run / "metrics.csv")
    last = rows.filter(rows["phase"] == "eval").row(-1, named=True)
    assert last["step"] == 64
    assert last["cost"] == 100.0
    capsys.readouterr()
    assert main(["evaluate", str(run), "--episodes", "2", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    again = Agent.load(run, lambda: Dear(light(), 0.5)).evaluate(2)
    assert figures == again


def test_an_environment_that_is_not_the_runs_is_refused(half: Agent) -> None:
    run = folder_of(half)
    for env, said in (
        (lambda: Dear(Dear(light(), 0.5), 0.5), "wrappers: "),
        (lambda: TimeLimit(Dear(light(), 0.5), 50), "max_episode_steps: 50 here, but 200 in "),
    ):
        with pytest.raises(RunError, match=f"env: {said}"):
            Agent.load(run, env).evaluate(1)
    with pytest.raises(RunError, match=r"env: kwargs: {'g': 9.0} here, but {'g': 0.1} in "):
        Agent.load(run, lambda: Dear(gymnasium.make("Pendulum-v1", g=9.0), 0.5)).learn()


def test_a_config_that_was_edited_is_refused(half: Agent, tmp_path: Path) -> None:
    import shutil

    run = Path(shutil.copytree(folder_of(half), tmp_path / "run"))
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace('"g": 0.1', '"g": 9.8'))
    with pytest.raises(RunError, match=r"config.json says that kwargs is {'g': 9.8}, its checkpoint {'g': 0.1}"):
        Agent.load(run)


# --- what can't be recorded --------------------------------------------------------------------------------------


def test_a_plain_class_is_said_at_training_and_asked_for_afterwards(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard = Heard()
    agent = Agent("sac", Point, constraint=lambda obs, action, next_obs: -1.0, root=tmp_path, **SHORT)
    agent.learn(32, progress=heard)
    run = folder_of(agent)
    assert heard.said == [
        "config.json can't hold env (a function made it): pass it to resume, evaluate or load this run",
        "config.json can't hold constraint (a function without a name to import it by): pass it to resume, evaluate or"
        " load this run",
    ]
    for command in ("resume", "evaluate"):
        assert main([command, str(run)]) == 2
        assert "couldn't record its env (a function made it), constraint (a function" in capsys.readouterr().err
    loaded = Agent.load(run)
    assert loaded.predict(np.zeros(2)).shape == (1,)  # which needs no environment
    with pytest.raises(
        RunError, match=r"env and constraint: .*pass it in Python: Agent.load\(.*, env=…, constraint=…\)"
    ):
        loaded.evaluate(1)
    with pytest.raises(RunError, match=r"^constraint: .*couldn't record its constraint"):
        Agent.load(run, Point).evaluate(1)
    assert Agent.load(run, Point, constraint=beyond_one).evaluate(1)["length"] == 20


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (Point, "a function made it"),
        (lambda: TransformReward(light(), lambda reward: 2 * float(reward)), "func of TransformReward, a function"),
        (lambda: Secret(light()), "Secret, which isn't a gymnasium.utils.RecordConstructorArgs"),
        (lambda: gymnasium.make("Pendulum-v1", g=np.float32(0.1)), "g, a float32 that JSON can't hold"),
        (iter([light(), gymnasium.make("Pendulum-v1")]).__next__, "a function that makes different ones"),
    ],
)
def test_what_a_function_makes_is_recorded_or_it_is_said_why_not(build: Any, reason: str) -> None:
    env = make_vector(build, 2, constraint=beyond_one)
    assert env.identity.unrecorded == {"env": env.identity.unrecorded["env"]}
    assert reason in env.identity.unrecorded["env"]
    assert env.identity.constraint == ANGLE


def softened() -> Any:
    env: Any = light()
    env.unwrapped.max_torque = 1.5
    return env


def test_attributes_that_were_set_afterwards_are_not_lost_in_silence() -> None:
    env = make_vector(softened, 2, constraint=beyond_one)
    assert env.identity.unrecorded == {"env": "max_torque, which was set afterwards"}
    with pytest.raises(ValueError, match=r"max_torque of Pendulum-v1 isn't as gymnasium.make sets it"):
        Agent("sac", softened(), constraint=beyond_one, hidden=(8, 8))
    used = light()
    used.reset(seed=1)
    used.step(used.action_space.sample())
    assert Agent("sac", used, constraint=beyond_one, hidden=(8, 8)).task == "Pendulum-v1"


def test_one_instance_for_training_and_evaluation_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    point = Point()
    with pytest.raises(ValueError, match="one and the same object"):
        Agent("sac", lambda: point, root=tmp_path, **SHORT)
    assert list(tmp_path.iterdir()) == []


# --- by an id ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["Pendulum-v1", "SafetyPointGoal0-v0"])
def test_an_id_takes_a_horizon_and_arguments_from_the_record(task: str) -> None:
    kwargs: dict[str, Any] = {"g": 0.1} if task == "Pendulum-v1" else {"sleep": False}
    given = Making.anew(task, kwargs, 7, ANGLE if task == "Pendulum-v1" else None).vector(2)
    identity = Identity.from_dict(json.loads(json.dumps(given.identity.to_dict())))
    again = Making.again(task, identity, None, None, "RUN").vector(2)
    identity.require_like(again.identity, "RUN")
    assert again.max_episode_steps == 7
    for env in (given, again):
        env.reset(seed=0)
    actions = np.full((2, given.single_action_space.shape[0]), 0.3)
    for _ in range(8):
        one, other = (env.step(actions) for env in (given, again))
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[3], other[3])


def test_flags_of_the_command_line_are_those_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        part
        for name in ("total_steps", "num_envs", "warmup_steps", "eval_interval", "checkpoint_interval")
        for part in (f"--{name.replace('_', '-')}", str(SHORT[name]))
    ]
    command = ["train", "sac", "Pendulum-v1", "--preset", "paper", "--constraint", ANGLE, "--env-kwargs", '{"g": 0.1}']
    command += [
        "--max-episode-steps",
        "9",
        "--root",
        str(tmp_path),
        "--quiet",
        "--hidden",
        "8",
        "--batch-size",
        "8",
        *flags,
    ]
    assert main(command) == 0
    (config,) = tmp_path.glob("*/*/*/config.json")
    environment = RunSpec.read(config).environment
    assert environment is not None
    assert (environment.kwargs, environment.max_episode_steps, environment.constraint) == ({"g": 0.1}, 9, ANGLE)
    capsys.readouterr()
    assert main(["evaluate", str(config.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["length"] == 9


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--env-kwargs", "{g: 1}"], ["env_kwargs: '{g: 1}' is not JSON", "'{\"g\": 0.1}'"]),
        (["--env-kwargs", "[1]"], ["env_kwargs: '[1]' is not a JSON object"]),
        (["--env-kwargs", '{"gg": 1}'], ["could not be built", "gg"]),
        (["--max-episode-steps", "0"], ["max_episode_steps is 0; it must be at least 1"]),
    ],
)
def test_flags_that_do_not_fit(
    flags: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "sac", "Pendulum-v1", "--constraint", ANGLE, "--root", str(tmp_path), *flags]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert all(word in said for word in words)


@pytest.mark.parametrize("kwargs", [{"slep": 1}, {"task": "SafetyPointGoal1-v0"}, {"render_mode": "human"}])
def test_native_tasks_refuse_arguments_that_they_do_not_have(kwargs: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="env_kwargs: "):
        make_vector("SafetyPointGoal0-v0", 1, env_kwargs=kwargs)


def test_other_environments_of_a_task_have_other_folders_and_other_labels() -> None:
    config = make_config("sac")
    heavy, light_one = (RunSpec("Pendulum-v1", config, Identity(kwargs=kwargs)) for kwargs in ({}, {"g": 0.1}))
    assert heavy.digest() == config.digest() == RunSpec("Pendulum-v1", config).digest()
    assert light_one.digest() != heavy.digest()
    assert run_labels([heavy, light_one]) == ["sac", "sac (g=0.1)"]


# --- files of before ---------------------------------------------------------------------------------------------


def test_a_config_of_before_environments_were_recorded_is_read_and_its_gap_is_said(tmp_path: Path) -> None:
    config = make_config("sac").to_dict()
    content = {"statewise": "0.1.0", "method": "sac", "task": "Pendulum-v1", "constraint": ANGLE, "config": config}
    (tmp_path / "config.json").write_text(json.dumps(content))
    spec = RunSpec.read(tmp_path / "config.json")
    assert spec.constraint == ANGLE
    with pytest.warns(UserWarning, match="RUN is of before environments were recorded"):
        env = Making.again(spec.task, spec.environment, None, None, "RUN").vector(1)
    assert (env.max_episode_steps, env.has_constraint) == (200, True)


@pytest.mark.parametrize(
    "change",
    [{"made": "magic"}, {"kwargs": 3}, {"wrappers": [{"entry_point": "a:b"}]}, {"wrappers": [3]}, {"extra": 1}],
)
def test_an_environment_that_no_run_writes_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    spec = RunSpec("Pendulum-v1", make_config("sac"), Identity())
    content = json.loads(spec.to_json())
    content["environment"] |= change
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match="environment: "):
        RunSpec.read(tmp_path / "config.json")


@pytest.mark.parametrize("entry_point", ["json:loads", "gymnasium.wrappers.rendering:RecordVideo", "os:system"])
def test_a_file_names_no_wrapper_that_does_something_else(entry_point: str) -> None:
    wrappers = ({"entry_point": entry_point, "kwargs": {}},)
    identity = Identity(made="spec", wrappers=wrappers, looks={"wrappers": []})
    with pytest.raises(ValueError, match=r"must be a gymnasium.Wrapper that acts"):
        Making.again("Pendulum-v1", identity, None, None, "RUN").vector(1)
