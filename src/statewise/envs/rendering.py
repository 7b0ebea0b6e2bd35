"""Pictures of a MuJoCo world, drawn off screen when first asked for."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import atexit
import ctypes.util
import importlib
import operator
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DEFAULT_SIZE = (480, 480)
"""Width and height of a frame, in pixels."""
LARGEST_SIZE = 4096
_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
"""Ways to draw without a screen, the faster one first, and the system library that each needs."""


class Camera:
    """One of the model's cameras, on a copy of the data so that the simulation is left alone.

    size: width and height of its pictures, in pixels; ValueError where they aren't two numbers from 1 to 4096.
    """

    def __init__(self, model: mujoco.MjModel, name: str = "track", *, size: tuple[int, int] = DEFAULT_SIZE) -> None:
        self._size = _checked_size(size)
        self._model, self._name = model, name
        self._data = mujoco.MjData(model)
        self._renderer: mujoco.Renderer | None = None
        self._free: Callable[[], object] = lambda: None

    def picture(
        self,
        qpos: NDArray[np.float64],
        mocap: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
        decorate: Callable[[Any], None] | None = None,
    ) -> NDArray[np.uint8]:
        """The pose `qpos` [nq] as an RGB image [height, width, 3]; RuntimeError when OpenGL cannot be had.

        mocap: positions [nmocap, 3] and quaternions [nmocap, 4]. decorate: adds to the `MjvScene` before it is drawn.
        """
        if self._renderer is None:
            self._renderer = _new_renderer(self._model, *self._size)
            self._free = weakref.finalize(self, self._renderer.close)
            atexit.register(self._free)  # in front of what OpenGL itself does at exit
        self._data.qpos[:] = qpos
        if mocap is not None:
            self._data.mocap_pos[:], self._data.mocap_quat[:] = mocap
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, camera=self._name)
        if decorate is not None:
            decorate(self._renderer.scene)
        return self._renderer.render()

    def close(self) -> None:
        """Free the renderer."""
        self._free()
        self._renderer = None


def choose_backend() -> None:
    """Let MuJoCo draw off screen where there is no screen and MUJOCO_GL does not say how.

    MuJoCo makes that choice when it is imported, so it is made to choose again. Nothing happens where neither EGL nor
    OSMesa is installed.
    """
    if sys.platform != "linux" or any(os.environ.get(name) for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY")):
        return
    for backend, library in _LIBRARIES.items():
        if ctypes.util.find_library(library):
            os.environ["MUJOCO_GL"] = backend
            # Where it is since MuJoCo 4.0, and where it was before.
            names = ("mujoco.rendering.classic.gl_context", "mujoco.gl_context")
            importlib.reload(next(sys.modules[name] for name in names if name in sys.modules))
            return


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        width, height = map(operator.index, size)
    except (TypeError, ValueError):
        width = height = 0
    if not (1 <= width <= LARGEST_SIZE and 1 <= height <= LARGEST_SIZE):
        raise ValueError(f"size is {size!r}; it must be a width and a height of 1 to {LARGEST_SIZE} pixels")
    return width, height


def _new_renderer(model: mujoco.MjModel, width: int, height: int) -> mujoco.Renderer:
    buffer = model.vis.global_
    buffer.offwidth, buffer.offheight = max(buffer.offwidth, width), max(buffer.offheight, height)
    try:
        choose_backend()
        return mujoco.Renderer(model, height, width)
    except Exception as error:
        raise RuntimeError(
            "no OpenGL to draw with: there is no screen, or MUJOCO_GL does not fit; install EGL (on Debian libegl1 and "
            "libgl1-mesa-dri) or OSMesa (libosmesa6), and set MUJOCO_GL=egl or MUJOCO_GL=osmesa, or leave it unset "
            f"({type(error).__name__}: {error})"
        ) from error
