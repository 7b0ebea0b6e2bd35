"""Any Gymnasium environment can be learned in, or is refused with a sentence that says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
from support.small_runs import MakeAgent, assert_same_files, checkpoint_steps, folder_of
from support.toys import DictPoint, DiscretePoint, ExactPoint, FaultyPoint, Point, beyond_one

from statewise import Agent
from statewise.errors import EnvironmentFault
from statewise.report.progress import Silent
from statewise.training.loop import Interrupted


class Heard(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


class Stopped(BaseException):
    """Raised by a listener to end a run in the middle."""


def stop_at_evaluation(row: dict[str, float | str]) -> None:
    if row["phase"] == "eval" and row["step"] == 160:
        raise Stopped


@pytest.fixture
def break_down() -> Iterator[None]:
    """Heal `FaultyPoint` after the test."""
    yield
    FaultyPoint.broken = None


def test_cost_in_info_and_no_state_restarts_episodes_and_says_so(tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(Point)
    with pytest.raises(Stopped):
        agent.learn(listeners=(stop_at_evaluation,))
    heard = Heard()
    resumed = Agent.load(folder_of(agent), Point)
    resumed.learn(progress=heard)
    assert heard.said == ["Point can't restore its state: the running episodes start afresh from step 120"]
    assert checkpoint_steps(resumed)[-1] == 160
    figures = resumed.evaluate(episodes=2)
    assert figures["length"] == 20
    assert 0.0 <= figures["cost_rate"] <= 1.0


@pytest.mark.parametrize(
    ("env", "constraint"),
    [
        (lambda: Point("none"), beyond_one),
        (lambda: Point("six values"), None),
        (lambda: Point("info"), beyond_one),
    ],
    ids=["constraint function", "six values", "constraint function in place of info"],
)
def test_every_form_of_cost_counts_the_same_violations(env: Any, constraint: Any) -> None:
    agent = Agent("sac", env, constraint=constraint, hidden=(8, 8))
    expected = Agent("sac", Point, hidden=(8, 8)).evaluate(episodes=4)
    assert agent.evaluate(episodes=4) == expected


def test_actions_reach_the_environment_in_its_own_units(tiny_agent: MakeAgent) -> None:
    made: list[Point] = []

    def make() -> Point:
        made.append(Point(low=-1.0, high=5.0))
        return made[-1]

    agent = tiny_agent(make).learn()
    actions = np.array([a for env in made for a in env.actions])
    assert actions.min() >= -1.0
    assert actions.max() <= 5.0
    assert actions.max() - actions.min() > 4.0
    predicted = agent.predict(np.random.default_rng(0).normal(size=(200, 2)) * 3, deterministic=False)
    assert predicted.min() >= -1.0
    assert predicted.max() <= 5.0
    assert predicted.max() > 2.0


def test_pendulum_with_a_constraint_function(tiny_agent: MakeAgent) -> None:
    def too_fast(obs: Any, action: Any, next_obs: Any) -> float:
        del obs, action
        return abs(next_obs[2]) - 6.0

    agent = tiny_agent("Pendulum-v1", constraint=too_fast, total_steps=400)
    agent.learn(total_steps=200)
    resumed = Agent.load(folder_of(agent), constraint=too_fast).learn()
    assert checkpoint_steps(resumed)[-1] == 400
    figures = resumed.evaluate(episodes=2)
    assert figures["length"] == 200
    assert -2.0 <= resumed.predict(np.array([1.0, 0.0, 0.0]))[0] <= 2.0


@pytest.mark.parametrize(
    ("env", "fragment"),
    [
        (DiscretePoint, "continuous"),
        (DictPoint, "FlattenObservation"),
        (lambda: Point("none"), r"info\['cost'\]"),
        (lambda: Point(high=np.inf), "finite"),
        (lambda: gymnasium.make("CartPole-v1"), "continuous"),
        ("SafetyHalfCheetahVelocity-v2", "SafetyHalfCheetahVelocity-v1"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_refusals(env: Any, fragment: str, tiny_agent: MakeAgent) -> None:
    with pytest.raises(ValueError, match=fragment):
        tiny_agent(env)


def test_an_environment_made_by_hand_is_refused_as_it_cannot_be_made_again(tiny_agent: MakeAgent) -> None:
    with pytest.raises(ValueError, match="function that makes it"):
        tiny_agent(Point())


def test_reachability_needs_a_signed_constraint(tiny_agent: MakeAgent) -> None:
    with pytest.raises(ValueError, match=r"feasibility: 'hjr' needs info\[\"constraint\"\]"):
        tiny_agent(Point, feasibility="hjr")


def raising(obs: Any) -> Any:
    raise ArithmeticError("the simulation broke down")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (raising, r"world 0, step \d+: step\(\) raised ArithmeticError: the simulation broke down"),
        (lambda obs: obs * np.nan, r"world 0, step \d+: observation is not finite at \[0, 1\]"),
    ],
    ids=["raises", "NaN"],
)
@pytest.mark.usefixtures("break_down")
def test_a_fault_leaves_a_run_that_goes_on_once_the_environment_is_healed(
    broken: Any, message: str, tiny_agent: MakeAgent
) -> None:
    def break_at_96(row: dict[str, float | str]) -> None:
        FaultyPoint.broken = broken if row["step"] == 96 else None

    agent = tiny_agent(FaultyPoint)
    with pytest.raises(EnvironmentFault, match=message):
        agent.learn(listeners=(break_at_96,))
    assert checkpoint_steps(agent) == [40, 80]

    FaultyPoint.broken = None
    healed = Agent.load(folder_of(agent), FaultyPoint).learn()
    undisturbed = tiny_agent(FaultyPoint, root=folder_of(agent).parents[2] / "undisturbed").learn()
    assert_same_files(healed, undisturbed)


def test_ctrl_c_writes_a_checkpoint_from_which_the_run_goes_on(tiny_agent: MakeAgent) -> None:
    import os
    import signal

    def interrupt(row: dict[str, float | str]) -> None:
        if row["step"] == 64:
            os.kill(os.getpid(), signal.SIGINT)

    agent = tiny_agent(ExactPoint)
    with pytest.raises(Interrupted, match="stopped at step 64"):
        agent.learn(listeners=(interrupt,))
    assert checkpoint_steps(agent)[-1] == 64
    undisturbed = tiny_agent(ExactPoint, root=folder_of(agent).parents[2] / "undisturbed").learn()
    assert_same_files(agent.learn(), undisturbed)
