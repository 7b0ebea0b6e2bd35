"""Maps of risk in numbers: mean λ and F̂ by distance to what costs, by speed and heading, over many layouts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.envs.navigation.task import View
from statewise.envs.navigation.worlds import NavigationWorlds
from statewise.maps.sampling import SPEEDS, Floats, half_width, observe_moving
from statewise.policy import Policy

LAYOUTS = 20
PLACES = 150
"""In every layout, uniform over the square that a map shows; the same ones at every speed."""
FAR = 0.4
"""m; places beyond it count as far from what costs."""
DISTANCES = (-np.inf, 0.0, 0.1, 0.2, FAR, 0.8, np.inf)
"""Edges of the classes of distance to the nearest violation, m; below 0 a state is one."""
_HEADINGS = {"away": (-np.inf, -0.7), "across": (-0.7, 0.7), "towards": (0.7, np.inf)}
"""Classes of heading, by the cosine of the angle to the way to the nearest violation."""
_SIDES = {"left": (-1, 0), "right": (1, 0), "upper": (0, 1), "lower": (0, -1)}
_SIDES |= {f"{v} {h}": (_SIDES[h][0], _SIDES[v][1]) for v in ("upper", "lower") for h in ("left", "right")}
_STEP = 1e-4
"""m; of the difference quotient that tells which way the nearest violation is."""


class Number(NamedTuple):
    """One figure of one policy.

    run: its label. speed: m/s. heading: towards, across or away from the nearest violation, east, or all. place: a
    class of distance, or a side of the plane outside of what costs. measure: `mean`, or `auroc`: how often a state in
    violation ranks above one that is farther than `FAR` from any. states: how many it is taken over. lam, f: of λ, F̂.
    """

    run: str
    speed: float
    heading: str
    place: str
    measure: str
    states: int
    lam: float
    f: float


class States(NamedTuple):
    """States at one speed: place [M, 2] and distance [M] to the nearest violation, m, heading [M], and λ, F̂ [P, M].

    heading: cosine of the angle between the way the robot moves and the way to the nearest violation.
    """

    place: Floats
    distance: Floats
    heading: Floats
    lam: NDArray[np.float32]
    f: NDArray[np.float32]


def risk_numbers(
    policies: Sequence[tuple[str, Policy]],
    env: NavigationVectorEnv,
    seed: int,
    speeds: Sequence[float] = SPEEDS,
    layouts: int = LAYOUTS,
) -> list[Number]:
    """Figures of named policies at places and in directions drawn at random, in so many layouts from `seed` on."""
    numbers: list[Number] = []
    for speed in dict.fromkeys(speeds):
        any_way, east = (draw_states(policies, env, seed, speed, layouts, eastward=way) for way in (False, True))
        for i, (label, _) in enumerate(policies):
            numbers += _by_distance(label, speed, any_way, i)
            numbers += _by_side(label, speed, east, i)
    return numbers


def draw_states(
    policies: Sequence[tuple[str, Policy]],
    env: NavigationVectorEnv,
    seed: int,
    speed: float,
    layouts: int,
    *,
    eastward: bool,
) -> States:
    """States at one speed with what the policies make of them; places and directions don't depend on the speed."""
    parts: list[tuple[Floats, Floats, Floats, Floats]] = []
    for layout in range(seed, seed + layouts):
        env.reset(seed=layout)
        rng = np.random.default_rng([seed, layout])
        place = rng.uniform(-1.0, 1.0, (PLACES, 2)) * half_width(env.worlds)
        direction = np.zeros(PLACES) if eastward else rng.uniform(-np.pi, np.pi, PLACES)
        ahead = np.stack([np.cos(direction), np.sin(direction)], axis=1)
        h = constraint_at(env.worlds, place)
        heading = (constraint_at(env.worlds, place + _STEP * ahead) - h) / _STEP
        obs = observe_moving(env, place, np.full(PLACES, speed), direction)
        parts.append((place, -h, heading, obs))
    place, distance, heading, obs = (np.concatenate(part) for part in zip(*parts, strict=True))
    lam, f = (np.array(values) for values in zip(*(policy.risk(obs) for _, policy in policies), strict=True))
    return States(place, distance, heading, lam, f)


def constraint_at(worlds: NavigationWorlds, places: Floats) -> Floats:
    """h(x) [M], m, if the robot of world 0 stood at places [M, 2], touching and pushing nothing."""
    count = len(places)
    zeros = np.zeros((count, 1))
    xy = {kind: np.repeat(at[:1], count, axis=0) for kind, at in worlds.view.xy.items()}
    view: View = replace(
        worlds.view,
        position=np.hstack([places, zeros]),
        rotation=np.tile(np.eye(3), (count, 1, 1)),
        velocity=np.zeros((count, 2)),
        xy=xy,
        distance={kind: np.linalg.norm(at - places[:, None], axis=-1) for kind, at in xy.items()},
        touching={kind: np.zeros((count, values.shape[1])) for kind, values in worlds.view.touching.items()},
        speed={kind: np.zeros((count, values.shape[1])) for kind, values in worlds.view.speed.items()},
        memory={name: np.repeat(values[:1], count, axis=0) for name, values in worlds.view.memory.items()},
    )
    return worlds.task.judge(view).margin


def numbers_table(numbers: Sequence[Number]) -> str:
    """The figures as text: a table of λ and one of F̂ for every policy, then ranks and sides."""
    lines: list[str] = []
    for run in dict.fromkeys(number.run for number in numbers):
        own = [number for number in numbers if number.run == run]
        for network, name in (("lam", "λ(x)"), ("f", "F̂(x)")):
            lines += ["", f"{run}: mean {name} by distance to the nearest violation, m", *_distance_table(own, network)]
        lines += ["", f"{run}: mean λ(x) moving east, by side of the plane, outside of violations", *_side_table(own)]
    return "\n".join(lines[1:])


def auroc(above: NDArray[np.floating], below: NDArray[np.floating]) -> float:
    """How often an entry of `above` is larger than one of `below`, a tie counting half; NaN where either is empty."""
    if not (above.size and below.size):
        return float("nan")
    ordered = np.sort(below)
    ranks = np.searchsorted(ordered, above, "left") + np.searchsorted(ordered, above, "right")
    return float(ranks.mean() / (2 * len(below)))


def class_names() -> list[str]:
    """The classes of distance, from the inside out."""
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(DISTANCES[1:-1])]
    return ["inside", *between, f"beyond {DISTANCES[-2]:g}"]


def _by_distance(label: str, speed: float, states: States, policy: int) -> Iterator[Number]:
    lam, f = states.lam[policy], states.f[policy]
    everything = np.ones(len(lam), bool)
    headings = {"all": everything}
    if speed > 0.0:
        headings |= {name: (states.heading >= a) & (states.heading < b) for name, (a, b) in _HEADINGS.items()}
    inside, far = states.distance < 0.0, states.distance >= FAR
    for heading, chosen in headings.items():
        for i, place in enumerate(class_names()):
            here = chosen & (states.distance >= DISTANCES[i]) & (states.distance < DISTANCES[i + 1])
            yield _mean(label, speed, heading, place, lam[here], f[here])
    ranks = (auroc(values[inside], values[far]) for values in (lam, f))
    yield Number(label, speed, "all", "inside against far", "auroc", int((inside | far).sum()), *ranks)


def _by_side(label: str, speed: float, states: States, policy: int) -> Iterator[Number]:
    for side, (x, y) in _SIDES.items():
        here = (states.distance >= 0.0) & (states.place * (x, y) >= 0.0).all(axis=1)
        yield _mean(label, speed, "east", side, states.lam[policy][here], states.f[policy][here])


def _mean(label: str, speed: float, heading: str, place: str, lam: Floats, f: Floats) -> Number:
    means = (float(values.mean()) if values.size else float("nan") for values in (lam, f))
    return Number(label, speed, heading, place, "mean", lam.size, *means)


def _distance_table(numbers: Sequence[Number], network: str) -> list[str]:
    columns = [*class_names(), "inside against far"]
    found = {(n.speed, n.heading, n.place): getattr(n, network) for n in numbers}
    rows = dict.fromkeys((n.speed, n.heading) for n in numbers if n.heading != "east")
    head = [f"{'':<18}", *(f"{name:>11}" for name in columns[:-1]), f"{'AUROC':>7}"]
    body = [
        [
            f"{f'{speed:g} m/s, {heading}':<18}",
            *(_cell(found.get((speed, heading, place)), 11) for place in columns[:-1]),
            _cell(found.get((speed, heading, columns[-1])), 7),
        ]
        for speed, heading in rows
    ]
    return ["".join(row).rstrip() for row in [head, *body]]


def _side_table(numbers: Sequence[Number]) -> list[str]:
    found = {(n.speed, n.place): n.lam for n in numbers if n.heading == "east"}
    head = "".join([f"{'':<18}", *(f"{side:>13}" for side in _SIDES)])
    body = [
        "".join([f"{f'{speed:g} m/s':<18}", *(_cell(found[speed, side], 13) for side in _SIDES)])
        for speed in dict.fromkeys(speed for speed, _ in found)
    ]
    return [head, *body]


def _cell(value: float | None, width: int) -> str:
    return " " * width if value is None else f"{'-' if np.isnan(value) else f'{value:.3f}':>{width}}"
