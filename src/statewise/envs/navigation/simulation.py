"""N simulations of one model, advanced together: by MuJoCo's own batch where it can, by a loop where it cannot.

Both give the same bits. The batch runs without Python's lock. The loop keeps an `MjData` for each simulation, runs on
every MuJoCo, and can be told what sleeps.
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
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    State = dict[str, NDArray[Any]]

_READ = ("qpos", "qvel", "xpos", "xmat", "sensordata")
_SAVED = ("qpos", "qvel", "qacc_warmstart", "time", "ctrl", "mocap_pos", "mocap_quat")
_SLEEP_ARRAYS = ("tree_asleep", "tree_awake", "body_awake", "body_awake_ind", "parent_awake_ind", "dof_awake_ind")
_SLEEP_COUNTS = ("ntree_awake", "nbody_awake", "nparent_awake", "nv_awake")
_SLEEP = (*_SLEEP_ARRAYS, *_SLEEP_COUNTS)


class Simulation(Protocol):
    """What the worlds ask of either. All arrays have a leading axis N and are current after every call."""

    values: dict[str, NDArray[Any]]
    """MjData's fields qpos, qvel, xpos, xmat and sensordata."""

    def step(self, ctrl: Floats, path: Floats | None) -> None:
        """Hold controls [N, nu] for the substeps of an environment step, then compute all at the state reached.

        path: positions of the mocap bodies in front of every substep [N, substeps, nmocap, 3], or None.
        """
        ...

    def place(self, world: int, qpos: Floats, mocap_pos: Floats, mocap_quat: Floats) -> None:
        """Put one simulation at rest at time 0 in a pose, and compute all there."""
        ...

    def time(self) -> Floats:
        """Of each simulation [N], s."""
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
    """The fastest that can run this model."""
    if num_envs == 1 or importlib.util.find_spec("mujoco.batch") is None:
        return Loop(model, num_envs, substeps, threads)
    return (Sleeping if _can_sleep(model) else Batched)(model, num_envs, substeps, threads)


def _can_sleep(model: mujoco.MjModel) -> bool:
    return bool(model.opt.enableflags & getattr(mujoco.mjtEnableBit, "mjENBL_SLEEP", 0))


def _asleep(datas: Iterable[mujoco.MjData]) -> State:
    """What sleeps in each of these, and for how long what is awake has been still."""
    rows = [[np.array(getattr(data, name)) for name in _SLEEP] for data in datas]
    return {name: np.array(column) for name, column in zip(_SLEEP, zip(*rows, strict=True), strict=True)}


class Batched:
    """`mujoco.batch.Batch`: one call advances all simulations, on as many threads as are given.

    It keeps nothing of a simulation but its state, or with `persistent` an `MjData`, which models with sleep need.
    """

    def __init__(
        self, model: mujoco.MjModel, num_envs: int, substeps: int, threads: int, *, persistent: bool = False
    ) -> None:
        from mujoco.batch import Batch  # pyright: ignore[reportMissingImports]  # from MuJoCo 3.17 on

        self._substeps = substeps
        self._batch = Batch(model, num_envs, nthread=threads, persistent=persistent)
        self.values = {name: self._batch.bind(name) for name in _READ}
        self._saved = {name: self._batch.bind(name) for name in _SAVED}
        self._inputs = int(mujoco.mjtState.mjSTATE_CTRL | mujoco.mjtState.mjSTATE_MOCAP_POS)
        self._warnings = self._batch.warning[..., 1]
        self._controls = np.zeros((num_envs, substeps, model.nu + 3 * model.nmocap))

    def step(self, ctrl: Floats, path: Floats | None, worlds: Sequence[int] | None = None) -> None:
        """As in `Simulation`, of these worlds alone if some are given."""
        if path is None:
            self._saved["ctrl"][:] = ctrl
            self._batch.step(worlds, nstep=self._substeps, stage=int(mujoco.mjtStage.mjSTAGE_ACC))
            return
        actions = ctrl.shape[1]
        self._controls[:, :, :actions] = ctrl[:, None]
        self._controls[:, :, actions:] = path.reshape(*self._controls.shape[:2], -1)
        controls = self._controls if worlds is None else self._controls[worlds]
        self._batch.rollout(self._substeps, controls, self._inputs, record=(), ids=worlds)
        self._batch.forward(worlds)

    def place(self, world: int, qpos: Floats, mocap_pos: Floats, mocap_quat: Floats) -> None:
        worlds = [world]
        self._batch.reset(worlds, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self._warnings[world] = 0
        for name, value in (("qpos", qpos), ("mocap_pos", mocap_pos), ("mocap_quat", mocap_quat)):
            self._saved[name][world] = value
        self._batch.forward(worlds)

    def time(self) -> Floats:
        return self._saved["time"]

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

    def datas(self) -> Iterable[mujoco.MjData]:
        """A copy of each simulation's `MjData`, all in the same place."""
        data = mujoco.MjData(self._batch.model)
        return (self._batch.get_data(world, data) for world in range(self._batch.nsim))

    def close(self) -> None:
        """Nothing to do: the threads end with the batch."""


class Sleeping:
    """`Batched` for models with sleep.

    A batch knows what sleeps but can't be told, so that what `set_state` brings back goes on in a `Loop`, to the same
    bits, until it is placed anew.
    """

    def __init__(self, model: mujoco.MjModel, num_envs: int, substeps: int, threads: int) -> None:
        self._batch = Batched(model, num_envs, substeps, threads, persistent=True)
        self._make_loop = functools.partial(Loop, model, num_envs, substeps, threads)
        self._loop: Loop | None = None
        self._looped = np.zeros(num_envs, bool)
        self.values = {name: values.copy() for name, values in self._batch.values.items()}

    def step(self, ctrl: Floats, path: Floats | None) -> None:
        if self._loop is None:
            self._batch.step(ctrl, path)
        else:
            self._batch.step(ctrl, path, np.flatnonzero(~self._looped).tolist())
            self._loop.step(ctrl, path, np.flatnonzero(self._looped).tolist())
        self._read()

    def place(self, world: int, qpos: Floats, mocap_pos: Floats, mocap_quat: Floats) -> None:
        self._batch.place(world, qpos, mocap_pos, mocap_quat)
        self._looped[world] = False
        if self._loop is not None and not self._looped.any():
            self._loop.close()
            self._loop = None
        self._read()

    def time(self) -> Floats:
        time = self._batch.time()
        return time if self._loop is None else np.where(self._looped, self._loop.time(), time)

    def broken(self) -> NDArray[np.bool_]:
        broken = self._batch.broken()
        return broken if self._loop is None else np.where(self._looped, self._loop.broken(), broken)

    def get_state(self) -> State:
        state = {**self._batch.get_state(), **_asleep(self._batch.datas())}
        if self._loop is not None:
            self._overwrite(state, self._loop.get_state())
        return state

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._loop = self._loop or self._make_loop()
        self._loop.set_state(state)
        self._looped[:] = True
        self._read()

    def close(self) -> None:
        """Stop the threads of the loop; those of the batch end with it."""
        if self._loop is not None:
            self._loop.close()

    def _read(self) -> None:
        for name, values in self.values.items():
            values[...] = self._batch.values[name]
        if self._loop is not None:
            self._overwrite(self.values, self._loop.values)

    def _overwrite(self, arrays: State, looped: State) -> None:
        """Put the loop's values where the loop has the world."""
        for name, values in arrays.items():
            values[self._looped] = looped[name][self._looped]


class Loop:
    """One `MjData` for each simulation, shared out among threads; results don't depend on their number."""

    def __init__(self, model: mujoco.MjModel, num_envs: int, substeps: int, threads: int) -> None:
        self._model, self._substeps = model, substeps
        self._datas = [mujoco.MjData(model) for _ in range(num_envs)]
        self._threads = min(threads, num_envs)
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        names = dict.fromkeys((*_READ, *_SAVED))
        self._fields = {name: Field(self._datas, name) for name in names}
        self._warnings = Field(self._datas, "warning.number")
        self._read = [*(self._fields[name] for name in _READ), self._warnings]
        self._stale = [field for field in self._read if not field.live]
        self.values = {name: self._fields[name].values for name in _READ}
        self._sleeps = _can_sleep(model)

    def step(self, ctrl: Floats, path: Floats | None, worlds: Sequence[int] | None = None) -> None:
        """As in `Simulation`, of these worlds alone if some are given."""
        self._fields["ctrl"].scatter(ctrl)
        advance = self._advance if path is None else functools.partial(self._follow, path)
        worlds = range(len(self._datas)) if worlds is None else worlds
        if self._pool is None:
            advance(worlds)
        else:
            list(self._pool.map(advance, np.array_split(worlds, self._threads)))
        for field in self._stale:
            field.gather()

    def place(self, world: int, qpos: Floats, mocap_pos: Floats, mocap_quat: Floats) -> None:
        data = self._datas[world]
        mujoco.mj_resetData(self._model, data)
        data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = qpos, mocap_pos, mocap_quat
        mujoco.mj_forward(self._model, data)
        for field in self._read:
            field.gather_one(world)

    def time(self) -> Floats:
        self._fields["time"].gather()
        return self._fields["time"].values

    def broken(self) -> NDArray[np.bool_]:
        return breakdowns(self._warnings.values)

    def get_state(self) -> State:
        for name in _SAVED:
            self._fields[name].gather()
        state = {name: self._fields[name].values.copy() for name in _SAVED}
        state["warnings"] = self._warnings.values.copy()
        return {**state, **_asleep(self._datas)} if self._sleeps else state

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

    def _advance(self, worlds: Sequence[int]) -> None:
        model, substeps = self._model, self._substeps
        for world in worlds:
            data = self._datas[world]
            mujoco.mj_step(model, data, substeps)
            mujoco.mj_forward(model, data)

    def _follow(self, path: Floats, worlds: Sequence[int]) -> None:
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
