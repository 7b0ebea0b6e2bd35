"""Arrays over the `MjData` of many worlds, and the warnings that mean a simulation broke down."""

# MuJoCo's compiled modules come without type stubs.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

OBS_BOUND = float(mujoco.mjMAXVAL)
"""MuJoCo gives up on joint values beyond it; so do we on any observation."""

_BREAKDOWNS = [
    int(warning)
    for warning in (
        mujoco.mjtWarning.mjWARN_BADQPOS,
        mujoco.mjtWarning.mjWARN_BADQVEL,
        mujoco.mjtWarning.mjWARN_BADQACC,
    )
]


class Field:
    """One array of every world's MjData, gathered into `values` [N, ...]; a dotted name reaches into a part of it.

    Of a single world `values` is the array itself, which is never out of date.
    """

    def __init__(self, datas: Sequence[mujoco.MjData], name: str) -> None:
        self._datas, self._read = datas, operator.attrgetter(name)
        first = self._read(datas[0])
        # The time is a number rather than an array, and has no view.
        self._views = None if np.isscalar(first) else [self._read(data).reshape(-1) for data in datas]
        self.live = len(datas) == 1 and self._views is not None
        """Whether `values` is the array itself."""
        values = np.asarray(first)[None] if self.live else np.array([self._read(data) for data in datas])
        self.values: NDArray[Any] = values
        self._flat = self.values.reshape(-1)

    def gather(self) -> None:
        """Read all worlds."""
        if self.live:
            return
        if self._views is None:
            self.values[:] = [self._read(data) for data in self._datas]
        else:
            np.concatenate(self._views, out=self._flat)

    def gather_one(self, world: int) -> None:
        """Read one world."""
        if not self.live:
            self.values[world] = self._read(self._datas[world])

    def scatter(self, values: NDArray[Any]) -> None:
        """Write all worlds."""
        if self.live:
            self.values[...] = values
            return
        assert self._views is not None
        for view, row in zip(self._views, values.reshape(len(self._datas), -1), strict=True):
            view[:] = row


def breakdowns(warnings: NDArray[Any]) -> NDArray[np.bool_]:
    """Worlds [N] that MuJoCo has given up on, by their counts of warnings [N, kinds]."""
    if not np.count_nonzero(warnings):
        return np.zeros(len(warnings), bool)
    return np.logical_or.reduce(warnings[:, _BREAKDOWNS], axis=1)
