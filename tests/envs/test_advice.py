"""What an error message advises is done here, and works."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.wrappers import (
    ClipAction,
    FlattenObservation,
    NormalizeObservation,
    NormalizeReward,
    TimeLimit,
    TransformAction,
    TransformReward,
)
from support.toy_envs import Costless, Odd, Point

from statewise.envs import make_vector

ENDLESS = Box(-np.inf, np.inf, (1,), np.float32)
SWIMMER = "SafetySwimmerVelocity-v1"


class Image(Point):
    """A point that observes a small image, or a dict, or a single number without an axis."""

    def __init__(self, space: Any, value: Any) -> None:
        super().__init__()
        self.observation_space = space
        self.value = value

    def obs(self) -> Any:
        return self.value


class Pushed(gymnasium.ActionWrapper[Any, Any, Any]):
    """Continuous actions for an environment of three."""

    action_space: Any = Box(-1.0, 1.0, (1,), np.float32)

    def action(self, action: Any) -> Any:
        return np.array([round(float(action[0]))], np.float32)


class Drawn(Point):
    """A point that draws itself."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012

    def __init__(self, render_mode: str | None = None) -> None:
        super().__init__()
        self.render_mode = render_mode

    def render(self) -> Any:
        return np.zeros((4, 4, 3), np.uint8)


def safe(obs: Any, action: Any, next_obs: Any) -> float:
    del obs, action, next_obs
    return -1.0


def unbounded() -> gymnasium.Env[Any, Any]:
    return Odd(action_space=ENDLESS)


def three() -> gymnasium.Env[Any, Any]:
    return Odd(action_space=Discrete(3))


PICTURE = Image(Box(0, 255, (2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8))
TABLE = Image(Dict(a=Box(0.0, 1.0, (2,))), {"a": np.zeros(2, np.float32)})
NUMBER = Image(Box(0.0, 1.0, ()), np.float32(0.5))
SHARED = Point()

ADVICE: dict[str, tuple[Any, str, Any]] = {
    "infinite bounds": (
        lambda: make_vector(unbounded, 1),
        r"TransformAction\(env, lambda action: action, Box\(low, high\)\)",
        lambda: make_vector(lambda: TransformAction(unbounded(), lambda action: action, Box(-1.0, 1.0, (1,))), 1),
    ),
    "ClipAction": (
        lambda: make_vector(lambda: ClipAction(Point()), 1),
        "leave ClipAction out",
        lambda: make_vector(Point, 1),
    ),
    "image": (
        lambda: make_vector(lambda: PICTURE, 1),
        "FlattenObservation",
        lambda: make_vector(lambda: FlattenObservation(PICTURE), 1),
    ),
    "dict": (
        lambda: make_vector(lambda: TABLE, 1),
        "FlattenObservation",
        lambda: make_vector(lambda: FlattenObservation(TABLE), 1),
    ),
    "a number": (
        lambda: make_vector(lambda: NUMBER, 1),
        "FlattenObservation",
        lambda: make_vector(lambda: FlattenObservation(NUMBER), 1),
    ),
    "discrete actions": (
        lambda: make_vector(three, 1),
        "wrap this one in gymnasium.ActionWrapper",
        lambda: make_vector(lambda: Pushed(three()), 1),
    ),
    "no cost": (
        lambda: make_vector(Costless, 1),
        "give a function constraint=h",
        lambda: make_vector(Costless, 1, constraint=safe),
    ),
    "a constraint on a native task": (
        lambda: make_vector(SWIMMER, 1, constraint=safe),
        "giving the function `lambda: gymnasium.make",
        lambda: make_vector(lambda: gymnasium.make(SWIMMER), 1, constraint=safe),
    ),
    "several of one instance": (
        lambda: make_vector(Point(), 2),
        "give a function that builds one",
        lambda: make_vector(Point, 2),
    ),
    "a shared instance": (
        lambda: make_vector(lambda: SHARED, 2),
        "give a function that makes a new one",
        lambda: make_vector(Point, 2),
    ),
    "drawing": (
        lambda: make_vector(Drawn, 1, render_mode="rgb_array"),
        r"render_mode='rgb_array'\)",
        lambda: make_vector(lambda: Drawn(render_mode="rgb_array"), 1, render_mode="rgb_array"),
    ),
    "looks of a foreign task": (
        lambda: make_vector("Pendulum-v1", 1, constraint=safe, render_options={"size": (64, 64)}),
        "leave it out",
        lambda: make_vector("Pendulum-v1", 1, constraint=safe),
    ),
    "keyword arguments of a function": (
        lambda: make_vector(Point, 1, env_kwargs={"g": 1.0}),
        "give it where the environment is made",
        lambda: make_vector(lambda: Odd(g=1.0), 1),
    ),
    "an unknown id": (
        lambda: make_vector("SafetyAntsVelocity-v1", 1),
        "did you mean SafetyAntVelocity-v1.*write module:Id-v0",
        lambda: make_vector("statewise.envs:SafetyAntVelocity-v1", 1),
    ),
    "statistics of rewards": (
        lambda: make_vector(lambda: NormalizeReward(Point()), 1),
        "TransformReward takes a fixed factor",
        lambda: make_vector(lambda: TransformReward(Point(), lambda reward: 0.1 * float(reward)), 1),
    ),
    "statistics of observations": (
        lambda: make_vector(lambda: TimeLimit(NormalizeObservation(Point()), 5), 1),
        "leave it out: observation_normalization=True",
        lambda: make_vector(lambda: TimeLimit(Point(), 5), 1),
    ),
}


@pytest.mark.parametrize(("wrong", "advice", "right"), ADVICE.values(), ids=ADVICE)
def test_advice_that_is_followed_works(wrong: Any, advice: str, right: Any) -> None:
    with pytest.raises(ValueError, match=advice):
        wrong()
    env = right()
    obs, _ = env.reset(seed=0)
    assert obs.shape == env.observation_space.shape
    assert np.isfinite(env.step(env.action_space.sample())[1]).all()
    env.close()


@pytest.mark.parametrize("method", ["sac-alam", "ppo"])
def test_the_field_that_normalises_observations_is_one_of_every_method(method: str) -> None:
    from statewise.spec import make_config

    assert make_config(method, observation_normalization=True).observation_normalization
    assert hasattr(make_config("sac"), "reward_scale")
