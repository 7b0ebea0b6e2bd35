"""Pictures of a MuJoCo world, drawn off screen when first asked for."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIZE = 480


class Camera:
    """The model's camera `track`, on a copy of the data so that the simulation is left alone."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._data = mujoco.MjData(model)
        self._renderer: mujoco.Renderer | None = None

    def picture(self, qpos: NDArray[np.float64]) -> NDArray[np.uint8]:
        """The pose `qpos` [nq] as an RGB image [480, 480, 3]; RuntimeError when OpenGL cannot be had."""
        if self._renderer is None:
            self._renderer = _new_renderer(self._model)
        self._data.qpos[:] = qpos
        mujoco.mj_forward(self._model, self._data)
        self._renderer.update_scene(self._data, camera="track")
        return self._renderer.render()

    def close(self) -> None:
        """Free the renderer."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def _new_renderer(model: mujoco.MjModel) -> mujoco.Renderer:
    try:
        return mujoco.Renderer(model, _SIZE, _SIZE)
    except Exception as error:
        raise RuntimeError(
            "no off-screen OpenGL for rendering: install EGL or OSMesa and set MUJOCO_GL=egl or MUJOCO_GL=osmesa "
            f"before Python starts ({type(error).__name__}: {error})"
        ) from error
