"""Pictures of a MuJoCo world, drawn off screen when first asked for."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import atexit
import ctypes.util
import importlib
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_SIZE = 480
_LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa"}
"""Ways to draw without a screen, the faster one first, and the system library that each needs."""


class Camera:
    """One of the model's cameras, on a copy of the data so that the simulation is left alone."""

    def __init__(self, model: mujoco.MjModel, name: str = "track") -> None:
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
        """The pose `qpos` [nq] as an RGB image [480, 480, 3]; RuntimeError when OpenGL cannot be had.

        mocap: positions [nmocap, 3] and quaternions [nmocap, 4]. decorate: adds to the `MjvScene` before it is drawn.
        """
        if self._renderer is None:
            self._renderer = _new_renderer(self._model)
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


def _new_renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    try:
        choose_backend()
        return mujoco.Renderer(model, _SIZE, _SIZE)
    except Exception as error:
        raise RuntimeError(
            "no OpenGL to draw with: there is no screen, or MUJOCO_GL does not fit; install EGL (on Debian libegl1 and "
            "libgl1-mesa-dri) or OSMesa (libosmesa6), and set MUJOCO_GL=egl or MUJOCO_GL=osmesa, or leave it unset "
            f"({type(error).__name__}: {error})"
        ) from error
