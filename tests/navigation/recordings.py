"""The recorded navigation tasks of tests/data/navigation, and one teacher-forced step from each recorded state.

`python tests/navigation/recordings.py` prints the errors against MuJoCo 2.3.3 as a table.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from statewise.envs.navigation.registry import find_task
from statewise.envs.navigation.worlds import NavigationWorlds

DATA = Path(__file__).parents[1] / "data" / "navigation"
IDS = [
    f"Safety{robot}{family}{level}-v0"
    for robot in ("Point", "Car")
    for family in ("Goal", "Circle", "Button")
    for level in (1, 2)
]
GOAL_AND_BUTTON = [env_id for env_id in IDS if "Circle" not in env_id]

# So many worlds at once: before MuJoCo 3.17 each takes megabytes.
_CHUNK = 95
_GREMLIN_HEIGHT = 0.1

Recording = dict[str, NDArray[Any]]


class Forced(NamedTuple):
    """What the worlds did from the recorded states, and the largest errors of each step against the recording, [M].

    obs: of the steps whose observation is kept and that met no goal. flips: steps in which a cost, its presence or the
    goal differ. apart: nothing was near enough to anything else to touch it within the step, the floor excepted.
    """

    qvel: NDArray[np.float64]
    reward: NDArray[np.float64]
    obs: NDArray[np.float64]
    flips: NDArray[np.bool_]
    apart: NDArray[np.bool_]


@cache
def load(env_id: str) -> Recording:
    """The arrays of one task; README.md beside the data says what they are."""
    with np.load(DATA / f"{env_id}.npz") as archive:
        return dict(archive)


def make_worlds(env_id: str, num_envs: int, **options: Any) -> NavigationWorlds:
    """So many worlds of a task."""
    return NavigationWorlds(*find_task(env_id), num_envs, **options)


def put(
    worlds: NavigationWorlds,
    recording: Recording,
    steps: NDArray[np.intp],
    *,
    rows: NDArray[np.intp] | None = None,
    task_rows: NDArray[np.intp] | None = None,
) -> None:
    """Put each world in front of one of these steps, or where `rows` and, for what the task keeps, `task_rows` say.

    The random streams stay as they are. The robot's controls are those of the step.
    """
    rows = recording["row"][steps] if rows is None else rows
    task_rows = rows if task_rows is None else task_rows
    for world, episode in enumerate(recording["episode"][steps]):
        worlds.place(world, recording["layout_xy"][episode], recording["yaw"][episode])
    state = worlds.get_state()
    state["qpos"], state["qvel"], state["time"] = (recording[name][rows] for name in ("qpos", "qvel", "time"))
    state["ctrl"] = np.clip(recording["action"][steps].astype(np.float64), -1.0, 1.0)
    if worlds.robot.name == "Point":
        _to_world_axes(state, recording, recording["episode"][steps])
    if "goal_xy" in recording:
        state["xy_goal"] = recording["goal_xy"][task_rows, None]
        state["task_last_distance"] = recording["last_distance"][task_rows]
    if "mocap_pos" in recording:
        slot = worlds.scene.slots["gremlin"]
        centres = worlds.layout_xy[:, slot.rows]
        heights = np.full((*centres.shape[:2], 1), _GREMLIN_HEIGHT)
        moved = np.concatenate([centres, heights], axis=2) + recording["mocap_pos"][rows]
        state["mocap_pos"][:, slot.mocap : slot.mocap + slot.objects.count] = moved
        for name in ("goal_button", "button_timer"):
            state[f"task_{name}"] = recording[name][task_rows]
    worlds.set_state(state)
    worlds.observe_all()


@cache
def forced_step(env_id: str) -> Forced:
    """Make one step from each recorded state."""
    recording = load(env_id)
    count = len(recording["row"])
    worlds = make_worlds(env_id, _CHUNK, sleep=False)
    parts = [_forced(worlds, recording, np.arange(first, first + _CHUNK)) for first in range(0, count, _CHUNK)]
    worlds.close()
    qvel, reward, obs, flips, apart = (np.concatenate(column) for column in zip(*parts, strict=True))
    error = np.abs(obs[recording["obs_step"]] - recording["obs"]).max(axis=1)
    if "goal_met" in recording:
        # Another goal follows from the random stream, which is not that of the recording here.
        error = error[~recording["goal_met"][recording["obs_step"]]]
    return Forced(qvel, reward, error, flips, apart)


def _forced(worlds: NavigationWorlds, recording: Recording, steps: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
    """Errors in qvel and reward [M], observations [M, obs_dim], flips [M] and `apart` [M] of these steps."""
    put(worlds, recording, steps)
    apart = _apart(worlds)
    outcome = worlds.step(recording["action"][steps].astype(np.float64))
    apart &= _apart(worlds)
    qvel = worlds.get_state()["qvel"].copy()
    if worlds.robot.name == "Point":
        turn = _turns(recording, recording["episode"][steps])
        qvel[:, :2] = np.einsum("nij,ni->nj", turn, qvel[:, :2])
    qvel_error = np.abs(qvel - recording["qvel"][recording["row"][steps] + 1]).max(axis=1)
    costs = np.stack([outcome.info[key] for key in recording["cost_keys"]], axis=1)
    same = (costs == recording["costs"][steps]) | (np.isnan(costs) & np.isnan(recording["costs"][steps]))
    flips = ~same.all(axis=1)
    if "goal_met" in recording:
        flips |= outcome.info["goal_met"] != recording["goal_met"][steps]
    return qvel_error, np.abs(outcome.reward - recording["reward"][steps]), outcome.next_obs, flips, apart


def _apart(worlds: NavigationWorlds) -> NDArray[np.bool_]:
    """Worlds where the robot is farther from all solid things than both reach and go in a step, and they don't touch.

    m: robots reach 0.22 and boxes 0.18; no robot goes 0.1 in a step. Boxes on the floor touch within 0.29.
    """
    solid = [worlds.view.xy[kind] for kind in ("button", "vase", "gremlin") if kind in worlds.view.xy]
    if not solid:
        return np.ones(len(worlds.obs), bool)
    places = np.concatenate(solid, axis=1)
    from_robot = np.linalg.norm(places - worlds.view.position[:, None, :2], axis=2)
    between = np.linalg.norm(places[:, :, None] - places[:, None], axis=3) + np.eye(places.shape[1])
    return (from_robot.min(axis=1) > 0.5) & (between.min(axis=(1, 2)) > 0.29)


def _turns(recording: Recording, episodes: NDArray[np.intp]) -> NDArray[np.float64]:
    """From the first heading of the robot to the world's axes: [N, 2, 2]."""
    yaw = recording["yaw"][episodes, 0]
    return np.stack([np.cos(yaw), -np.sin(yaw), np.sin(yaw), np.cos(yaw)], axis=1).reshape(-1, 2, 2)


def _to_world_axes(state: dict[str, NDArray[Any]], recording: Recording, episodes: NDArray[np.intp]) -> None:
    """The original's Point slides along its first heading, ours along the world's axes."""
    turn = _turns(recording, episodes)
    for name in ("qpos", "qvel"):
        state[name][:, :2] = np.einsum("nij,nj->ni", turn, state[name][:, :2])
    state["qpos"][:, :2] += recording["layout_xy"][episodes, 0]
    state["qpos"][:, 2] += recording["yaw"][episodes, 0]


def main() -> None:
    """Print median, 99 % and largest error of each task."""
    print(f"MuJoCo {mujoco.__version__} against 2.3.3: median / 99 % / max")
    print("| task | steps | qvel | qvel below 1e-10 | observation | reward | flips |")
    print("|---|---|---|---|---|---|---|")
    for env_id in IDS:
        forced = forced_step(env_id)
        errors = [
            " / ".join(f"{value:.0e}" for value in (np.median(error), np.quantile(error, 0.99), error.max()))
            for error in (forced.qvel, forced.obs, forced.reward)
        ]
        cells = (env_id, len(forced.qvel), errors[0], f"{(forced.qvel < 1e-10).mean():.1%}", *errors[1:])
        print("|", " | ".join(map(str, cells)), "|", forced.flips.sum(), "|", flush=True)


if __name__ == "__main__":
    main()
