"""N simulations of one model, advanced together: by MuJoCo's own batch where it can, by a loop where it cannot.

Both give the same bits. The batch keeps no simulation in memory but its state, and serves models without sleep; the
loop keeps one `MjData` each, which sleep needs, and runs on every MuJoCo.
"""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import functools
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol

import mujoco
import numpy as np

from statewise.envs.fields import Field, breakdowns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    State = dict[str, NDArray[Any]]

_READ = ("qpos", "qvel", "time", "xpos", "xmat", "sensordata")
_SAVED = ("qpos", "qvel", "qacc_warmstart", "time", "ctrl", "mocap_pos", "mocap_quat")
_SLEEP_ARRAYS = ("tree_asleep", "tree_awake", "body_awake", "body_awake_ind", "parent_awake_ind", "dof_awake_ind")
_SLEEP_COUNTS = ("ntree_awake", "nbody_awake", "nparent_awake", "nv_awake")


class Simulation(Protocol):
    """What the worlds ask of either. All arrays have a leading axis N and are current after every call."""

    values: dict[str, NDArray[Any]]
    """MjData's fields qpos, qvel, time, xpos, xmat and sensordata."""

    def step(self, ctrl: Floats, path: Floats | None) -> None:
        """Hold controls [N, nu] for the substeps of an environment step, then compute all at the state reached.

        path: positions of the mocap bodies in front of every substep [N, substeps, nmocap, 3], or None.
        """
        ...

    def place(self, world: int, qpos: Floats, mocap_pos: Floats, mocap_quat: Floats) -> None:
        """Put one simulation at rest at time 0 in a pose, and compute all there."""
        ...

    def broken(self) -> NDArray[np.bool_]:
        """Which simulations [N] MuJoCo has given up on and put back since they were last placed."""
        ...

    def get_state(self) -> State:
        """All that the future depends on."""
        ...

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state of `get_state`, to the bit."""
        ...

    def close(self) -> None:
        """Stop the threads."""
        ...


def simulate(model: mujoco.MjModel, num_envs: int, substeps: int, threads: int) -> Simulation:
    """The faster of the two that can run this model."""
    sleeps = bool(model.opt.enableflags & getattr(mujoco.mjtEnableBit, "mjENBL_SLEEP", 0))
    if num_envs == 1 or sleeps or importlib.util.find_spec("mujoco.batch") is None:
        return Loop(model, num_envs, substeps, threads)
    return Batched(model, num_envs, substeps, threads)


class Batched:
    """`mujoco.batch.Batch`: one call advances all simulations, on as many threads as are given."""

    def __init__(self, model: mujoco.MjModel, num_envs: int, substeps: int, threads: int) -> None:
        from mujoco.batch import Batch  # pyright: ignore[reportMissingImports]  # from MuJoCo 3.17 on

        self._substeps = substeps
        self._batch = Batch(model, num_envs, nthread=threads)
        self.values = {name: self._batch.bind(name) for name in _READ}
        self._saved = {name: self._batch.bind(name) for name in _SAVED}
        self._inputs = int(mujoco.mjtState.mjSTATE_CTRL | mujoco.mjtState.mjSTATE_MOCAP_POS)
        self._warnings = self._batch.warning[..., 1]
        self._controls = np.zeros((num_envs, substeps, model.nu + 3 * model.nmocap))

    def step(self, ctrl: Floats, path: Floats | None) -> None:
        if path is None:
            self._saved["ctrl"][:] = ctrl
            self._batch.step(nstep=self._substeps, stage=int(mujoco.mjtStage.mjSTAGE_ACC))
            return
        actions = ctrl.shape[1]
        self._controls[:, :, :actions] = ctrl[:, None]
        self._controls[:, :, actions:] = path.reshape(*self._controls.shape[:2], -1)
        self._batch.rollout(self._substeps, self._controls, self._inputs, record=())
        self._batch.forward()

    def place(self, world: int, qpos: Floats, mocap_pos: Floats, mocap_quat: Floats) -> None:
        worlds = [world]
        self._batch.reset(worlds, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self._warnings[world] = 0
        for name, value in (("qpos", qpos), ("mocap_pos", mocap_pos), ("mocap_quat", mocap_quat)):
            self._saved[name][world] = value
        self._batch.forward(worlds)

    def broken(self) -> NDArray[np.bool_]:
        return breakdowns(self._warnings)

    def get_state(self) -> State:
        return {**{name: value.copy() for name, value in self._saved.items()}, "warnings": self._warnings.copy()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        for name, value in self._saved.items():
            value[...] = state[name]
        # First, since the call below counts a state that is broken already.
        self._warnings[...] = state["warnings"]
        self._batch.forward()
        self._saved["qacc_warmstart"][...] = state["qacc_warmstart"]

    def close(self) -> None:
        """Nothing to do: the threads end with the batch."""


class Loop:
    """One `MjData` for each simulation, shared out among threads; results don't depend on their number."""

    def __init__(self, model: mujoco.MjModel, num_envs: int, substeps: int, threads: int) -> None:
        self._model, self._substeps = model, substeps
        self._datas = [mujoco.MjData(model) for _ in range(num_envs)]
        shares = np.array_split(np.arange(num_envs), min(threads, num_envs))
        self._shares: list[list[int]] = [share.tolist() for share in shares]
        self._pool = ThreadPoolExecutor(len(self._shares)) if len(self._shares) > 1 else None
        names = dict.fromkeys((*_READ, *_SAVED))
        self._fields = {name: Field(self._datas, name) for name in names}
        self._warnings = Field(self._datas, "warning.number")
        self._read = [*(self._fields[name] for name in _READ), self._warnings]
        self._stale = [field for field in self._read if not field.live]
        self.values = {name: self._fields[name].values for name in _READ}
        self._sleeps = bool(model.opt.enableflags & getattr(mujoco.mjtEnableBit, "mjENBL_SLEEP", 0))

    def step(self, ctrl: Floats, path: Floats | None) -> None:
        self._fields["ctrl"].scatter(ctrl)
        advance = self._advance if path is None else functools.partial(self._follow, path)
        if self._pool is None:
            advance(self._shares[0])
        else:
            list(self._pool.map(advance, self._shares))
        for field in self._stale:
            field.gather()

    def place(self, world: int, qpos: Floats, mocap_pos: Floats, mocap_quat: Floats) -> None:
        data = self._datas[world]
        mujoco.mj_resetData(self._model, data)
        data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = qpos, mocap_pos, mocap_quat
        mujoco.mj_forward(self._model, data)
        for field in self._read:
            field.gather_one(world)

    def broken(self) -> NDArray[np.bool_]:
        return breakdowns(self._warnings.values)

    def get_state(self) -> State:
        for name in _SAVED:
            self._fields[name].gather()
        state = {name: self._fields[name].values.copy() for name in _SAVED}
        state["warnings"] = self._warnings.values.copy()
        for name in (*_SLEEP_ARRAYS, *_SLEEP_COUNTS) if self._sleeps else ():
            state[name] = np.array([getattr(data, name) for data in self._datas])
        return state

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        for world, data in enumerate(self._datas):
            mujoco.mj_resetData(self._model, data)
            self._write(state, world)
            # What sleeps is not computed again: place it while all is awake, then put it to sleep.
            mujoco.mj_forward(self._model, data)
            for name in _SLEEP_ARRAYS if self._sleeps else ():
                getattr(data, name)[:] = state[name][world]
            for name in _SLEEP_COUNTS if self._sleeps else ():
                setattr(data, name, int(state[name][world]))
            if self._sleeps:
                mujoco.mj_forward(self._model, data)
            self._write(state, world)
            data.warning.number[:] = state["warnings"][world]
        for field in self._read:
            field.gather()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def _advance(self, worlds: list[int]) -> None:
        model, substeps = self._model, self._substeps
        for world in worlds:
            data = self._datas[world]
            mujoco.mj_step(model, data, substeps)
            mujoco.mj_forward(model, data)

    def _follow(self, path: Floats, worlds: list[int]) -> None:
        model = self._model
        for world in worlds:
            data, mocap = self._datas[world], self._datas[world].mocap_pos
            for position in path[world]:
                mocap[:] = position
                mujoco.mj_step(model, data)
            mujoco.mj_forward(model, data)

    def _write(self, state: Mapping[str, NDArray[Any]], world: int) -> None:
        data = self._datas[world]
        for name in _SAVED:
            if name == "time":
                data.time = float(state[name][world])
            else:
                getattr(data, name)[:] = state[name][world]
