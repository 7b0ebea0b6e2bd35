"""A navigation task of one's own: patrol between two posts and keep off the buttons.

Run from this folder: `statewise train sac-alam custom_navigation_task:PatrolPoint-v0`.
"""

from __future__ import annotations

import numpy as np

from statewise.envs import register_navigation_task
from statewise.envs.navigation.objects import BUTTON, Kind, Objects
from statewise.envs.navigation.robots import CAR, POINT
from statewise.envs.navigation.task import NavigationTask, Verdict, View

POST = (1.2, 0.0)  # the other one is at (-1.2, 0)
BEACON = Kind("beacon", "cylinder", (0.1, 0.3), height=0.31, body="ghost", rgba=(1.0, 0.8, 0.0, 0.5), turned=False)


class Patrol(NavigationTask):
    """Go to the beacon, which then moves to the other post. Touching a button costs."""

    description = "drive to and fro between two posts, off the buttons"
    objects = (Objects(BEACON, 1, keepout=0.4, at=(POST,)), Objects(BUTTON, 6, keepout=0.25))
    lidars = ("beacon", "button")

    def memory(self, num_envs: int) -> dict[str, np.ndarray]:
        return {"last_distance": np.zeros(num_envs)}

    def begin(self, view: View, world: int, stream: np.random.RandomState) -> None:
        offset = view.xy["beacon"][world, 0] - view.position[world, :2]
        view.memory["last_distance"][world] = np.hypot(*offset)

    def judge(self, view: View) -> Verdict:
        distance = view.distance["beacon"][:, 0]
        reached = distance <= 0.3
        reward = view.memory["last_distance"] - distance + reached
        view.memory["last_distance"][:] = distance
        costs = {"cost_buttons": view.touching["button"].any(axis=1).astype(float)}
        margin = 0.2 - view.distance["button"].min(axis=1)  # robot and button both have a radius of 0.1 m
        return Verdict(reward, costs, margin, reached)

    def renew(self, view: View, world: int, stream: np.random.RandomState) -> None:
        view.xy["beacon"][world] *= -1.0
        self.begin(view, world, stream)


register_navigation_task("PatrolPoint-v0", Patrol(), POINT)
register_navigation_task("PatrolCar-v0", Patrol(), CAR)
