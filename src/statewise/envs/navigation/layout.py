"""Random streams and layouts: the draws of Safety-Gymnasium, number for number.

One `numpy.random.RandomState` per world holds all randomness; `reset(seed)` starts it anew.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from statewise.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TRIES = 100
RESTARTS = 10_000
GOAL_TRIES = 10_000
_EXHAUSTED, _FAILED = -1, -2
_FIRST_BLOCK, _CROWDED_BLOCK = 256, 32_768


class LayoutError(EnvironmentFault):
    """No layout, or no place for a goal, was found within the tries that the original allows."""


class Streams:
    """The random streams of N worlds.

    Every environment step of the original draws one double that nothing reads. Here those are counted and burnt when
    the stream is next used.
    """

    def __init__(self, num_envs: int) -> None:
        self._states = [np.random.RandomState() for _ in range(num_envs)]
        self._skipped = 0
        self._burnt = np.zeros(num_envs, np.int64)

    def seed(self, world: int, seed: int) -> None:
        """Start the stream of one world anew, 0 <= seed < 2^32."""
        self._states[world] = np.random.RandomState(seed)
        self._burnt[world] = self._skipped

    def skip(self) -> None:
        """Let every world pass over one double."""
        self._skipped += 1

    def of(self, world: int) -> np.random.RandomState:
        """The stream of one world, where the original's would now stand."""
        state, owed = self._states[world], self._skipped - int(self._burnt[world])
        if owed:
            state.random_sample(owed)
            self._burnt[world] = self._skipped
        return state

    def pack(self) -> dict[str, NDArray[np.uint32] | NDArray[np.int64]]:
        """The streams as arrays: `stream_key` [N, 624], `stream_position` and `stream_owed` [N]."""
        states = [state.get_state(legacy=False)["state"] for state in self._states]
        return {
            "stream_key": np.stack([state["key"] for state in states]),
            "stream_position": np.array([state["pos"] for state in states], np.int64),
            "stream_owed": self._skipped - self._burnt,
        }

    def unpack(self, key: NDArray[np.uint32], position: NDArray[np.int64], owed: NDArray[np.int64]) -> None:
        """Go back to what `pack` stored."""
        for state, words, at in zip(self._states, key, position, strict=True):
            state.set_state(("MT19937", words, int(at), 0, 0.0))
        self._burnt = self._skipped - np.array(owed)


class Plan(NamedTuple):
    """Where things may be placed, the robot first: low, span [n, 2] of x and y (m), and keepout [n] (m)."""

    low: Floats
    span: Floats
    keepout: Floats


class LayoutSampler:
    """Draws positions of the robot and all objects, one after the other by rejection."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._place, self._block = _place, _FIRST_BLOCK

    def draw(self, stream: np.random.RandomState, given: Mapping[int, Floats] | None = None) -> Floats:
        """Positions [n, 2] of the robot and all objects, m.

        A try draws x, then y, and is accepted if it is no nearer to anything placed so far than the sum of the
        keepouts. After 100 failed tries for one object all are drawn again; LayoutError after 10,000 such restarts.
        given: places [2] that are not drawn, by row; they may be as near to each other as they like.
        """
        if given:
            # What is given comes first, so that the rest keeps away from it.
            order = [*given, *(row for row in range(len(self._plan.low)) if row not in given)]
            drawn = self._draw(stream, Plan(*(column[order] for column in self._plan)), np.array([*given.values()]))
            xy = np.empty_like(drawn)
            xy[order] = drawn
            return xy
        return self._draw(stream, self._plan, np.empty((0, 2)))

    def _draw(self, stream: np.random.RandomState, plan: Plan, given: Floats) -> Floats:
        start = stream.get_state(legacy=False)
        block = self._block
        while True:
            xy = np.empty_like(plan.low)
            xy[: len(given)] = given
            used = self._place(stream.random_sample(block), *plan, xy, len(given))
            stream.set_state(start)
            if used == _FAILED:
                raise LayoutError(
                    f"no layout of {len(xy)} objects was found in {RESTARTS} tries; there is not enough room"
                )
            if used != _EXHAUSTED:
                stream.random_sample(used)
                return xy
            # Crowded: from now on by machine code, which is worth its compilation.
            self._place, self._block = _compiled_place(), _CROWDED_BLOCK
            block = max(_CROWDED_BLOCK, 4 * block)


def draw_place(stream: np.random.RandomState, low: Floats, span: Floats, reach: Floats, others: Floats) -> Floats:
    """A place [2] at least `reach` [m] away from `others` [m, 2]; x, then y, is drawn until it is."""
    for _ in range(GOAL_TRIES):
        place = low + span * stream.random_sample(2)
        if not (np.sqrt(np.square(place - others).sum(axis=1)) < reach).any():
            return place
    raise LayoutError(f"no free place was found in {GOAL_TRIES} tries")


def _place(doubles: Floats, low: Floats, span: Floats, keepout: Floats, xy: Floats, given: int = 0) -> int:
    """Fill `xy` [n, 2] behind its first `given` rows from a block of uniform doubles.

    Returns how many were used, or why there is no layout.
    """
    used, count = 0, len(keepout)
    for _ in range(RESTARTS):
        placed = given
        while placed < count:
            accepted = False
            for _ in range(TRIES):
                if used + 2 > len(doubles):
                    return _EXHAUSTED
                x = low[placed, 0] + span[placed, 0] * doubles[used]
                y = low[placed, 1] + span[placed, 1] * doubles[used + 1]
                used += 2
                accepted = True
                for other in range(placed):
                    dx, dy = x - xy[other, 0], y - xy[other, 1]
                    if np.sqrt(dx * dx + dy * dy) < keepout[placed] + keepout[other]:
                        accepted = False
                        break
                if accepted:
                    xy[placed, 0], xy[placed, 1] = x, y
                    break
            if not accepted:
                break
            placed += 1
        if placed == count:
            return used
    return _FAILED


@functools.cache
def _compiled_place() -> Callable[..., int]:
    """`_place` as machine code, compiled once for all: crowded layouts (Button) take 10^4 draws."""
    import numba  # takes half a second, which only crowded tasks pay

    try:
        return numba.njit(_place, cache=True)
    except RuntimeError:  # there is nowhere to keep it
        return numba.njit(_place)
