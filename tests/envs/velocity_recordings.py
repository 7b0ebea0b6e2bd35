"""The recorded Velocity tasks of tests/data/velocity, and one teacher-forced step from each recorded state.

`python tests/envs/velocity_recordings.py` prints the errors against MuJoCo 2.3.3 as a table.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from statewise.envs.vector import Outcome
from statewise.envs.velocity import VELOCITY_TASKS
from statewise.envs.velocity_worlds import VelocityWorlds

DATA = Path(__file__).parents[1] / "data" / "velocity"
Recording = dict[str, NDArray[Any]]


class Forced(NamedTuple):
    """What the worlds did from the recorded states, and the errors against the recording, each [M] or [H]."""

    outcome: Outcome
    qpos: NDArray[np.float64]
    qvel: NDArray[np.float64]
    obs: NDArray[np.float64]
    reward: NDArray[np.float64]


@cache
def load(task_id: str) -> Recording:
    """The arrays of one task; README.md beside the data says what they are."""
    with np.load(DATA / f"{task_id}.npz") as archive:
        return dict(archive)


@cache
def forced_step(task_id: str) -> Forced:
    """Put one world into each recorded state and make one step of all of them."""
    recording = load(task_id)
    worlds = VelocityWorlds(VELOCITY_TASKS[task_id], len(recording["qpos"]))
    worlds.set_state({**recording, "last_obs": worlds.obs})
    outcome = worlds.step(recording["action"].astype(np.float64))
    state = worlds.get_state()
    return Forced(
        outcome=outcome,
        qpos=np.abs(state["qpos"] - recording["next_qpos"]).max(axis=1),
        qvel=np.abs(state["qvel"] - recording["next_qvel"]).max(axis=1),
        obs=np.abs(outcome.next_obs[recording["obs_row"]] - recording["obs"]).max(axis=1),
        reward=np.abs(outcome.reward - recording["reward"]),
    )


def main() -> None:
    """Print median, 99 % and largest error of each task."""
    print(f"MuJoCo {mujoco.__version__} against 2.3.3: median / 99 % / max")
    print("| task | steps | qpos | qvel | observation | reward | cost, termination flips |")
    print("|---|---|---|---|---|---|---|")
    for task_id in VELOCITY_TASKS:
        recording, forced = load(task_id), forced_step(task_id)
        errors = (
            " / ".join(f"{value:.0e}" for value in (np.median(error), np.quantile(error, 0.99), error.max()))
            for error in (forced.qpos, forced.qvel, forced.obs, forced.reward)
        )
        flips = [int((getattr(forced.outcome, name) != recording[name]).sum()) for name in ("cost", "terminated")]
        print(f"| {task_id} | {len(recording['qpos'])} | {' | '.join(errors)} | {flips[0]}, {flips[1]} |")


if __name__ == "__main__":
    main()
