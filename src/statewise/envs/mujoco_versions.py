"""What changed in MuJoCo since 2.3.3, under which the original tasks were made, and its undoing where there is one."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import mujoco

VERSION: tuple[int, ...] = tuple(int(part) for part in mujoco.__version__.split(".")[:2])
CAN_SLEEP = VERSION >= (3, 4)


def undo_solver_tolerance(model: mujoco.MjModel) -> None:
    """The solver stops relative to the trace of the inertia matrix since 3.17, which is too early for 1e-8."""
    if VERSION >= (3, 17):
        model.opt.tolerance = 1e-12


def undo_added_margins(model: mujoco.MjModel) -> None:
    """The margins of two geoms add up since 3.5; before, the larger held. For models whose margins are all the same."""
    if VERSION >= (3, 5):
        model.geom_margin *= 0.5


def undo_weld_weights(model: mujoco.MjModel) -> None:
    """The rotational rows of a weld use the rotational inverse weight since 3.0; before, the translational one."""
    for i in range(model.neq):
        body = model.eq_obj2id[i]
        model.body_invweight0[body, 1] = model.body_invweight0[body, 0]


def undo_cylinder_collisions(model: mujoco.MjModel) -> None:
    """Cylinders collide by another algorithm since 3.3; from 3.4 on there is no way back."""
    if VERSION < (3, 4):
        model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_NATIVECCD
