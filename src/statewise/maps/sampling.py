"""λ(x) and F̂(x) of trained policies over the plane of a navigation task, or over two coordinates of an observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.actions import rescale_action
from statewise.envs import SafeVectorEnv
from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.envs.navigation.robots import Robot
from statewise.envs.navigation.worlds import NavigationWorlds
from statewise.policy import Policy
from statewise.report.maps import Motion, Outline, RiskMaps

Floats = NDArray[np.float64]

SPEEDS = (0.0, 0.5, 1.0, 1.5, 2.0)
"""m/s; the Point drives at 1.5 m/s at most, the Car at 0.9 m/s, so the last ones are beyond what training saw."""
DIRECTIONS = tuple((np.arange(8) * (np.pi / 4)).tolist())
"""rad, counter-clockwise from east."""
CELLS = 49
"""Of a map, along either axis."""
_MARGIN = 1.2
"""How far a map reaches beyond the square that things are placed in."""
_CORNERS = np.array([(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)])


def navigation_maps(
    policies: Sequence[tuple[str, Policy]],
    env: NavigationVectorEnv,
    seed: int,
    speeds: Sequence[float] = SPEEDS,
    directions: Sequence[float] = DIRECTIONS,
    cells: int = CELLS,
) -> list[RiskMaps]:
    """Maps of named policies over the plane of their task, a map for every direction and speed.

    seed: of the layout. The robot faces the way it moves, or would move where its speed is 0; everything else stands as
    at the start of the episode. ValueError for a speed below 0 or a policy of other observations.
    """
    for speed in speeds:
        if not 0.0 <= speed < np.inf:
            raise ValueError(f"speeds: {speed} is not allowed; a speed is at least 0, in m/s")
    env.reset(seed=seed)
    ticks = np.linspace(-1.0, 1.0, cells) * half_width(env.worlds)
    places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    motions = tuple(Motion(speed, direction) for direction in directions for speed in dict.fromkeys(speeds))
    lam, f = (np.empty((len(policies), len(motions), cells, cells), np.float32) for _ in range(2))
    for i, motion in enumerate(motions):
        obs = observe_moving(env, places, np.full(len(places), motion.speed), np.full(len(places), motion.direction))
        for k, (_, policy) in enumerate(policies):
            lam[k, i], f[k, i] = (values.reshape(cells, cells) for values in policy.risk(obs))
    outlines = tuple(_outlines(env.worlds))
    return [
        RiskMaps(
            label,
            env.task,
            policy.about.config.threshold,
            ("x, m", "y, m"),
            ticks,
            ticks,
            lam[k],
            f[k],
            motions,
            f"layout of seed {seed}",
            outlines,
            usual_speed(policy, env.worlds.robot),
        )
        for k, (label, policy) in enumerate(policies)
    ]


def coordinate_maps(
    policies: Sequence[tuple[str, Policy]],
    env: SafeVectorEnv,
    seed: int,
    coordinates: tuple[int, int],
    step: int | None = None,
    cells: int = CELLS,
) -> list[RiskMaps]:
    """Maps of named policies over two entries of the observation, the others as at one step of an episode.

    The first policy plays the episode, from `seed`; the entries go a quarter beyond what it meets there. step: None
    takes the middle of the episode. ValueError for entries or a step that there are none of.
    """
    size = policies[0][1].about.facts.dims.obs
    if len(set(coordinates)) < 2 or not all(0 <= entry < size for entry in coordinates):
        raise ValueError(
            f"coordinates: {coordinates[0]} {coordinates[1]} is not allowed;"
            f" name two different entries, 0 to {size - 1}"
        )
    met = play(policies[0][1], env, seed)
    step = len(met) // 2 if step is None else step
    if not 0 <= step < len(met):
        raise ValueError(f"step: {step} is not allowed; the episode has steps 0 to {len(met) - 1}")
    ticks = [_ticks(met[:, entry], cells) for entry in coordinates]
    obs = np.tile(met[step], (cells * cells, 1))
    obs[:, coordinates] = np.stack(np.meshgrid(*ticks), axis=-1).reshape(-1, 2)
    answers = [[values.reshape(1, cells, cells) for values in policy.risk(obs)] for _, policy in policies]
    note = f"the rest as at step {step} of the episode of seed {seed}"
    axes = (f"observation {coordinates[0]}", f"observation {coordinates[1]}")
    return [
        RiskMaps(label, env.task, policy.about.config.threshold, axes, ticks[0], ticks[1], lam, f, note=note)
        for (label, policy), (lam, f) in zip(policies, answers, strict=True)
    ]


def observe_moving(env: NavigationVectorEnv, places: Floats, speed: Floats, direction: Floats) -> Floats:
    """What the robot of world 0 would observe at places [M, 2], driving at speed [M] in direction [M]: [M, obs]."""
    velocity = speed[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=1)
    still = np.zeros((len(places), 1))
    yaw = direction[:, None] - env.worlds.robot.forward
    return env.observe_at(np.hstack([places, yaw]), np.hstack([velocity, still]))


def half_width(worlds: NavigationWorlds) -> float:
    """Half the side of the square that a map shows, m."""
    return _MARGIN * worlds.task.extents


def usual_speed(policy: Policy, robot: Robot) -> float | None:
    """Root mean square of the speeds that a policy met in training, m/s; None where it keeps no statistics."""
    statistics = policy.acting.state.embedding.statistics
    seen = float(statistics.seen)
    if seen == 0.0:
        return None
    mean, m2 = (np.asarray(values)[robot.velocity] for values in (statistics.mean, statistics.m2))
    return float(np.sqrt(np.sum(mean**2 + m2 / seen)))


def play(policy: Policy, env: SafeVectorEnv, seed: int) -> Floats:
    """The observations [T, obs] of one episode of the deterministic policy, in world 0."""
    obs, _ = env.reset(seed=seed)
    met, over = [], False
    while not over:
        met.append(obs[0].copy())
        actions = rescale_action(policy.acting.greedy(obs), policy.about.span)
        obs, _, terminated, truncated, _ = env.step(actions)
        over = bool(terminated[0] or truncated[0])
    return np.array(met)


def _ticks(met: Floats, cells: int) -> Floats:
    low, high = float(met.min()), float(met.max())
    beyond = 0.25 * (high - low) or 1.0
    return np.linspace(low - beyond, high + beyond, cells)


def _outlines(worlds: NavigationWorlds) -> list[Outline]:
    """What stands in world 0, from above."""
    found: list[Outline] = []
    around = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    circle = np.stack([np.cos(around), np.sin(around)], axis=1)
    for name, slot in worlds.scene.slots.items():
        kind: Any = slot.objects.kind
        shape = _CORNERS * kind.size[:2] if kind.shape == "box" else circle * kind.size[0]
        for centre, yaw in zip(worlds.view.xy[name][0], worlds.yaw[0, slot.rows], strict=True):
            turn = np.array([(np.cos(yaw), np.sin(yaw)), (-np.sin(yaw), np.cos(yaw))])
            found.append(Outline(name, shape @ turn + centre))
    return found
