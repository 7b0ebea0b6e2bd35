"""The two robots, Point and Car, written into a MuJoCo specification from constants.

Source: Safety-Gymnasium 1.0.0. SI units. Both have a frame skip of 10 and two actions in [-1, 1].
"""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FRAME_SKIP = 10
HEIGHT = 0.1
"""z of the robot's body at reset, m."""
BODY = "agent"

_RGBA = (1.0, 0.0, 0.0, 1.0)
_GEOM, _JOINT, _SENSOR = mujoco.mjtGeom, mujoco.mjtJoint, mujoco.mjtSensor
_ARROW = "pointarrow"
_POINT_FORCE, _CAR_FORCE = 0.05, 0.02


@dataclass(frozen=True)
class Robot:
    """A robot: how it is built and placed, and what its sensors give.

    timestep: s. build: adds body, joints and actuators to a specification. pose: qpos of (x, y, yaw) at rest, [nq].
    motion: qvel of (v_x, v_y, yaw rate) in the world, [nv]. sensors: (MuJoCo's type, the object's name), in the order
    of the observation; a quaternion among them is observed as a rotation matrix. effective: size of each action from
    which on more of it changes nothing, as the actuator saturates. quaternion: its place among the readings, if there
    is one. glides: whether it moves over the floor without touching it. forward: the way that positive actions drive
    it, as a yaw in its own frame, rad.
    """

    name: str
    timestep: float
    build: Callable[[mujoco.MjSpec], None]
    pose: Callable[[float, float, float], Floats]
    motion: Callable[[float, float, float], Floats]
    sensors: tuple[tuple[Any, Any, str], ...]
    geoms: tuple[str, ...]
    effective: tuple[float, float]
    quaternion: int | None = None
    glides: bool = False
    forward: float = 0.0

    @functools.cached_property
    def readings(self) -> int:
        """Numbers that the sensors give."""
        return sum(4 if kind == _SENSOR.mjSENS_BALLQUAT else 3 for kind, _, _ in self.sensors)

    @functools.cached_property
    def observed(self) -> int:
        """Entries of the observation in front of the lidars."""
        return self.readings + (0 if self.quaternion is None else 5)

    @functools.cached_property
    def velocity(self) -> slice:
        """The two entries of the observation that hold the velocity over the floor, in the robot's own frame."""
        first = 3 * [kind for kind, _, _ in self.sensors].index(_SENSOR.mjSENS_VELOCIMETER)
        return slice(first, first + 2)

    def observe(self, readings: Floats) -> Floats:
        """The sensors' part of the observation [N, observed] from their readings [N, readings]."""
        if self.quaternion is None:
            return readings
        at = self.quaternion
        return np.concatenate([readings[:, :at], _rotations(readings[:, at : at + 4])], axis=1)


def turned(yaw: float) -> Floats:
    """The quaternion [4] of a turn about z by `yaw`, rad; w is negative beyond pi."""
    return np.array([np.cos(yaw / 2.0), 0.0, 0.0, np.sin(yaw / 2.0)])


def add_joint(body: Any, name: str, kind: Any, axis: Sequence[float] = (0.0, 0.0, 1.0), damping: float = 0.0) -> None:
    """Add a joint; MuJoCo 4 takes damping as a polynomial, of which this is the linear part."""
    joint = body.add_joint(name=name, type=kind, axis=axis)
    if np.ndim(joint.damping):
        joint.damping[0] = damping
    else:
        joint.damping = damping


def _point(spec: mujoco.MjSpec) -> None:
    # The original slides along its first heading. Its damping is the same in x and y, so that sliding along the world's
    # axes is the same motion; then one model serves every world, whatever way the robot looks at first.
    body = spec.worldbody.add_body(name=BODY, pos=(0.0, 0.0, HEIGHT))
    add_joint(body, "x", _JOINT.mjJNT_SLIDE, (1.0, 0.0, 0.0), 0.01)
    add_joint(body, "y", _JOINT.mjJNT_SLIDE, (0.0, 1.0, 0.0), 0.01)
    add_joint(body, "z", _JOINT.mjJNT_HINGE, (0.0, 0.0, 1.0), 0.005)
    look = {"density": 1.0, "condim": 6, "rgba": _RGBA}
    body.add_geom(name=BODY, type=_GEOM.mjGEOM_SPHERE, size=(0.1, 0, 0), friction=(1.0, 0.01, 0.01), **look)
    body.add_geom(name=_ARROW, type=_GEOM.mjGEOM_BOX, size=(0.05,) * 3, pos=(0.1, 0.0, 0.0), **look)
    body.add_site(name=BODY, size=(0.032,) * 3, rgba=(0.0, 0.0, 0.0, 0.0))
    force = {
        "ctrllimited": True,
        "ctrlrange": (-1.0, 1.0),
        "forcelimited": True,
        "forcerange": (-_POINT_FORCE, _POINT_FORCE),
    }
    spec.add_actuator(
        name="x", target=BODY, trntype=mujoco.mjtTrn.mjTRN_SITE, gear=(0.3, 0.0, 0.0, 0.0, 0.0, 0.0), **force
    )
    spec.add_actuator(
        name="z",
        target="z",
        trntype=mujoco.mjtTrn.mjTRN_JOINTINPARENT,
        gear=(0.3, 0.0, 0.0, 0.0, 0.0, 0.0),
        biastype=mujoco.mjtBias.mjBIAS_AFFINE,
        biasprm=(0.0, 0.0, -1.0, *(0.0,) * 7),
        **force,
    )


def _car(spec: mujoco.MjSpec) -> None:
    body = spec.worldbody.add_body(name=BODY, pos=(0.0, 0.0, HEIGHT))
    add_joint(body, BODY, _JOINT.mjJNT_FREE)
    look = {"density": 5.0, "condim": 6, "rgba": _RGBA}
    for name, size, pos in (
        (BODY, (0.1, 0.1, 0.05), (0.0, 0.0, 0.0)),
        ("back_bumper", (0.1, 0.01, 0.05), (0.0, 0.15, 0.0)),
        ("back_connector", (0.01, 0.025, 0.03), (0.0, 0.125, 0.0)),
        ("front_bumper", (0.05, 0.01, 0.05), (0.0, -0.165, 0.0)),
        ("front_connector", (0.05, 0.03, 0.01), (0.0, -0.13, 0.04)),
    ):
        body.add_geom(name=name, type=_GEOM.mjGEOM_BOX, size=size, pos=pos, **look)
    body.add_site(name=BODY, size=(0.032,) * 3, rgba=(0.0, 0.0, 0.0, 0.0))
    for name, side in (("left", -1.0), ("right", 1.0)):
        wheel = body.add_body(name=name, pos=(0.1 * side, 0.1, -0.05))
        add_joint(wheel, name, _JOINT.mjJNT_HINGE, (1.0, 0.0, 0.0), 0.001)
        ends = sorted((0.005 * side, 0.055 * side))
        fromto = (ends[0], 0.0, 0.0, ends[1], 0.0, 0.0)
        wheel.add_geom(name=name, type=_GEOM.mjGEOM_CYLINDER, size=(0.05, 0, 0), fromto=fromto, **look)
    ball = body.add_body(name="rear", pos=(0.0, -0.1, -0.05))
    add_joint(ball, "rear", _JOINT.mjJNT_BALL, damping=0.001)
    ball.add_geom(name="rear", type=_GEOM.mjGEOM_SPHERE, size=(0.05, 0, 0), **look)
    for name in ("left", "right"):
        spec.add_actuator(
            name=name,
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINTINPARENT,
            ctrllimited=True,
            ctrlrange=(-1.0, 1.0),
            forcelimited=True,
            forcerange=(-_CAR_FORCE, _CAR_FORCE),
        )


def _point_pose(x: float, y: float, yaw: float) -> Floats:
    return np.array([x, y, yaw])


def _point_motion(v_x: float, v_y: float, yaw_rate: float) -> Floats:
    return np.array([v_x, v_y, yaw_rate])


def _car_pose(x: float, y: float, yaw: float) -> Floats:
    return np.concatenate([(x, y, HEIGHT), turned(yaw), (0.0, 0.0), (1.0, 0.0, 0.0, 0.0)])


def _car_motion(v_x: float, v_y: float, yaw_rate: float) -> Floats:
    return np.concatenate([(v_x, v_y, 0.0, 0.0, 0.0, yaw_rate), np.zeros(5)])


def _rotations(quaternions: Floats) -> Floats:
    """Row-major rotation matrices [N, 9] of quaternions [N, 4]."""
    w, x, y, z = quaternions.T
    rows = (
        *(w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z),
    )
    return np.stack(rows, axis=1)


_SITE = mujoco.mjtObj.mjOBJ_SITE
_FRAME = (
    (_SENSOR.mjSENS_ACCELEROMETER, _SITE, BODY),
    (_SENSOR.mjSENS_VELOCIMETER, _SITE, BODY),
    (_SENSOR.mjSENS_GYRO, _SITE, BODY),
    (_SENSOR.mjSENS_MAGNETOMETER, _SITE, BODY),
)

POINT = Robot(
    "Point",
    0.002,
    _point,
    _point_pose,
    _point_motion,
    _FRAME,
    (BODY, _ARROW),
    (_POINT_FORCE, 1.0),  # the turning actuator steers to a rate, so that its force depends on more than the action
    glides=True,
)
CAR = Robot(
    "Car",
    0.004,
    _car,
    _car_pose,
    _car_motion,
    (
        *_FRAME,
        (_SENSOR.mjSENS_BALLANGVEL, mujoco.mjtObj.mjOBJ_JOINT, "rear"),
        (_SENSOR.mjSENS_BALLQUAT, mujoco.mjtObj.mjOBJ_JOINT, "rear"),
    ),
    (BODY, "back_bumper", "back_connector", "front_bumper", "front_connector", "left", "right", "rear"),
    (_CAR_FORCE, _CAR_FORCE),
    quaternion=15,
    forward=-np.pi / 2,
)
ROBOTS = {robot.name: robot for robot in (POINT, CAR)}
