"""A film shows the episodes that the figures count: all of them, each from its first state to its last."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from gymnasium.spaces import Box
from numpy.typing import NDArray
from support.toys import Point

from statewise import Agent
from statewise.envs import SafeVectorEnv, make_vector
from statewise.report.film import VideoWriter
from statewise.training.evaluate import play_episodes

SHORT = (3, 5, 4, 6)
"""Lengths of the episodes in turn."""


class Filmed(Point):
    """A point whose frame holds the number of its episode and the step within; episodes end after `SHORT` steps."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012
    observation_space = Box(-np.inf, np.inf, (2,), np.float64)

    def __init__(self, render_mode: str | None = "rgb_array") -> None:
        super().__init__()
        self.render_mode = render_mode
        self.episode = -1

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self.episode = 0 if seed is not None else self.episode + 1
        return super().reset(seed=seed)

    def step(self, action: Any) -> Any:
        obs, reward, _, _, info = super().step(action)
        return obs, reward, False, self._steps >= SHORT[self.episode % 4], info

    def render(self) -> Any:
        frame = np.zeros((8, 8, 3), np.uint8)
        frame[..., 0], frame[..., 1] = self.episode, self._steps
        return frame


def zero(obs: NDArray[Any]) -> NDArray[Any]:
    return np.zeros((len(obs), 1))


def seen(env: SafeVectorEnv) -> tuple[int, int]:
    """Episode and step of the frame of environment 0."""
    (frame,) = cast("Any", env.render())
    return int(frame[0, 0, 0]), int(frame[0, 0, 1])


@pytest.mark.parametrize("num_envs", [1, 3])
def test_every_state_of_the_counted_episodes_is_shown_once(num_envs: int) -> None:
    env = make_vector(Filmed, num_envs)
    frames: list[tuple[int, int]] = []
    played = play_episodes(env, zero, 3, seed=0, on_step=lambda env: frames.append(seen(env)))
    assert frames == [(episode, step) for episode in range(3) for step in range(SHORT[episode] + 1)]
    assert played[:3, 2].tolist() == list(SHORT[:3])


@pytest.mark.parametrize("episodes", [1, 3, 20])
def test_filmed_figures_are_those_of_the_same_episodes(episodes: int) -> None:
    agent = Agent("sac", Filmed, hidden=(8, 8))
    frames: list[tuple[int, int]] = []
    told = agent.evaluate(episodes, on_step=lambda env: frames.append(seen(env)), render_mode="rgb_array")
    assert len(frames) == round(told["episodes"] * (told["length"] + 1))
    assert sum(step == 0 for _, step in frames) == episodes
    unfilmed = agent.evaluate(episodes)
    assert unfilmed.keys() == told.keys()
    assert [told[name] for name in told] == pytest.approx([unfilmed[name] for name in told], abs=1e-4)


def test_the_strip_of_a_run_begins_with_the_first_state() -> None:
    agent = Agent("sac", Filmed, hidden=(8, 8), max_episode_steps=3)
    frames = agent.film_strip(count=4)
    assert [int(frame[0, 0, 1]) for frame in frames] == [0, 1, 2, 3]


def test_a_film_that_leaves_frames_out_keeps_the_first_and_the_last_of_an_episode(tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio")
    film = tmp_path / "film.gif"
    shown: list[int] = []
    with VideoWriter(film) as video:
        for step in range(8):  # at 50 frames a second every second one is left out

            def render(step: int = step) -> Any:
                shown.append(step)
                return (np.full((8, 8, 3), 30 * step, np.uint8),)

            ended = np.array([step in (3, 7)])
            video.add_frame(cast("Any", SimpleNamespace(metadata={"render_fps": 50}, render=render, ended=ended)))
    assert shown == [0, 2, 3, 4, 6, 7]
    assert len(imageio.mimread(film)) == 6
