"""MuJoCo worlds of one Velocity robot: stepped side by side, restarted one by one."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from statewise.envs.fields import OBS_BOUND, Field, breakdowns
from statewise.envs.mujoco_versions import undo_added_margins, undo_solver_tolerance
from statewise.envs.vector import Outcome, require_positive
from statewise.envs.velocity import VelocityTask, judge_motion, observe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_TORSO = 1
_TOTAL_MASS = re.compile(r'\bsettotalmass="([^"]+)"')
_SAVED = ("qpos", "qvel", "qacc_warmstart")


def load_model(file: str) -> mujoco.MjModel:
    """Compile one of Gymnasium's MuJoCo models so that it behaves as under MuJoCo 2.3.3.

    What changed in MuJoCo since then is undone where that is possible.
    """
    text = (files("gymnasium") / "envs/mujoco/assets" / file).read_text()
    # MuJoCo warns of this attribute, and logs that into the working directory; to scale afterwards is the same.
    total_mass = _TOTAL_MASS.search(text)
    model = mujoco.MjSpec.from_string(_TOTAL_MASS.sub("", text)).compile()
    if total_mass is not None:
        mujoco.mj_setTotalmass(model, float(total_mass[1]))
        mujoco.mj_setConst(model, mujoco.MjData(model))
    # One robot is one island: to look for more takes 5-9 % of the time and changes no bit.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_ISLAND
    undo_added_margins(model)
    undo_solver_tolerance(model)
    return model


class VelocityWorlds:
    """N simulations of one task's robot; time limits and resets are the caller's.

    The worlds are shared out among `threads` threads; the results do not depend on their number.
    """

    def __init__(self, task: VelocityTask, num_envs: int, threads: int = 1) -> None:
        require_positive(num_envs=num_envs, threads=threads)
        self.task = task
        self.model = load_model(task.model)
        self.dt = self.model.opt.timestep * task.frame_skip
        self._datas = [mujoco.MjData(self.model) for _ in range(num_envs)]
        self._shares = np.array_split(np.array(self._datas, dtype=object), min(threads, num_envs))
        self._pool = ThreadPoolExecutor(len(self._shares)) if len(self._shares) > 1 else None
        read = dict.fromkeys(("qpos", "qvel", task.position, *task.extra_obs))
        self._fields = {name: Field(self._datas, name) for name in dict.fromkeys((*read, *_SAVED, "ctrl"))}
        self._read = [self._fields[name] for name in read]
        self._warnings = Field(self._datas, "warning.number")
        self.position = self._measure(slice(None))
        self.obs = self._observe(slice(None))

    def restart(self, world: int, generator: np.random.Generator) -> None:
        """Put one world into a noisy rest pose, drawn as Gymnasium's v4 robots draw it."""
        model, data, noise = self.model, self._datas[world], self.task.reset_noise
        mujoco.mj_resetData(model, data)
        data.qpos[:] = model.qpos0 + generator.uniform(-noise, noise, model.nq)
        if self.task.normal_qvel:
            data.qvel[:] = noise * generator.standard_normal(model.nv)
        else:
            data.qvel[:] = generator.uniform(-noise, noise, model.nv)
        if model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE:
            # Up to 3.1 mj_forward did this, so that the first observation held a unit quaternion.
            mujoco.mju_normalize4(data.qpos[3:7])
        mujoco.mj_forward(model, data)
        for field in self._read:
            field.gather_one(world)
        row = slice(world, world + 1)
        self.position[row] = self._measure(row)
        self.obs[row] = self._observe(row)

    def step(self, actions: Floats) -> Outcome:
        """Advance all worlds by one action each, actions [N, act_dim] in the units of the action space.

        The position of Ant and Humanoid is the one MuJoCo computed last on its way, a little behind the final qpos, as
        in the original. A world whose simulation broke down is truncated and reported as having stood still.
        """
        self._fields["ctrl"].scatter(actions)
        if self._pool is None:
            self._simulate(self._datas)
        else:
            list(self._pool.map(self._simulate, self._shares))
        for field in (*self._read, self._warnings):
            field.gather()
        after, obs = self._measure(slice(None)), self._observe(slice(None))
        diverged = self._diverged(obs)
        if diverged.any():
            after[diverged], obs[diverged] = self.position[diverged], self.obs[diverged]
        motion = judge_motion(self.task, self.position, after, actions, self.dt)
        # info holds parts of `after`, which a later restart must not touch.
        self.position, self.obs = after.copy(), obs
        return Outcome(
            next_obs=obs.copy(),
            reward=motion.reward,
            cost=motion.cost,
            constraint=motion.constraint,
            terminated=self._unhealthy() & ~diverged,
            truncated=diverged,
            info=motion.info,
        )

    def get_state(self) -> dict[str, NDArray[Any]]:
        """All that the next step depends on; the position lags behind qpos and cannot be recomputed from it."""
        for name in _SAVED:
            self._fields[name].gather()
        saved = {name: self._fields[name].values.copy() for name in _SAVED}
        return {**saved, "position": self.position.copy(), "last_obs": self.obs.copy()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state of `get_state`."""
        for data in self._datas:
            mujoco.mj_resetData(self.model, data)
        for name in _SAVED:
            self._fields[name].scatter(state[name])
        self.position, self.obs = np.array(state["position"]), np.array(state["last_obs"])

    def qpos(self, world: int) -> Floats:
        """The generalised position of one world [nq], as it now is in the simulator."""
        return self._datas[world].qpos

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _simulate(self, datas: Sequence[mujoco.MjData]) -> None:
        for data in datas:
            mujoco.mj_step(self.model, data, self.task.frame_skip)
            if "cfrc_ext" in self.task.extra_obs:
                # mj_step leaves the contact forces on bodies out.
                mujoco.mj_rnePostConstraint(self.model, data)

    def _measure(self, rows: slice) -> Floats:
        """Positions [n, 1 or 2] of these worlds, along x or in the plane."""
        values = self._fields[self.task.position].values[rows]
        if self.task.position == "qpos":
            return values[:, : self.task.root_joints].copy()
        if self.task.position == "xpos":
            return values[:, _TORSO, :2].copy()
        mass = self.model.body_mass
        return ((mass[:, None] * values).sum(axis=1) / mass.sum())[:, :2]

    def _observe(self, rows: slice) -> Floats:
        extra = [self._fields[name].values[rows] for name in self.task.extra_obs]
        extra = [values.reshape(len(values), -1) for values in extra]
        return observe(self.task, self._fields["qpos"].values[rows], self._fields["qvel"].values[rows], extra)

    def _diverged(self, obs: Floats) -> NDArray[np.bool_]:
        """Worlds that MuJoCo gave up on and put back, or whose observation [obs_dim] is beyond all bounds."""
        broke_down = breakdowns(self._warnings.values)
        return np.logical_or(broke_down, ~(np.abs(obs) <= OBS_BOUND).all(axis=1))

    def _unhealthy(self) -> NDArray[np.bool_]:
        if self.task.healthy is None:
            return np.zeros(len(self._datas), bool)
        return ~self.task.healthy(self._fields["qpos"].values, self._fields["qvel"].values)
