"""Replay buffer: a ring of float32 rows, in memory or in a file that survives a kill at any moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statewise.core.types import Batch
from statewise.errors import CheckpointError
from statewise.storage.row_store import Rows, RowStore, read_rows

_FORMAT = "statewise replay 2"

_BLOCK_ROWS = 4096
"""Rows that one digest covers."""

_SCALARS = 5
"""Reward, cost, constraint, terminated and truncated close every row."""

_SAMPLE_STREAM = 0x5265706C6179
"""Second word of the Philox key: sets replay's draws apart from other uses of the run's seed."""


class RowLayout(NamedTuple):
    """Columns of a row: obs, next_obs, action, reward, cost, constraint, terminated, truncated."""

    obs_dim: int
    act_dim: int

    @property
    def width(self) -> int:
        """Floats in one row, written D."""
        return 2 * self.obs_dim + self.act_dim + _SCALARS

    def pack(
        self,
        obs: ArrayLike,
        action: ArrayLike,
        reward: ArrayLike,
        cost: ArrayLike,
        constraint: ArrayLike,
        terminated: ArrayLike,
        truncated: ArrayLike,
        next_obs: ArrayLike,
    ) -> Rows:
        """Rows [N, D] of N transitions; the arguments are those of `Batch`, in its order.

        Raises ValueError when a field is not [N, obs_dim], [N, act_dim] or [N].
        """
        fields = Batch(obs, action, reward, cost, constraint, terminated, truncated, next_obs)
        rows = np.empty((len(np.asarray(reward)), self.width), np.float32)
        for name, values, target in zip(Batch._fields, fields, self.unpack(rows), strict=True):
            if np.shape(values) != target.shape:
                raise ValueError(f"{name} has shape {np.shape(values)}, but the replay needs {target.shape}")
            target[...] = values
        return rows

    def unpack(self, rows: Any) -> Batch:
        """The fields of rows [..., D] as slices, of a NumPy array or inside a compiled function alike."""
        action_start = 2 * self.obs_dim
        scalar_start = action_start + self.act_dim
        return Batch(
            obs=rows[..., : self.obs_dim],
            action=rows[..., action_start:scalar_start],
            reward=rows[..., scalar_start],
            cost=rows[..., scalar_start + 1],
            constraint=rows[..., scalar_start + 2],
            terminated=rows[..., scalar_start + 3],
            truncated=rows[..., scalar_start + 4],
            next_obs=rows[..., self.obs_dim : action_start],
        )


def stored_rows(path: Path) -> tuple[RowLayout, Rows]:
    """Layout and rows [n, D], in no order, of a replay file, to be read alone; a run may be writing it.

    CheckpointError where it is missing, cut or something else.
    """
    try:
        title, written, rows = read_rows(path)
        obs_dim, act_dim = (int(title.split(f"{name}=")[1].split()[0]) for name in ("obs_dim", "act_dim"))
        layout = RowLayout(obs_dim, act_dim)
        places = len(rows) // layout.width
        return layout, rows[: places * layout.width].reshape(places, layout.width)[: min(written, places)]
    except (OSError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: not a replay file of this version: {error}") from error


class Replay:
    """The newest `capacity` rows of all that were added; `count`, the rows ever added, is its whole state.

    With a `path` the rows live in a file of `capacity + slack` places. Rows added after a checkpoint at
    `count` overwrite the slack first, so up to `slack` rows later `rewind(count)` finds the window of that
    checkpoint untouched, after a kill at any moment. After a power cut this holds for the last count flushed.

    layout: columns of a row; capacity: rows to sample from; slack: rows that may be added between a
    checkpoint and a rewind to it; path: the file, None for memory. A file with rows is continued by `rewind`.
    Raises CheckpointError when the file is cut or of another layout, RunError when the disk is full.
    """

    def __init__(self, layout: RowLayout, capacity: int, *, slack: int = 0, path: Path | None = None) -> None:
        for name, value, least in (("capacity", capacity, 1), ("slack", slack, 0)):
            if value < least:
                raise ValueError(f"{name} is {value}: it must be {least} or more")
        title = f"{_FORMAT} obs_dim={layout.obs_dim} act_dim={layout.act_dim} {capacity=} {slack=}"
        self.layout = layout
        self.capacity = capacity
        self.slack = slack
        self.count = 0
        self.places = capacity + slack
        """Rows that there is room for; row number n lies at n modulo this."""
        self.rewinds = 0
        """How often `rewind` was called: what was read of the rows before may be void."""
        self._store = RowStore(path, title, self.places, layout.width)
        self._flushed = 0
        self._must_rewind = self._store.written > 0
        self._digests: dict[tuple[int, int], str] = {}

    def __len__(self) -> int:
        """Rows that `sample` draws from: min(count, capacity)."""
        return min(self.count, self.capacity)

    def add(self, rows: NDArray[Any]) -> None:
        """Append rows [N, D], N at most capacity + slack; they replace the oldest ones.

        Raises RunError when the disk is full; nothing is added then.
        """
        if rows.ndim != 2 or rows.shape[1] != self.layout.width or len(rows) > self.places:
            allowed = f"[at most {self.places}, {self.layout.width}]"
            raise ValueError(f"rows have shape {rows.shape}, but this replay takes {allowed}")
        if self._must_rewind:
            raise CheckpointError(f"{self._store.path} holds rows already: call rewind(count) before adding")
        end = self.count + len(rows)
        self._announce(end)
        start = self.count % self.places
        head = min(len(rows), self.places - start)
        self._store.rows[start : start + head] = rows[:head]
        self._store.rows[: len(rows) - head] = rows[head:]
        self.count = end

    def sample(
        self,
        seed: int,
        step: int,
        shape: tuple[int, ...],
        *,
        recent: int | None = None,
        out: Rows | None = None,
    ) -> Rows:
        """Rows [*shape, D], drawn uniformly with replacement from the newest `capacity` (or `recent`) rows.

        The draw is a function of (seed, step, count) alone. The array is fresh unless `out` is given: fill an
        `out` again only when no device still reads it. Raises ValueError when there is nothing to draw from.
        """
        index = self.places_of(seed, step, shape, recent=recent)
        if out is None:
            out = np.empty((*shape, self.layout.width), np.float32)
        return np.take(self._store.rows, index, axis=0, out=out, mode="wrap")

    def places_of(
        self, seed: int, step: int, shape: tuple[int, ...], *, recent: int | None = None
    ) -> NDArray[np.int64]:
        """Where the rows lie that `sample` draws: their numbers modulo `places`."""
        window = len(self) if recent is None else min(len(self), recent)
        if window < 1:
            raise ValueError(f"cannot sample from {window} rows: add rows first, and let recent be 1 or more")
        # The step is the counter's high word: streams of two steps are 2**192 draws apart and never overlap.
        philox = np.random.Philox(key=[seed, _SAMPLE_STREAM], counter=[0, 0, 0, step])
        first = (self.count - window) % self.places
        return np.random.Generator(philox).integers(first, first + window, size=shape)

    def rows_from(self, first: int, end: int) -> Rows:
        """A copy of the rows that were added as number `first` to `end` - 1, all within the window."""
        if not self.count - len(self) <= first <= end <= self.count:
            raise ValueError(f"rows {first} to {end} are not within {self.count - len(self)} to {self.count}")
        return np.take(self._store.rows, np.arange(first, end), axis=0, mode="wrap")

    def flush(self) -> None:
        """Make all rows added so far durable; the cost grows with the rows added since the last call."""
        self._store.sync()
        self._flushed = self.count

    def digests(self) -> list[str]:
        """A digest of each block of the rows that `sample` draws from, for `rewind` to verify.

        A row is read once, but those in the blocks that the window begins and ends in at each call.
        """
        blocks = list(self._blocks())
        self._digests = {block: self._digests.get(block) or self._digest(*block) for block in blocks}
        return [self._digests[block] for block in blocks]

    def rewind(self, count: int, digests: Sequence[str] | None = None) -> None:
        """Go back to the window the replay had when its count was `count`; 0 empties it.

        digests: what `digests` gave there. Raises CheckpointError when fewer rows were ever written, or rows of that
        window are overwritten or changed.
        """
        written = self._store.written
        where = f"{self._store.path or 'replay'}: cannot continue at row {count}"
        if not 0 <= count <= written:
            raise CheckpointError(f"{where}, as {written} rows were ever written")
        if self._is_lost(count, written):
            raise CheckpointError(
                f"{where}: rows before it are overwritten, as {written} were written and the slack is "
                f"{self.slack}; continue from a later checkpoint"
            )
        if count == 0:
            self._store.written = 0
        self.count = self._flushed = count
        self.rewinds += 1
        self._digests = {}
        if digests is not None:
            self._verify(digests)
        self._must_rewind = False

    def _verify(self, digests: Sequence[str]) -> None:
        found = self.digests()
        if len(found) != len(digests):
            raise CheckpointError(
                f"{self._store.path}: the checkpoint has {len(digests)} digests of {len(found)} blocks"
            )
        for (first, end), one, other in zip(self._blocks(), found, digests, strict=True):
            if one != other:
                raise CheckpointError(
                    f"{self._store.path or 'replay'}: rows {first} to {end - 1} are damaged, or of another run than the"
                    " checkpoint: put the file back as it was, or start the run again with --overwrite"
                )

    def _blocks(self) -> Iterator[tuple[int, int]]:
        """First row and end of each block in the window, by the rows' places in the whole run."""
        first = self.count - len(self)
        while first < self.count:
            end = min(first - first % _BLOCK_ROWS + _BLOCK_ROWS, self.count)
            yield first, end
            first = end

    def _digest(self, first: int, end: int) -> str:
        rows, place, count = self._store.rows, first % self.places, end - first
        head = rows[place : place + count]
        return hashlib.blake2b(head.tobytes() + rows[: count - len(head)].tobytes(), digest_size=8).hexdigest()

    def _is_lost(self, count: int, written: int) -> bool:
        """Whether writing up to row `written` overwrites a row of the window at `count`."""
        return count > 0 and written - self.places > max(0, count - self.capacity)

    def _announce(self, end: int) -> None:
        """Make room for rows up to `end` and record it, before the first of them overwrites an older row."""
        self._store.reserve(min(end, self.places))
        written = self._store.written
        if end <= written:
            return
        self._store.written = end
        if self._is_lost(self._flushed, end) and not self._is_lost(self._flushed, written):
            self._store.sync_written()
