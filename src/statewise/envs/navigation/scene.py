"""The MuJoCo model of a robot among a task's objects: one model for every world, whatever its layout.

All that differs between worlds is in the data: what is pushed has a free joint, buttons and what drags the gremlins are
mocap bodies, and what nothing can touch is left out. For pictures, the same model is built with those too, and lights.
"""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from statewise.envs.mujoco_versions import CAN_SLEEP, undo_cylinder_collisions, undo_solver_tolerance, undo_weld_weights
from statewise.envs.navigation.objects import FREE_DENSITY, GREMLIN_TRAVEL, Kind
from statewise.envs.navigation.robots import BODY, FRAME_SKIP, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from statewise.envs.navigation.objects import Objects
    from statewise.envs.navigation.robots import Robot

    Floats = NDArray[np.float64]

SLEEP_TOLERANCE = 1e-5
"""m/s; below the 1e-4 m/s from which a moving vase costs."""


_SHAPES = {
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "box": mujoco.mjtGeom.mjGEOM_BOX,
}
_FLOOR = "floor"
_SUBSTEPS = np.arange(FRAME_SKIP)
_HAUNTED = Kind("", "box", (0.1, 0.1, 0.1), 0.0, "ghost", (0.5, 0.0, 1.0, 0.1))


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the objects of one kind are in the data.

    first: index of the first object in a layout, the robot's being 0. bodies: rows of xpos, for what is free. qpos,
    qvel: where the first one's free joint starts; they follow each other. mocap: row of mocap_pos of the first one.
    touch: place of the first one's contact sensor among the sensor readings. -1 where there is none.
    """

    objects: Objects
    first: int
    bodies: tuple[int, ...] = ()
    qpos: int = -1
    qvel: int = -1
    mocap: int = -1
    touch: int = -1

    @property
    def rows(self) -> slice:
        """The objects in a layout."""
        return slice(self.first, self.first + self.objects.count)


@dataclass(frozen=True, slots=True)
class Scene:
    """A compiled model, and where to find the objects in its data, by the name of their kind."""

    robot: Robot
    model: mujoco.MjModel
    slots: dict[str, Slot]

    def rest(self, xy: Floats, yaw: Floats) -> tuple[Floats, Floats, Floats]:
        """qpos [nq], mocap_pos [nmocap, 3] and mocap_quat [nmocap, 4] of a layout at rest: xy [n, 2], yaw [n]."""
        model = self.model
        qpos = model.qpos0.copy()
        mocap_pos, mocap_quat = np.zeros((model.nmocap, 3)), np.tile((1.0, 0.0, 0.0, 0.0), (model.nmocap, 1))
        pose = self.robot.pose(xy[0, 0], xy[0, 1], yaw[0])
        qpos[: len(pose)] = pose
        for slot in self.slots.values():
            for i, row in enumerate(range(*slot.rows.indices(len(xy)))):
                place, turn = (*xy[row], slot.objects.kind.height), turned(yaw[row])
                if slot.qpos >= 0:
                    qpos[slot.qpos + 7 * i : slot.qpos + 7 * i + 7] = (*place, *turn)
                if slot.mocap >= 0:
                    mocap_pos[slot.mocap + i], mocap_quat[slot.mocap + i] = place, turn
        return qpos, mocap_pos, mocap_quat


def gremlin_path(start: Floats, timestep: float) -> Floats:
    """Where what drags the gremlins is, from its centre, in each substep of an environment step: [N, 10, 3], m.

    start: [N], the time before the step, s. They run clockwise, all in phase, 0.1 m above where they were placed.
    """
    time = start[:, None] + timestep * _SUBSTEPS
    path = np.empty((*time.shape, 3))
    path[..., 0], path[..., 1], path[..., 2] = GREMLIN_TRAVEL * np.sin(time), GREMLIN_TRAVEL * np.cos(time), 0.1
    return path


def build_scene(robot: Robot, objects: tuple[Objects, ...], *, sleep: bool = False, drawn: bool = False) -> Scene:
    """Compile the model of a robot among these objects.

    sleep: let what lies still sleep (from MuJoCo 3.4 on). drawn: for pictures; also what nothing can touch, as mocap
    bodies, and cameras and lights. The physics of both is the same.
    """
    spec = mujoco.MjSpec()
    spec.option.timestep = robot.timestep
    spec.compiler.degree = False
    spec.worldbody.add_geom(name=_FLOOR, type=mujoco.mjtGeom.mjGEOM_PLANE, size=(3.5, 3.5, 0.1), condim=6)
    robot.build(spec)
    for each in objects:
        if each.kind.body in ("free", "gremlin"):
            for i in range(each.count):
                body = spec.worldbody.add_body(name=f"{each.kind.name}{i}", pos=(0.0, 0.0, each.kind.height))
                body.add_joint(name=f"{each.kind.name}{i}", type=mujoco.mjtJoint.mjJNT_FREE)
                _add_geom(body, f"{each.kind.name}{i}", each.kind, solid=True)
    for each in objects:
        for i in range(each.count):
            _add_mocap(spec, f"{each.kind.name}{i}", each.kind, drawn=drawn)
    _add_sensors(spec, robot, objects)
    if drawn:
        _add_looks(spec)
    model = spec.compile()
    undo_weld_weights(model)
    undo_cylinder_collisions(model)
    undo_solver_tolerance(model)
    if robot.glides and all(each.kind.body == "ghost" for each in objects):
        # Nothing there can be touched: the search for contacts would find none.
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
    if sleep and CAN_SLEEP:
        model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_SLEEP
        model.opt.sleep_tolerance = SLEEP_TOLERANCE
    return Scene(robot, model, _find(model, objects))


def _add_geom(body: Any, name: str, kind: Kind, *, solid: bool) -> None:
    body.add_geom(
        name=name,
        type=_SHAPES[kind.shape],
        size=(*kind.size, 0.0, 0.0)[:3],
        density=FREE_DENSITY,
        condim=6,
        contype=int(solid),
        conaffinity=int(solid),
        rgba=kind.rgba,
    )


def _add_mocap(spec: mujoco.MjSpec, name: str, kind: Kind, *, drawn: bool) -> None:
    """What stands still, or moves along a path of its own, and may stand elsewhere in every world."""
    if kind.body == "free" or (kind.body == "ghost" and not drawn):
        return
    body = spec.worldbody.add_body(name=f"{name}_mocap", mocap=True, pos=(0.0, 0.0, kind.height))
    if kind.body != "gremlin":
        _add_geom(body, f"{name}_mocap", kind, solid=kind.body == "fixed")
        return
    if drawn:
        _add_geom(body, f"{name}_mocap", _HAUNTED, solid=False)
    weld = spec.add_equality(
        type=mujoco.mjtEq.mjEQ_WELD,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        name1=f"{name}_mocap",
        name2=name,
        solref=(0.02, 1.5),
    )
    # The relative pose is that of the model's rest, where the two coincide.
    weld.data[:] = 0.0
    weld.data[6] = weld.data[10] = 1.0


def _add_sensors(spec: mujoco.MjSpec, robot: Robot, objects: tuple[Objects, ...]) -> None:
    for i, (kind, owner, name) in enumerate(robot.sensors):
        spec.add_sensor(name=f"sensor{i}", type=kind, objtype=owner, objname=name)
    for each in objects:
        if each.kind.body == "ghost":
            continue
        suffix = "_mocap" if each.kind.body == "fixed" else ""
        for i in range(each.count):
            spec.add_sensor(
                name=f"touch_{each.kind.name}{i}",
                type=mujoco.mjtSensor.mjSENS_CONTACT,
                objtype=mujoco.mjtObj.mjOBJ_XBODY,
                objname=BODY,
                reftype=mujoco.mjtObj.mjOBJ_BODY,
                refname=f"{each.kind.name}{i}{suffix}",
                intprm=(1, 0, 1),  # data "found", not reduced, one slot
            )


def _add_looks(spec: mujoco.MjSpec) -> None:
    """Cameras, even light, and a floor of metre squares, on which motion shows."""
    spec.visual.headlight.ambient[:] = 0.55
    spec.visual.headlight.diffuse[:] = 0.15
    spec.visual.headlight.specular[:] = 0.0
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        dir=(0.4, 0.5, -1.0),
        diffuse=(0.4,) * 3,
        specular=(0.0,) * 3,
        castshadow=False,
    )
    look = {"builtin": mujoco.mjtBuiltin.mjBUILTIN_CHECKER, "rgb1": (0.87, 0.88, 0.86), "rgb2": (0.83, 0.84, 0.82)}
    spec.add_texture(name=_FLOOR, type=mujoco.mjtTexture.mjTEXTURE_2D, width=64, height=64, **look)
    material = spec.add_material(name=_FLOOR, texrepeat=(1.0, 1.0), texuniform=True)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = _FLOOR
    floor = spec.geom(_FLOOR)
    floor.material, floor.size = _FLOOR, (0.0, 0.0, 0.1)  # no edges; they are only drawn, collisions know none
    spec.add_texture(
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        rgb1=(0.9, 0.93, 0.96),
        rgb2=(0.9, 0.93, 0.96),
        width=16,
        height=16,
    )
    spec.worldbody.add_camera(name="top", pos=(0.0, 0.0, 5.4), fovy=45.0)
    spec.body(BODY).add_camera(
        name="track",
        mode=mujoco.mjtCamLight.mjCAMLIGHT_TRACK,
        pos=(0.0, -2.0, 1.7),
        xyaxes=(1.0, 0.0, 0.0, 0.0, 0.65, 0.76),
    )


def _find(model: mujoco.MjModel, objects: tuple[Objects, ...]) -> dict[str, Slot]:
    slots: dict[str, Slot] = {}
    first = 1
    for each in objects:
        name = each.kind.name
        found: dict[str, Any] = {}
        if each.kind.body in ("free", "gremlin"):
            joint = model.joint(f"{name}0").id
            found = {"qpos": int(model.jnt_qposadr[joint]), "qvel": int(model.jnt_dofadr[joint])}
            found["bodies"] = tuple(int(model.body(f"{name}{i}").id) for i in range(each.count))
        mocap = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_BODY, f"{name}0_mocap")
        if mocap >= 0:
            found["mocap"] = int(model.body_mocapid[mocap])
        if each.kind.body != "ghost":
            found["touch"] = int(model.sensor_adr[model.sensor(f"touch_{name}0").id])
        slots[name] = Slot(each, first, **found)
        first += each.count
    return slots
