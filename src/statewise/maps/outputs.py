"""All that `statewise risk` makes: pictures, a page and numbers, of one policy or of two side by side."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from statewise.envs import SafeVectorEnv
from statewise.envs.navigation.env import NavigationVectorEnv
from statewise.maps.numbers import numbers_table, risk_numbers
from statewise.maps.sampling import DIRECTIONS, SPEEDS, coordinate_maps, navigation_maps
from statewise.policy import Policy
from statewise.report.map_page import PAGES, maps_page
from statewise.report.maps import PICTURES, RiskMaps, maps_picture, require_file
from statewise.spec import RunSpec, run_labels
from statewise.storage.files import write_text_atomic

TABLES = (".csv",)
"""What the name of a file of numbers may end in."""


class Wanted(NamedTuple):
    """What maps are of: speeds, m/s, over the plane, or two entries of the observation at one step of an episode.

    None takes the default speeds, the plane, and the middle of the episode. seed: of layout or episode.
    """

    speeds: tuple[float, ...] | None = None
    coordinates: tuple[int, int] | None = None
    step: int | None = None
    seed: int = 0


class Cell(NamedTuple):
    """λ and F̂ of one policy at one cell of a map over two entries of the observation."""

    run: str
    x: float
    y: float
    lam: float
    f: float


def report_risk(policies: Mapping[str, Policy], env: SafeVectorEnv, wanted: Wanted, outputs: Sequence[Path]) -> str:
    """Write maps of policies, by the paths they come from, to every one of `outputs`; returns what there is to say.

    An output's ending says what it is: a picture, a page (.html), or numbers (.csv). ValueError for another one, for
    policies of different tasks, and for choices that don't fit the task; nothing is written then.
    """
    for output in outputs:
        require_file(output, (*PICTURES, *PAGES, *TABLES))
    _require_one_task(policies)
    named = list(zip(labels(policies), policies.values(), strict=True))
    if wanted.coordinates is None:
        maps, rows, said = _over_the_plane(named, env, wanted)
    else:
        maps, rows, said = _over_coordinates(named, env, wanted, wanted.coordinates)
    # A picture shows the row of speeds in the first direction, a page all directions.
    row = [each.heading(each.motions[0].direction) for each in maps] if maps[0].motions else maps
    for output in outputs:
        suffix = output.suffix.lower()
        if suffix in PICTURES:
            maps_picture(row, output)
        elif suffix in PAGES:
            maps_page(maps, output)
        else:
            write_text_atomic(output, rows_csv(rows))
    return "\n".join([said, "", *map(str, outputs)])


def labels(policies: Mapping[str, Policy]) -> list[str]:
    """A name for each policy: its method, with what sets it apart; the paths where that is the same."""
    about = [policy.about for policy in policies.values()]
    names = run_labels([RunSpec(each.task, each.config) for each in about])
    if len(set(names)) < len(names):
        names = [f"{name}, seed {each.config.seed}" for name, each in zip(names, about, strict=True)]
    return names if len(set(names)) == len(names) else list(policies)


def rows_csv(rows: Sequence[Any]) -> str:
    """NamedTuples of one kind as CSV, their fields as the header; numbers with six digits, NaN as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0]._fields)
    writer.writerows([_plain(value) for value in row] for row in rows)
    return text.getvalue()


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if np.isnan(value) else f"{value:.6g}"


def _require_one_task(policies: Mapping[str, Policy]) -> None:
    tasks = {path: policy.about.task for path, policy in policies.items()}
    if len(set(tasks.values())) > 1:
        said = ", ".join(f"{path} is of {task}" for path, task in tasks.items())
        raise ValueError(f"runs: {said}; side by side they must be of one task")


def _over_the_plane(
    named: Sequence[tuple[str, Policy]], env: SafeVectorEnv, wanted: Wanted
) -> tuple[list[RiskMaps], Sequence[Any], str]:
    if not isinstance(env, NavigationVectorEnv):
        raise ValueError(
            f"coordinates: is missing; {env.task} is no native navigation task, so that only two entries of its"
            " observation can be drawn over, as in --coordinates 0 1"
        )
    if wanted.step is not None:
        raise ValueError(f"step: {wanted.step} is for maps over entries of the observation; add --coordinates I J")
    speeds = wanted.speeds or SPEEDS
    maps = navigation_maps(named, env, wanted.seed, speeds, DIRECTIONS)
    numbers = risk_numbers(named, env, wanted.seed, speeds)
    return maps, numbers, numbers_table(numbers)


def _over_coordinates(
    named: Sequence[tuple[str, Policy]], env: SafeVectorEnv, wanted: Wanted, coordinates: tuple[int, int]
) -> tuple[list[RiskMaps], Sequence[Any], str]:
    if wanted.speeds is not None:
        raise ValueError("speeds: are for maps over the plane; leave them or --coordinates out")
    maps = coordinate_maps(named, env, wanted.seed, coordinates, wanted.step)
    cells = [
        Cell(each.label, float(each.x[i]), float(each.y[j]), float(each.lam[0, j, i]), float(each.f[0, j, i]))
        for each in maps
        for j, i in np.ndindex(len(each.y), len(each.x))
    ]
    said = [
        f"{each.label}: λ {_range(each.lam)}, F̂ {_range(each.f)}, F̂ > d on {np.mean(each.f > each.threshold):.0%}"
        for each in maps
    ]
    return maps, cells, "\n".join(said)


def _range(values: Any) -> str:
    return f"{values.min():.3g} to {values.max():.3g} (mean {values.mean():.3g})"
