"""The metrics of a run: one tidy CSV, and one of wall-clock times."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, SupportsFloat

from statewise.core.columns import EVALUATION, LEARNING, TIMING_COLUMNS, Column
from statewise.errors import CheckpointError
from statewise.storage.files import disk_full_is_run_error, write_text_atomic

if TYPE_CHECKING:
    import polars


class MetricsWriter:
    """Appends rows to a CSV; `position`, its length in bytes, is all that a checkpoint needs of it.

    path: the file; columns: its columns; position: length to continue at, which cuts off the rows written
    after that checkpoint. At 0 the file starts anew. Raises CheckpointError when the file cannot be continued
    there, RunError when the disk is full.
    """

    def __init__(self, path: Path, columns: Sequence[Column], *, position: int = 0) -> None:
        self.path = path
        self._kinds = {column.name: column.kind for column in columns}
        header = ",".join(self._kinds) + "\n"
        if position == 0:
            write_text_atomic(path, header)
            position = len(header)
        _check_position(path, header, position)
        self._file = path.open("r+b", buffering=0)
        self._file.truncate(position)
        self._file.seek(position)
        self.position = position

    def append(self, row: Mapping[str, SupportsFloat | str]) -> None:
        """Add one row; a column that is not given stays empty, NaN is written as such.

        Raises ValueError for a column that is not in the schema or a value not of its kind, RunError when the
        disk is full.
        """
        for name in row:
            if name not in self._kinds:
                raise ValueError(f"unknown metric {name!r}: the columns are {', '.join(self._kinds)}")
        cells = [_cell(name, row[name], kind) if name in row else "" for name, kind in self._kinds.items()]
        line = (",".join(cells) + "\n").encode()
        with disk_full_is_run_error(self.path):
            # A disk that fills up takes a part of the line first and fails at the next part.
            rest = line
            while rest:
                rest = rest[self._file.write(rest) :]
        self.position += len(line)

    def flush(self) -> None:
        """Make all rows added so far durable."""
        with disk_full_is_run_error(self.path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Make all rows durable and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()

    def __enter__(self) -> MetricsWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read(path: Path, needed: Sequence[str] = ()) -> polars.DataFrame:
    """All whole rows of a metrics or timing file, in typed columns; empty cells are null, a method's own are numbers.

    A last line that a killed writer left without its end is dropped. Raises CheckpointError when the file is
    missing, is no such file, or lacks a column that is needed.
    """
    import polars as pl

    kinds = {int: pl.Int64(), float: pl.Float64(), str: pl.String()}
    types = {column.name: kinds[column.kind] for column in (*LEARNING, *EVALUATION, *TIMING_COLUMNS)}
    try:
        lines, end, _ = path.read_bytes().rpartition(b"\n")
        names = lines.split(b"\n", 1)[0].decode().split(",")
        if names[0] != "step":
            raise ValueError(f"its first column is {names[0]!r}, not 'step'")
        if missing := [name for name in needed if name not in names]:
            raise ValueError(f"it has no column {', '.join(missing)}")
        return pl.read_csv(lines + end, schema={name: types.get(name, pl.Float64()) for name in names})
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (ValueError, pl.exceptions.PolarsError) as error:
        raise CheckpointError(f"{path}: not a metrics file of Statewise: {error}") from error


def _check_position(path: Path, header: str, position: int) -> None:
    if not path.exists():
        raise CheckpointError(f"{path}: is missing, so the run cannot be continued from its checkpoint")
    with path.open("rb") as file:
        if file.read(len(header)) != header.encode():
            raise CheckpointError(f"{path}: has other columns than this version of Statewise writes")
        file.seek(position - 1)
        if position < len(header) or file.read(1) != b"\n":
            raise CheckpointError(f"{path}: no row ends at byte {position}, where its checkpoint was taken")


def _cell(name: str, value: SupportsFloat | str, kind: type) -> str:
    if kind is str:
        if not isinstance(value, str) or not value.isidentifier():
            raise ValueError(f"{name} is {value!r}: it must be one word")
        return value
    if isinstance(value, str):
        raise ValueError(f"{name} is {value!r}: it must be a number")
    number = float(value)
    if kind is float:
        return repr(number)
    if not number.is_integer():
        raise ValueError(f"{name} is {number!r}: it must be a whole number")
    return str(int(number))
