"""N worlds of one navigation task: layouts drawn, robots driven, verdicts passed, all as arrays."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from statewise.envs.navigation.layout import LayoutError, LayoutSampler, Streams
from statewise.envs.navigation.lidar import BINS, Lidar
from statewise.envs.navigation.places import Places, check_task, make_plan, read_places
from statewise.envs.navigation.robots import FRAME_SKIP
from statewise.envs.navigation.scene import build_scene, gremlin_path
from statewise.envs.navigation.simulation import simulate
from statewise.envs.navigation.task import Verdict, View
from statewise.envs.vector import Outcome, require_positive
from statewise.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from statewise.envs.navigation.robots import Robot
    from statewise.envs.navigation.scene import Slot
    from statewise.envs.navigation.task import NavigationTask

    Floats = NDArray[np.float64]

SMALLEST = 1e-6
"""The least violation, m: that of a contact whose margin, a surrogate, says that there is none."""
_ROBOT_BODY = 1
_TURN = 2.0 * np.pi


class NavigationWorlds:
    """N worlds of a task for a robot; time limits and resets are the caller's.

    threads: the worlds are shared out among so many; the results don't depend on their number. sleep: let what lies
    still sleep, where MuJoCo can and the task has something that may lie still.
    """

    def __init__(
        self, task: NavigationTask, robot: Robot, num_envs: int, *, threads: int = 1, sleep: bool = True
    ) -> None:
        require_positive(num_envs=num_envs, threads=threads)
        check_task(task)
        self.task, self.robot = task, robot
        sleep = sleep and any(each.kind.body == "free" for each in task.objects)
        self.scene = build_scene(robot, task.objects, sleep=sleep)
        model = self.scene.model
        self.dt = model.opt.timestep * FRAME_SKIP
        self.plan = make_plan(task)
        self._layouts = LayoutSampler(self.plan)
        self.streams = Streams(num_envs)
        self.layout_xy = np.zeros((num_envs, *self.plan.low.shape))
        self.yaw = np.zeros(self.layout_xy.shape[:2])
        self._simulation = simulate(model, num_envs, FRAME_SKIP, threads)
        self._gremlins = [slot for slot in self.scene.slots.values() if slot.objects.kind.body == "gremlin"]
        self._mocap = np.zeros((num_envs, model.nmocap, 3))
        self._mocap_path = np.zeros((num_envs, FRAME_SKIP, model.nmocap, 3))
        self._seen = [self.scene.slots[kind] for kind in task.lidars]
        self._counts = tuple(slot.objects.count for slot in self._seen)
        self._lidar = Lidar(num_envs, self._counts, task.lidar_reach)
        # Places on the ground, of what is seen first, so that the lidars take them as they are.
        self._places = np.zeros((num_envs, len(self.plan.low) - 1, 3))
        self._distance = np.zeros(self._places.shape[:2])
        self.view = self._make_view(num_envs)
        self._position = self.view.position[:, None]
        self._offset = np.zeros_like(self._places)
        self._seen_offset = self._offset[:, : sum(self._counts)]
        self._free = {kind: self._movable(slot) for kind, slot in self.scene.slots.items() if slot.bodies}
        self._readings = self._simulation.values["sensordata"][:, : robot.readings]
        self.obs = np.zeros((num_envs, robot.observed + BINS * len(self._seen)))

    def restart(self, world: int, seed: int | None, places: Places | None = None) -> None:
        """Draw a new layout for one world, from a stream started with `seed` or from where the stream stands.

        places: what stands where it is told. LayoutError when there is no room.
        """
        if seed is not None:
            self.streams.seed(world, seed)
        stream = self.streams.of(world)
        places = places or Places()
        xy = self._layouts.draw(stream, places.xy)
        yaw = np.array([_TURN * stream.random_sample() for _ in range(len(xy))])
        for slot in self.scene.slots.values():
            if not slot.objects.kind.turned:
                yaw[slot.rows] = slot.objects.yaws or 0.0
        for row, angle in places.yaw.items():
            yaw[row] = angle
        self.place(world, xy, yaw)
        self._look()
        self.view.given = places.kinds
        self.task.begin(self.view, world, stream)

    def places(self, options: Mapping[str, Any] | None) -> Places:
        """The places that `options` of a reset name; ValueError where they don't fit the task."""
        return read_places(options, self.scene.slots)

    def place(self, world: int, xy: Floats, yaw: Floats) -> None:
        """Put robot and objects of one world at rest at xy [n, 2] with yaw [n], the robot first."""
        self.layout_xy[world], self.yaw[world] = xy, yaw
        qpos, mocap_pos, mocap_quat = self.scene.rest(xy, yaw)
        self._simulation.place(world, qpos, mocap_pos, mocap_quat)
        self._mocap[world] = mocap_pos
        for kind, slot in self.scene.slots.items():
            self.view.xy[kind][world] = slot.objects.at or xy[slot.rows]

    def observe_all(self) -> Floats:
        """Take all worlds as they are in the simulator; returns `obs` [N, obs_dim]."""
        self._look()
        self.obs = self._observe()
        return self.obs

    def step(self, actions: Floats) -> Outcome:
        """Advance all worlds by one action each, actions [N, 2]; what is beyond [-1, 1] is clipped, by MuJoCo.

        A world whose simulation broke down is truncated and reported as having stood still.
        """
        self.streams.skip()
        path = self._path() if self._gremlins else None
        self._simulation.step(actions, path)
        self._look()
        verdict = self._judge()
        broken = self._simulation.broken()
        some_broke = np.count_nonzero(broken) > 0  # faster than any() on a few worlds
        if some_broke:
            verdict = _silenced(verdict, broken)
        terminated = np.zeros(len(broken), bool)
        if np.count_nonzero(verdict.met):
            terminated = self._renew(verdict.met)
            self._look()
        obs = self._observe()
        if some_broke:
            obs[broken] = self.obs[broken]
        self.obs = obs
        return self._outcome(verdict, terminated, broken)

    def get_state(self) -> dict[str, NDArray[Any]]:
        """All that the future depends on, with a leading axis N."""
        places = {f"xy_{kind}": self.view.xy[kind].copy() for kind in self.scene.slots}
        memory = {f"task_{name}": values.copy() for name, values in self.view.memory.items()}
        kept = {"layout_xy": self.layout_xy.copy(), "yaw": self.yaw.copy(), "last_obs": self.obs.copy()}
        return {**self._simulation.get_state(), **places, **memory, **kept, **self.streams.pack()}

    def set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go back to a state of `get_state`."""
        self._simulation.set_state(state)
        for kind in self.scene.slots:
            self.view.xy[kind][...] = state[f"xy_{kind}"]
        for name, values in self.view.memory.items():
            values[...] = state[f"task_{name}"]
        self.layout_xy, self.yaw = np.array(state["layout_xy"]), np.array(state["yaw"])
        self.obs = np.array(state["last_obs"])
        for world in range(len(self.obs)):
            self._mocap[world] = self.scene.rest(self.layout_xy[world], self.yaw[world])[1]
        self.streams.unpack(state["stream_key"], state["stream_position"], state["stream_owed"])

    def observe_at(self, poses: Floats, velocities: Floats | None = None, world: int = 0) -> Floats:
        """What the robot of a world would observe if it stood elsewhere, all objects being where they are.

        poses: [M, 3] of (x, y, yaw), m and rad. velocities: [M, 3] of (v_x, v_y, yaw rate) in the world, m/s and rad/s;
        at rest when left out. Returns [M, obs_dim]. The accelerometer's readings are those without control.
        """
        model, robot = self.scene.model, self.robot
        velocities = np.zeros_like(poses) if velocities is None else velocities
        data = mujoco.MjData(model)
        data.mocap_pos[:] = self._mocap[world]
        qpos = self._simulation.values["qpos"][world]
        count = len(poses)
        readings, rotation = np.empty((count, robot.readings)), np.empty((count, 3, 3))
        position = np.empty((count, 3))
        for i, (pose, velocity) in enumerate(zip(poses, velocities, strict=True)):
            placed, moving = robot.pose(*pose), robot.motion(*velocity)
            data.qpos[:] = qpos
            data.qpos[: len(placed)], data.qvel[: len(moving)] = placed, moving
            data.qacc_warmstart[:] = 0.0
            mujoco.mj_forward(model, data)
            readings[i] = data.sensordata[: robot.readings]
            position[i], rotation[i] = data.xpos[_ROBOT_BODY], data.xmat[_ROBOT_BODY].reshape(3, 3)
        lidar = Lidar(count, self._counts, self.task.lidar_reach)
        seen = lidar.measure(self._places[None, world, : sum(self._counts)] - position[:, None], rotation)
        for kind, hidden in self.task.hidden(self.view).items():
            if hidden[world]:
                seen[:, self._bins(kind)] = 0.0
        return np.concatenate([robot.observe(readings), seen], axis=1)

    def qpos(self, world: int) -> Floats:
        """The generalised position of one world [nq], as it now is in the simulator."""
        return self._simulation.values["qpos"][world]

    def dragged(self, world: int) -> Floats:
        """How far [3] what drags the gremlins of a world is from where they were placed, m."""
        time = self._simulation.time()[world : world + 1]
        return gremlin_path(time, self.scene.model.opt.timestep)[0, 0] * (time > 0.0)

    def close(self) -> None:
        """Stop the threads."""
        self._simulation.close()

    def _judge(self) -> Verdict:
        name, shape = type(self.task).__name__, (len(self.obs),)
        try:
            verdict = self.task.judge(self.view)
        except Exception as error:
            raise EnvironmentFault(f"{name}.judge raised {type(error).__name__}: {error}") from error
        fields = {"reward": verdict.reward, "margin": verdict.margin, "met": verdict.met, **verdict.costs}
        for field, values in fields.items():
            if np.shape(values) != shape:
                raise EnvironmentFault(f"{name}.judge: {field} has shape {np.shape(values)}; it must be {shape}")
        return verdict

    def _make_view(self, num_envs: int) -> View:
        values = self._simulation.values
        view = View(
            position=values["xpos"][:, _ROBOT_BODY],
            rotation=values["xmat"][:, _ROBOT_BODY].reshape(num_envs, 3, 3),
            velocity=values["qvel"][:, :2],
            plan=self.plan,
            memory=self.task.memory(num_envs),
        )
        first = 0
        for kind in dict.fromkeys((*self.task.lidars, *self.scene.slots)):
            slot = self.scene.slots[kind]
            view.xy[kind] = self._places[:, first : first + slot.objects.count, :2]
            view.distance[kind] = self._distance[:, first : first + slot.objects.count]
            first += slot.objects.count
            if slot.touch >= 0:
                view.touching[kind] = values["sensordata"][:, slot.touch : slot.touch + slot.objects.count]
        return view

    def _movable(self, slot: Slot) -> tuple[Floats, Floats]:
        """Places [N, count, 2] and velocities [N, count, 3] of what may move, as views of the simulator's."""
        values, first, count = self._simulation.values, slot.bodies[0], slot.objects.count
        joints = values["qvel"][:, slot.qvel : slot.qvel + 6 * count].reshape(-1, count, 6)
        return values["xpos"][:, first : first + count, :2], joints[..., :3]

    def _look(self) -> None:
        """Bring the view up to date with the simulator."""
        view = self.view
        for kind, (places, velocities) in self._free.items():
            view.xy[kind][...] = places
            view.speed[kind] = np.sqrt(np.square(velocities).sum(axis=-1))
        np.subtract(self._places, self._position, out=self._offset)
        np.hypot(self._offset[..., 0], self._offset[..., 1], out=self._distance)

    def _path(self) -> Floats:
        """Positions of the mocap bodies in front of every substep [N, substeps, nmocap, 3]."""
        moved = gremlin_path(self._simulation.time(), self.scene.model.opt.timestep)[:, :, None]
        path = self._mocap_path
        path[...] = self._mocap[:, None]
        for slot in self._gremlins:
            path[:, :, slot.mocap : slot.mocap + slot.objects.count] += moved
        return path

    def _renew(self, met: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Set new goals where they were met; returns where there was no room for one."""
        terminated = np.zeros(len(met), bool)
        for world in np.flatnonzero(met):
            try:
                self.task.renew(self.view, int(world), self.streams.of(int(world)))
            except LayoutError:
                terminated[world] = True
        return terminated

    def _observe(self) -> Floats:
        view = self.view
        seen = self._lidar.measure(self._seen_offset, view.rotation)
        for kind, hidden in self.task.hidden(view).items():
            seen[hidden, self._bins(kind)] = 0.0
        return np.concatenate([self.robot.observe(self._readings), seen], axis=1)

    def _bins(self, kind: str) -> slice:
        first = BINS * self.task.lidars.index(kind)
        return slice(first, first + BINS)

    def _outcome(self, verdict: Verdict, terminated: NDArray[np.bool_], broken: NDArray[np.bool_]) -> Outcome:
        cost = np.zeros(len(broken))
        for each in verdict.costs.values():
            cost = np.fmax(cost, each)
        return Outcome(
            next_obs=self.obs.copy(),
            reward=verdict.reward,
            cost=cost,
            constraint=np.where(cost > 0.0, np.maximum(verdict.margin, SMALLEST), np.minimum(verdict.margin, 0.0)),
            terminated=terminated,
            truncated=broken,
            info={**verdict.costs, "cost_sum": cost, "goal_met": verdict.met},
        )


def _silenced(verdict: Verdict, worlds: NDArray[np.bool_]) -> Verdict:
    """The verdict with nothing earned and nothing cost in these worlds."""
    costs = {name: np.where(worlds, 0.0, cost) for name, cost in verdict.costs.items()}
    reward = np.where(worlds, 0.0, verdict.reward)
    margin = np.where(worlds, 0.0, verdict.margin)
    return Verdict(reward, costs, margin, verdict.met & ~worlds)
