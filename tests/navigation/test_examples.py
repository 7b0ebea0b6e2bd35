"""The example of a task of one's own runs like a native one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from statewise.envs import TASKS, make_vector, register_navigation_task
from statewise.envs.navigation.registry import NAVIGATION_TASKS, find_task

MODULE = "custom_navigation_task"
IDS = ("PatrolPoint-v0", "PatrolCar-v0")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples can be imported; afterwards their tasks are forgotten, as other tests go through all."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    yield
    sys.modules.pop(MODULE, None)
    for env_id in IDS:
        for table in (gymnasium.registry, NAVIGATION_TASKS, TASKS):
            table.pop(env_id, None)


@pytest.mark.parametrize("env_id", IDS)
def test_example_passes_gymnasiums_checker(env_id: str) -> None:
    env = gymnasium.make(f"{MODULE}:{env_id}")
    check_env(env.unwrapped, skip_render_check=True)
    assert env.observation_space.shape == (find_task(env_id)[1].observed + 2 * 16,)


def test_vector_is_single_worlds_and_native() -> None:
    vector = make_vector(f"{MODULE}:PatrolPoint-v0", 2)
    assert vector.exact_state
    assert vector.has_constraint
    assert vector.task == f"{MODULE}:PatrolPoint-v0"
    obs, _ = vector.reset(seed=7)
    singles = [gymnasium.make("PatrolPoint-v0") for _ in range(2)]
    np.testing.assert_array_equal(obs, [env.reset(seed=7 + i)[0] for i, env in enumerate(singles)])
    actions = np.random.default_rng(0).uniform(-1.0, 1.0, (50, 2, 2))
    for action in actions:
        obs, reward, *_, infos = vector.step(action)
        steps = [env.step(each) for env, each in zip(singles, action, strict=True)]
        np.testing.assert_array_equal(obs, [step[0] for step in steps])
        np.testing.assert_array_equal(reward, [step[1] for step in steps])
        np.testing.assert_array_equal(infos["cost"], infos["constraint"] > 0.0)


def test_beacon_moves_to_the_other_post_and_buttons_cost() -> None:
    vector = make_vector(f"{MODULE}:PatrolPoint-v0", 1)
    vector.reset(seed=0)
    worlds = vector.worlds  # pyright: ignore[reportAttributeAccessIssue]
    beacon, button = worlds.view.xy["beacon"][0, 0].copy(), worlds.view.xy["button"][0, 0]
    layout = worlds.layout_xy[0].copy()
    for place in (beacon, button):
        layout[0] = place
        worlds.place(0, layout, worlds.yaw[0])
        *_, infos = vector.step(np.zeros((1, 2)))
        if place is beacon:
            assert infos["goal_met"].tolist() == [True]
            np.testing.assert_array_equal(worlds.view.xy["beacon"][0, 0], -beacon)
        else:
            assert infos["cost_buttons"].tolist() == [1.0]
            assert infos["constraint"][0] > 0.0


def test_document_shows_the_example_as_it_is() -> None:
    code = (ROOT / "examples" / f"{MODULE}.py").read_text()
    code = code[code.index("import numpy") :]
    assert f"```python\n{code}```" in (ROOT / "docs" / "environments.md").read_text()


def test_pictures_of_the_document_can_be_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class White:
        """A renderer that needs no OpenGL."""

        scene = None

        def __init__(self, model: object, height: int, width: int) -> None:
            self.shape = (height, width, 3)

        def update_scene(self, data: object, camera: str) -> None:
            assert camera == "top"

        def render(self) -> np.ndarray:
            return np.full(self.shape, 255, np.uint8)

        def close(self) -> None:
            self.shape = ()

    monkeypatch.setattr(mujoco, "Renderer", White)
    monkeypatch.setenv("MUJOCO_GL", "egl")
    importlib.import_module("draw_tasks").main(tmp_path)
    committed = ROOT / "docs" / "images" / "tasks"
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in committed.iterdir()}
    assert all(path.stat().st_size < 40_000 for path in committed.iterdir())


def test_taken_id_is_refused() -> None:
    task, robot = find_task("SafetyPointGoal0-v0")
    with pytest.raises(ValueError, match="'SafetyPointGoal0-v0', which is taken"):
        register_navigation_task("SafetyPointGoal0-v0", task, robot)
