"""What environments wear: time limits, states that are restored, wrappers that training goes wrong with."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box
from gymnasium.wrappers import Autoreset, NormalizeObservation, NormalizeReward, RecordEpisodeStatistics, TimeLimit
from support.toy_envs import Odd, Point
from support.toys import ExactPoint

from statewise.envs import GymnasiumVector, make_vector
from statewise.envs.vector import SafeVectorEnv

QUIET = np.zeros((1, 1))


def ends(env: SafeVectorEnv, steps: int) -> list[int]:
    """Steps, from 1, in which an episode of world 0 is cut."""
    return [step for step in range(1, steps + 1) if env.step(np.zeros((env.num_envs, 1)))[3][0]]


class Endless(ExactPoint):
    """A point whose whole future can be restored, and whose episodes nothing ends."""

    def step(self, action: Any) -> Any:
        obs, reward, _, _, info = super().step(action)
        return obs, reward, False, False, info


@pytest.mark.parametrize(
    ("build", "steps"),
    [
        (lambda: TimeLimit(Point(), 2500), 2500),
        (lambda: TimeLimit(Point(), 200), 200),
        (lambda: TimeLimit(TimeLimit(Point(), 30), 50), 30),
        (lambda: RecordEpisodeStatistics(TimeLimit(Point(), 40)), 40),
        (Point, 1000),
    ],
)
def test_the_horizon_is_that_of_the_time_limit_that_comes_first(build: Any, steps: int) -> None:
    env = make_vector(build, 1)
    assert env.max_episode_steps == steps
    env.reset(seed=0)
    assert ends(env, steps + 1) == [steps]


def test_a_longer_limit_around_that_of_the_id_changes_nothing() -> None:
    # The spec says 500: it forgets the limit within.
    worn = TimeLimit(gymnasium.make("Pendulum-v1"), 500)
    env = make_vector(worn, 2, constraint=lambda obs, action, next_obs: -1.0)
    assert env.max_episode_steps == 200
    assert env.identity.max_episode_steps == 200


def test_an_episode_under_a_time_limit_goes_on_to_its_end_where_the_state_is_restored() -> None:
    env, other = (make_vector(lambda: TimeLimit(Endless(), 60), 1) for _ in range(2))
    assert env.exact_state
    env.reset(seed=0)
    assert ends(env, 45) == []
    state = env.get_state()
    other.set_state(state)
    mine, theirs = ([vector.step(QUIET) for _ in range(20)] for vector in (env, other))
    assert [bool(step[3][0]) for step in theirs].index(True) == 14
    for one, two in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one[0], two[0])


@pytest.mark.parametrize(
    ("wrap", "words"),
    [
        (NormalizeObservation, "observation_normalization=True"),
        (NormalizeReward, "reward_scale"),
        (lambda env: TimeLimit(NormalizeObservation(env), 30), "obs_rms"),
        (Autoreset, "leave it out"),
    ],
)
def test_wrappers_that_learn_or_hide_ends_are_refused_with_what_does_their_work(wrap: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_vector(lambda: wrap(Point()), 1)


def test_statistics_that_no_longer_change_are_taken() -> None:
    def frozen() -> gymnasium.Env[Any, Any]:
        env = NormalizeObservation(Point())
        env.update_running_mean = False
        return env

    assert not make_vector(frozen, 1).exact_state


# --- one environment, used twice ---------------------------------------------------------------------------------


def test_one_environment_is_refused_as_several() -> None:
    point = Point()
    with pytest.raises(ValueError, match="one and the same object"):
        make_vector(lambda: point, 3)
    with pytest.raises(ValueError, match="one and the same object"):
        GymnasiumVector([TimeLimit(point, 5), TimeLimit(point, 5)], task="shared")


def test_one_environment_is_refused_where_another_vector_steps_it() -> None:
    point = Point()
    training = make_vector(lambda: point, 1)
    with pytest.raises(ValueError, match="between training and evaluation"):
        make_vector(lambda: point, 1)
    training.close()
    assert make_vector(lambda: point, 1).reset(seed=0)[0].shape == (1, 2)


# --- environments that differ, and spaces without entries --------------------------------------------------------


def test_environments_with_other_spaces_than_the_first_are_refused() -> None:
    wide = Odd(action_space=Box(-5.0, 5.0, (1,), np.float32))
    with pytest.raises(ValueError, match="environment 1 of points acts in Box"):
        GymnasiumVector([Point(), wide], task="points")
    high = Odd(observation_space=Box(-1.0, 1.0, (2,), np.float32))
    with pytest.raises(ValueError, match="environment 1 of points observes Box"):
        GymnasiumVector([Point(), high], task="points")


@pytest.mark.parametrize("name", ["observation_space", "action_space"])
def test_spaces_without_entries_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="has no entries"):
        make_vector(lambda: Odd(**{name: Box(0.0, 1.0, (0,), np.float32)}), 1)
