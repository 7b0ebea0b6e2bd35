"""The six Velocity tasks: one table of constants, and the formulas over N worlds that read it.

Source: Safety-Gymnasium 1.0.0 (Safety...Velocity-v1) on the v4 robots of Gymnasium. SI units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Healthy = Callable[[Floats, Floats], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class VelocityTask:
    """The constants of one Velocity task.

    model: file among Gymnasium's MuJoCo assets. frame_skip: physics substeps in a step. threshold: m/s; a speed above
    it costs 1. planar: whether the speed is that in the plane rather than along x. position: the MjData field whose
    change gives the velocity: the root joints, the torso, or the mass centre of all bodies. root_joints: leading
    entries of qpos that the observation leaves out, and the number of coordinates of the position.
    reward = forward_weight * v_x + alive_reward - control_weight * sum(action^2).
    reset_noise: half width of the uniform noise (or, for qvel with normal_qvel, the standard deviation) at reset.
    info_names: what the forward, control and alive terms are called in info; empty where they are not given.
    extra_obs: MjData fields that follow qpos and qvel in the observation.
    """

    description: str
    model: str
    frame_skip: int
    threshold: float
    control_weight: float
    reset_noise: float
    root_joints: Literal[1, 2]
    planar: bool = False
    position: Literal["qpos", "xpos", "xipos"] = "qpos"
    forward_weight: float = 1.0
    alive_reward: float = 0.0
    normal_qvel: bool = False
    clip_qvel: float | None = None
    healthy: Healthy | None = None
    info_names: tuple[str, ...] = ()
    extra_obs: tuple[str, ...] = ()
    training_reward_scale: float = 0.01


def _ant_healthy(qpos: Floats, qvel: Floats) -> NDArray[np.bool_]:
    return (qpos[:, 2] >= 0.2) & (qpos[:, 2] <= 1.0)


def _hopper_healthy(qpos: Floats, qvel: Floats) -> NDArray[np.bool_]:
    bounded = (np.abs(qpos[:, 2:]) < 100.0).all(axis=1) & (np.abs(qvel) < 100.0).all(axis=1)
    return bounded & (qpos[:, 1] > 0.7) & (np.abs(qpos[:, 2]) < 0.2)


def _walker_healthy(qpos: Floats, qvel: Floats) -> NDArray[np.bool_]:
    return (qpos[:, 1] > 0.8) & (qpos[:, 1] < 2.0) & (np.abs(qpos[:, 2]) < 1.0)


def _humanoid_healthy(qpos: Floats, qvel: Floats) -> NDArray[np.bool_]:
    return (qpos[:, 2] > 1.0) & (qpos[:, 2] < 2.0)


VELOCITY_TASKS: dict[str, VelocityTask] = {
    "SafetySwimmerVelocity-v1": VelocityTask(
        description="swim forward, at most 0.2282 m/s along x",
        model="swimmer.xml",
        frame_skip=4,
        threshold=0.2282,
        control_weight=1e-4,
        reset_noise=0.1,
        root_joints=2,
        info_names=("reward_fwd", "reward_ctrl"),
        training_reward_scale=1.0,
    ),
    "SafetyHalfCheetahVelocity-v1": VelocityTask(
        description="run forward, at most 3.2096 m/s along x",
        model="half_cheetah.xml",
        frame_skip=5,
        threshold=3.2096,
        control_weight=0.1,
        reset_noise=0.1,
        root_joints=1,
        normal_qvel=True,
        info_names=("reward_run", "reward_ctrl"),
    ),
    "SafetyAntVelocity-v1": VelocityTask(
        description="walk forward on four legs, at most 2.6222 m/s in the plane",
        model="ant.xml",
        frame_skip=5,
        threshold=2.6222,
        control_weight=0.5,
        reset_noise=0.1,
        root_joints=2,
        planar=True,
        position="xpos",
        alive_reward=1.0,
        normal_qvel=True,
        healthy=_ant_healthy,
        info_names=("reward_forward", "reward_ctrl", "reward_survive"),
    ),
    "SafetyHopperVelocity-v1": VelocityTask(
        description="hop forward on one leg, at most 0.7402 m/s along x",
        model="hopper.xml",
        frame_skip=4,
        threshold=0.7402,
        control_weight=1e-3,
        reset_noise=5e-3,
        root_joints=1,
        alive_reward=1.0,
        clip_qvel=10.0,
        healthy=_hopper_healthy,
    ),
    "SafetyWalker2dVelocity-v1": VelocityTask(
        description="walk forward on two legs, at most 2.3415 m/s along x",
        model="walker2d.xml",
        frame_skip=4,
        threshold=2.3415,
        control_weight=1e-3,
        reset_noise=5e-3,
        root_joints=1,
        alive_reward=1.0,
        clip_qvel=10.0,
        healthy=_walker_healthy,
    ),
    "SafetyHumanoidVelocity-v1": VelocityTask(
        description="walk forward as a humanoid, at most 1.4149 m/s in the plane",
        model="humanoid.xml",
        frame_skip=5,
        threshold=1.4149,
        control_weight=0.1,
        reset_noise=1e-2,
        root_joints=2,
        planar=True,
        position="xipos",
        forward_weight=1.25,
        alive_reward=5.0,
        healthy=_humanoid_healthy,
        info_names=("reward_linvel", "reward_quadctrl", "reward_alive"),
        extra_obs=("cinert", "cvel", "qfrc_actuator", "cfrc_ext"),
    ),
}


class Motion(NamedTuple):
    """Reward, cost (0 or 1), constraint h = speed - threshold in m/s, all [N], and info with arrays [N]."""

    reward: Floats
    cost: Floats
    constraint: Floats
    info: dict[str, Floats]


LARGEST_CONTROL = 1e10
"""MuJoCo's mjMAXVAL."""


def judge_motion(task: VelocityTask, before: Floats, after: Floats, actions: Floats, dt: float) -> Motion:
    """Reward, cost and info of moving from `before` to `after` [N, 1 or 2] (m) within dt seconds."""
    velocity = (after - before) / dt
    speed = np.sqrt((velocity**2).sum(axis=1)) if task.planar else velocity[:, 0]
    forward = task.forward_weight * velocity[:, 0]
    # Beyond that MuJoCo takes a control for broken, and its square might not be finite.
    control = task.control_weight * np.square(np.clip(actions, -LARGEST_CONTROL, LARGEST_CONTROL)).sum(axis=1)
    reward = forward + task.alive_reward - control
    info = {"x_position": after[:, 0], "x_velocity": velocity[:, 0]}
    if after.shape[1] == 2:
        info |= {
            "y_position": after[:, 1],
            "y_velocity": velocity[:, 1],
            "distance_from_origin": np.sqrt((after**2).sum(axis=1)),
            "forward_reward": forward,
        }
    terms = (forward, -control, np.full(len(forward), task.alive_reward))
    info |= dict(zip(task.info_names, terms, strict=False))
    return Motion(reward, (speed > task.threshold).astype(np.float64), speed - task.threshold, info)


def observe(task: VelocityTask, qpos: Floats, qvel: Floats, extra: list[Floats]) -> Floats:
    """Observations [N, obs_dim] from qpos [N, nq], qvel [N, nv] and the task's extra fields [N, n]."""
    if task.clip_qvel is not None:
        qvel = np.clip(qvel, -task.clip_qvel, task.clip_qvel)
    return np.concatenate([qpos[:, task.root_joints :], qvel, *extra], axis=1)
