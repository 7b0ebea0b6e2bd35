"""Pictures of navigation worlds: what is in the scene, which cameras there are, and how OpenGL is found."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import ctypes.util
import importlib
import os
import sys
from types import SimpleNamespace
from typing import Any

import mujoco
import numpy as np
import pytest

from statewise.cli import main
from statewise.envs import make_vector
from statewise.envs.navigation.env import NavigationEnv
from statewise.envs.navigation.pictures import Pictures
from statewise.envs.navigation.registry import find_task
from statewise.envs.navigation.scene import build_scene
from statewise.envs.navigation.worlds import NavigationWorlds
from statewise.envs.rendering import choose_backend

GOAL, BUTTON = "SafetyPointGoal2-v0", "SafetyCarButton1-v0"


class FakeRenderer:
    """Fills a scene as MuJoCo's renderer does, and draws nothing."""

    last: FakeRenderer

    def __init__(self, model: Any, height: int, width: int) -> None:
        self.model, self.shape = model, (height, width, 3)
        self.scene = mujoco.MjvScene(model, 1000)
        FakeRenderer.last = self

    def update_scene(self, data: Any, camera: str) -> None:
        view = mujoco.MjvCamera()
        view.fixedcamid, view.type = self.model.camera(camera).id, mujoco.mjtCamera.mjCAMERA_FIXED
        mujoco.mjv_updateScene(
            self.model, data, mujoco.MjvOption(), mujoco.MjvPerturb(), view, mujoco.mjtCatBit.mjCAT_ALL, self.scene
        )
        self.known = self.scene.ngeom

    def render(self) -> np.ndarray:
        return np.zeros(self.shape, np.uint8)

    def close(self) -> None:
        self.shape = ()

    def places(self, name: str) -> np.ndarray:
        """Where the model's geom of this name is in the scene [1, 3]."""
        geom = (mujoco.mjtObj.mjOBJ_GEOM, self.model.geom(name).id)
        return np.array([each.pos for each in self.scene.geoms[: self.known] if (each.objtype, each.objid) == geom])

    def added(self) -> list[Any]:
        """What was added to the model's own geoms."""
        return list(self.scene.geoms[self.known : self.scene.ngeom])


@pytest.fixture(autouse=True)
def _fake_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mujoco, "Renderer", FakeRenderer)
    monkeypatch.setenv("MUJOCO_GL", "egl")


def stepped(task: str, steps: int = 5) -> NavigationWorlds:
    worlds = NavigationWorlds(*find_task(task), 2)
    for world in range(2):
        worlds.restart(world, seed=world)
    for _ in range(steps):
        worlds.step(np.ones((2, 2)))
    return worlds


@pytest.mark.parametrize("task", [GOAL, BUTTON, "SafetyCarCircle2-v0"])
@pytest.mark.parametrize("world", [0, 1])
def test_picture_shows_everything_where_it_is(task: str, world: int) -> None:
    worlds = stepped(task)
    Pictures(worlds).picture(world)
    drawn = FakeRenderer.last
    np.testing.assert_allclose(drawn.places("agent"), worlds.view.position[None, world], atol=1e-6)
    for kind, slot in worlds.scene.slots.items():
        suffix = "" if slot.bodies else "_mocap"
        places = [drawn.places(f"{kind}{i}{suffix}")[0, :2] for i in range(slot.objects.count)]
        np.testing.assert_allclose(places, worlds.view.xy[kind][world], atol=1e-6)
    worlds.close()


def test_gremlins_shadows_run_ahead_of_them() -> None:
    worlds = stepped(BUTTON, steps=30)
    Pictures(worlds).picture()
    offset = FakeRenderer.last.places("gremlin0_mocap")[0] - (
        *worlds.layout_xy[0, worlds.scene.slots["gremlin"].first],
        0,
    )
    time = 30 * worlds.dt
    np.testing.assert_allclose(offset[:2], [0.35 * np.sin(time), 0.35 * np.cos(time)], atol=1e-6)
    worlds.close()


def test_beads_show_what_the_lidars_read() -> None:
    worlds = stepped(GOAL)
    pictures = Pictures(worlds, show_lidar=True)
    pictures.picture(1)
    beads = FakeRenderer.last.added()
    readings = worlds.obs[1, worlds.robot.observed :]
    np.testing.assert_allclose([bead.rgba[3] for bead in beads], 0.1 + 0.9 * readings, atol=1e-6)
    brightest = beads[int(readings[:16].argmax())].pos - worlds.view.position[1]
    to_goal = worlds.view.xy["goal"][1, 0] - worlds.view.position[1, :2]
    turn = np.arctan2(*brightest[1::-1]) - np.arctan2(*to_goal[::-1])
    assert abs(np.angle(np.exp(1j * turn))) <= np.pi / 16 + 1e-6
    worlds.close()


def test_cost_is_a_ball_around_a_robot_that_costs() -> None:
    worlds = stepped(GOAL)
    pictures = Pictures(worlds, show_cost=True)
    pictures.picture(0, cost=0.0)
    assert FakeRenderer.last.added() == []
    pictures.picture(0, cost=1.0)
    (ball,) = FakeRenderer.last.added()
    np.testing.assert_allclose(ball.pos, worlds.view.position[0], atol=1e-6)
    worlds.close()


@pytest.mark.parametrize("task", [GOAL, BUTTON])
def test_what_is_drawn_has_the_same_bodies_to_push(task: str) -> None:
    rules, robot = find_task(task)
    plain, drawn = (build_scene(robot, rules.objects, drawn=drawn).model for drawn in (False, True))
    assert (plain.nq, plain.nv, plain.nu, plain.neq) == (drawn.nq, drawn.nv, drawn.nu, drawn.neq)
    for body in range(1, plain.nbody):
        if plain.body_mocapid[body] < 0:
            assert plain.body(body).mass == drawn.body(plain.body(body).name).mass


def test_top_camera_sees_all_of_the_largest_task() -> None:
    rules, robot = find_task(GOAL)
    camera = build_scene(robot, rules.objects, drawn=True).model.camera("top")
    assert camera.pos[2] * np.tan(np.deg2rad(camera.fovy[0] / 2)) >= rules.extents + 0.2


def test_environments_draw_with_the_chosen_look_and_leave_the_simulation_alone() -> None:
    options = {"camera": "top", "show_lidar": True}
    env = make_vector(GOAL, 2, render_mode="rgb_array", render_options=options)
    unseen = make_vector(GOAL, 2)
    env.reset(seed=3)
    unseen.reset(seed=3)
    for _ in range(3):
        frames = env.render()
        assert frames is not None
        assert frames[0].shape == (480, 480, 3)
        assert len(FakeRenderer.last.added()) == 48
        np.testing.assert_array_equal(env.step(np.ones((2, 2)))[0], unseen.step(np.ones((2, 2)))[0])
    env.close()


def test_looks_that_do_not_exist_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    env = make_vector(GOAL, 1, render_mode="rgb_array", render_options={"camera": "side"})
    env.reset(seed=0)
    with pytest.raises(ValueError, match="'side'; choose track or top"):
        env.render()
    with pytest.raises(ValueError, match="camera: only the navigation tasks"):
        make_vector("SafetyAntVelocity-v1", 1, render_mode="rgb_array", render_options={"camera": "top"})
    assert main(["evaluate", "run", "--show-lidar"]) == 2
    assert "show_lidar: is for films; add --video" in capsys.readouterr().err


def test_window_follows_the_world(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def launch(model: Any, data: Any) -> Any:
        return SimpleNamespace(sync=lambda: seen.append(data.qpos[:2].copy()), close=lambda: seen.append("closed"))

    fake = SimpleNamespace(launch_passive=launch)
    monkeypatch.setitem(sys.modules, "mujoco.viewer", fake)
    monkeypatch.setattr(mujoco, "viewer", fake, raising=False)
    env = NavigationEnv(GOAL, render_mode="human")
    env.reset(seed=0)
    env.step(np.ones(2))
    np.testing.assert_array_equal(seen[-1], env.worlds.qpos(0)[:2])
    env.close()
    assert seen[-1] == "closed"


def test_without_a_display_the_window_says_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def launch(model: Any, data: Any) -> Any:
        raise RuntimeError("could not initialize GLFW")

    fake = SimpleNamespace(launch_passive=launch)
    monkeypatch.setitem(sys.modules, "mujoco.viewer", fake)
    monkeypatch.setattr(mujoco, "viewer", fake, raising=False)
    with pytest.raises(RuntimeError, match=r"no window can be opened .* use rgb_array"):
        NavigationEnv(GOAL, render_mode="human").reset(seed=0)


def test_without_opengl_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_opengl(*_: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'eglQueryString'")

    monkeypatch.setattr(mujoco, "Renderer", no_opengl)
    env = NavigationEnv(GOAL, render_mode="rgb_array")
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match=r"libegl1.*libosmesa6.*MUJOCO_GL=egl or MUJOCO_GL=osmesa"):
        env.render()


@pytest.mark.parametrize(
    ("environment", "installed", "chosen"),
    [
        ({}, {"EGL", "OSMesa"}, "egl"),
        ({}, {"OSMesa"}, "osmesa"),
        ({}, set(), None),
        ({"DISPLAY": ":0"}, {"EGL"}, None),
        ({"MUJOCO_GL": "osmesa"}, {"EGL"}, "osmesa"),
    ],
)
def test_way_to_draw_without_a_screen(
    environment: dict[str, str], installed: set[str], chosen: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    reloaded = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: name if name in installed else None)
    monkeypatch.setattr(importlib, "reload", reloaded.append)
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    choose_backend()
    assert os.environ.get("MUJOCO_GL") == chosen
    names = [module.__name__.rpartition(".")[2] for module in reloaded]
    assert names == ([] if chosen == environment.get("MUJOCO_GL") else ["gl_context"])
