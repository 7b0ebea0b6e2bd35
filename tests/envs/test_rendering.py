"""Pictures: drawn from the tracking camera without touching the simulation, or refused with advice."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

from statewise.envs import make_vector
from statewise.envs.velocity_env import VelocityEnv

TASK = "SafetyHalfCheetahVelocity-v1"


class FakeRenderer:
    """Paints the robot's height into every pixel."""

    def __init__(self, model: Any, height: int, width: int) -> None:
        self.shape = (height, width, 3)

    def update_scene(self, data: Any, camera: str) -> None:
        assert camera == "track"
        self.height = data.qpos[1]

    def render(self) -> np.ndarray:
        return np.full(self.shape, 100.0 + 100.0 * self.height).astype(np.uint8)

    def close(self) -> None:
        self.shape = ()


def test_pictures_show_world_zero_and_leave_the_simulation_alone(monkeypatch):
    monkeypatch.setattr(mujoco, "Renderer", FakeRenderer)
    env, unseen = make_vector(TASK, 2, render_mode="rgb_array"), make_vector(TASK, 2)
    obs, _ = env.reset(seed=0)
    unseen.reset(seed=0)
    for _ in range(3):
        frames = env.render()
        assert frames is not None
        assert frames[0].shape == (480, 480, 3)
        assert frames[0][0, 0, 0] == int(100.0 + 100.0 * obs[0, 0])
        obs, *_ = env.step(np.ones((2, 6)))
        np.testing.assert_array_equal(obs, unseen.step(np.ones((2, 6)))[0])
    assert unseen.render() is None
    env.close()


def test_single_environment_renders(monkeypatch):
    monkeypatch.setattr(mujoco, "Renderer", FakeRenderer)
    env = VelocityEnv(TASK, render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert frame is not None
    assert frame.dtype == np.uint8
    assert env.metadata["render_fps"] == 20
    env.close()
    assert VelocityEnv(TASK).render() is None


def test_without_opengl_the_advice_is_clear(monkeypatch):
    def no_opengl(*args: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'glGetError'")

    monkeypatch.setattr(mujoco, "Renderer", no_opengl)
    env = make_vector(TASK, 1, render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="MUJOCO_GL=egl or MUJOCO_GL=osmesa"):
        env.render()


def test_the_size_of_a_picture_can_be_chosen(monkeypatch):
    monkeypatch.setattr(mujoco, "Renderer", FakeRenderer)
    env = make_vector(TASK, 1, render_mode="rgb_array", render_options={"size": (720, 96)})
    env.reset(seed=0)
    frames = env.render()
    assert frames is not None
    assert frames[0].shape == (96, 720, 3)


@pytest.mark.parametrize("size", [(0, 480), (480,), (480.5, 480), (5000, 480), "big", None])
def test_a_size_that_no_picture_has_is_refused(size):
    with pytest.raises(ValueError, match=r"size is .*; it must be a width and a height of 1 to 4096 pixels"):
        make_vector(TASK, 1, render_mode="rgb_array", render_options={"size": size})
