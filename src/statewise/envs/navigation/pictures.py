"""How a navigation world looks: from above or behind the robot, with its lidar and its costs if wanted."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import mujoco
import numpy as np

from statewise.envs.navigation.lidar import BINS
from statewise.envs.navigation.scene import build_scene
from statewise.envs.rendering import DEFAULT_SIZE, Camera

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from statewise.envs.navigation.worlds import NavigationWorlds

CameraName = Literal["track", "top"]
_COST_RGBA = (1.0, 0.0, 0.0, 0.35)
_FRONT_PARTS, _FRONT_RGBA = ("pointarrow", "front_bumper", "front_connector"), (0.25, 0.0, 0.0, 1.0)
_LIDAR_HEIGHT, _LIDAR_STEP, _LIDAR_RADIUS = 0.3, 0.07, 0.25


class Pictures:
    """Draws worlds of one task.

    camera: `track` follows the robot, `top` looks at everything from above. show_lidar: rings of beads around the
    robot, one for each kind from the inside out, more solid where something is near. show_cost: a red ball around a
    robot that costs. size: width and height in pixels.
    """

    def __init__(
        self,
        worlds: NavigationWorlds,
        camera: CameraName = "track",
        *,
        show_lidar: bool = False,
        show_cost: bool = False,
        size: tuple[int, int] = DEFAULT_SIZE,
    ) -> None:
        if camera not in get_args(CameraName):
            raise ValueError(f"camera is {camera!r}; choose {' or '.join(get_args(CameraName))}")
        self._worlds, self._show_lidar, self._show_cost = worlds, show_lidar, show_cost
        self.scene = build_scene(worlds.robot, worlds.task.objects, drawn=True)
        for part in set(_FRONT_PARTS) & set(worlds.robot.geoms):
            self.scene.model.geom(part).rgba = _FRONT_RGBA
        self._camera = Camera(self.scene.model, camera, size=size)
        self._window: Any = None

    def picture(self, world: int = 0, *, cost: float = 0.0) -> NDArray[np.uint8]:
        """One world as an RGB image [height, width, 3]; RuntimeError without OpenGL. cost: of the last step."""
        qpos, mocap_pos, mocap_quat = self.pose(world)

        def decorate(scene: Any) -> None:
            if self._show_cost and cost > 0.0:
                _add_ball(scene, self._worlds.view.position[world], 0.25, _COST_RGBA)
            if self._show_lidar:
                self._add_lidar(scene, world)

        return self._camera.picture(qpos, (mocap_pos, mocap_quat), decorate)

    def pose(self, world: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """qpos, mocap_pos and mocap_quat of one world in the model that is drawn."""
        worlds = self._worlds
        _, mocap_pos, mocap_quat = self.scene.rest(worlds.layout_xy[world], worlds.yaw[world])
        for kind, slot in self.scene.slots.items():
            at = slice(slot.mocap, slot.mocap + slot.objects.count)
            if slot.objects.kind.body == "ghost":
                mocap_pos[at, :2] = worlds.view.xy[kind][world]
            elif slot.objects.kind.body == "gremlin":
                mocap_pos[at] += worlds.dragged(world)
        return worlds.qpos(world), mocap_pos, mocap_quat

    def open_window(self) -> Callable[[], None]:
        """Open MuJoCo's viewer on world 0; what is returned brings it up to date. RuntimeError without a display."""
        data = mujoco.MjData(self.scene.model)
        try:
            from mujoco import viewer  # needs a display to be imported

            window = viewer.launch_passive(self.scene.model, data)
        except Exception as error:
            raise RuntimeError(f"no window can be opened ({type(error).__name__}: {error}); use rgb_array") from error

        def update() -> None:
            data.qpos[:], data.mocap_pos[:], data.mocap_quat[:] = self.pose(0)
            mujoco.mj_forward(self.scene.model, data)
            window.sync()

        self._window = window
        update()
        return update

    def close(self) -> None:
        """Free the renderer and close the window."""
        self._camera.close()
        if self._window is not None:
            self._window.close()

    def _add_lidar(self, scene: Any, world: int) -> None:
        worlds = self._worlds
        readings = worlds.obs[world, worlds.robot.observed :].reshape(-1, BINS)
        position, rotation = worlds.view.position[world], worlds.view.rotation[world]
        angles = (np.arange(BINS) + 0.5) * (2.0 * np.pi / BINS)
        for ring, (kind, values) in enumerate(zip(worlds.task.lidars, readings, strict=True)):
            rgb = worlds.scene.slots[kind].objects.kind.rgba[:3]
            radius = _LIDAR_RADIUS + _LIDAR_STEP * ring
            beads = radius * np.stack([np.cos(angles), np.sin(angles), np.zeros(BINS)])
            for bead, value in zip((rotation @ beads).T, values, strict=True):
                place = position + bead + (0.0, 0.0, _LIDAR_HEIGHT)
                _add_ball(scene, place, 0.025, (*rgb, 0.1 + 0.9 * float(value)))


def _add_ball(scene: Any, position: NDArray[np.float64], radius: float, rgba: Sequence[float]) -> None:
    if scene.ngeom >= scene.maxgeom:
        return
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        type=int(mujoco.mjtGeom.mjGEOM_SPHERE),
        size=np.full(3, radius),
        pos=np.asarray(position, np.float64),
        mat=np.eye(3).flatten(),
        rgba=np.asarray(rgba, np.float32),
    )
    scene.ngeom += 1
