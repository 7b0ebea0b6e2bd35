"""The figures of a run: one tidy CSV with the same columns for every method, and one of wall-clock times."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, SupportsFloat

from statewise.errors import CheckpointError
from statewise.storage.files import disk_full_is_run_error, write_text_atomic

if TYPE_CHECKING:
    import polars


class Column(NamedTuple):
    """One column: its name, what it means, and the type of its values."""

    name: str
    meaning: str
    kind: type = float


COLUMNS: tuple[Column, ...] = (
    Column("step", "environment steps taken, over all environments", int),
    Column("gradient_step", "updates made", int),
    Column("phase", "train: since the last such row; eval: the deterministic policy on fresh episodes", str),
    Column("episodes", "episodes the row's episode figures are taken over", int),
    Column("return", "mean undiscounted return of an episode"),
    Column("return_std", "standard deviation of that return over episodes"),
    Column("cost", "mean cost of an episode: its steps in violation"),
    Column("cost_rate", "share of all steps so far that were in violation"),
    Column("length", "mean steps of an episode"),
    Column("violations", "steps in violation since training began", int),
    Column("q_loss", "loss of the reward critics"),
    Column("qc_loss", "loss of the cost or feasibility critic"),
    Column("actor_loss", "loss of the policy"),
    Column("alpha", "temperature of the entropy"),
    Column("entropy", "entropy of the policy, minus its mean log-density"),
    Column("q", "mean reward critic on the batch"),
    Column("qc", "mean cost critic on the batch"),
    Column("f", "mean feasibility f on the batch"),
    Column("f_q90", "90 % quantile of f on the batch"),
    Column("unsafe_fraction", "share of states with f above the threshold d"),
    Column("lam", "mean multiplier on the batch"),
    Column("lam_q10", "10 % quantile of the multiplier"),
    Column("lam_q50", "median multiplier"),
    Column("lam_q90", "90 % quantile of the multiplier"),
    Column("lam_max", "largest multiplier on the batch"),
    Column("lam_boundary", "mean multiplier, weighted towards states with f near d"),
    Column("unit", "what lam, rho and their cap are multiples of, in training reward (penalty_unit)"),
    Column("rho", "penalty factor of the augmented Lagrangian"),
    Column("violation", "measure v that decides whether rho grows"),
    Column("dual_loss", "loss of the multiplier network"),
    Column("target_error_before", "multiplier's distance to its dual target before the fit"),
    Column("target_error_after", "multiplier's distance to its dual target after the fit"),
    Column("lam_change", "mean absolute change of the multiplier by its update"),
    Column("lam_g", "complementarity E|lam G|"),
    Column("slackness", "complementarity E|max(G, -lam/rho)|"),
    Column("cosine", "cosine between the multiplier's change in a dual cycle and max(rho G, -lam)"),
    Column("leakage", "mean change of the multiplier in a dual cycle where G < 0"),
    Column("margin", "margin e^l of the critical region of SAC-FPI"),
    Column("critical_fraction", "share of states in that region"),
    Column("lam_critical", "multiplier of that region"),
    Column("lam_infeasible", "multiplier of the infeasible region of SAC-FPI"),
    Column("recovery_loss", "loss of the recovery critics of SAC-FPI"),
    Column("probe_lam", "mean multiplier on the task's fixed probe states"),
    Column("probe_lam_q10", "10 % quantile of the multiplier there"),
    Column("probe_lam_q50", "median multiplier there"),
    Column("probe_lam_q90", "90 % quantile of the multiplier there"),
    Column("probe_lam_max", "largest multiplier there"),
    Column("probe_lam_change", "mean absolute change of the multiplier there since the evaluation before"),
    Column("policy_kl", "KL there between the policy of the evaluation before and this one"),
    Column("q_bias", "reward critic minus Monte Carlo over the evaluation; SAC's critic adds its entropy bonus"),
    Column("f_bias", "cost critic minus Monte Carlo of its own target over the evaluation"),
    Column("episode_cost", "J_c, mean training cost of the episodes that ended in the last epoch with any"),
    Column("update_kl", "KL between the policy that played an epoch and the one learned from it"),
)

SCHEMA: tuple[str, ...] = tuple(column.name for column in COLUMNS)

TIMING_COLUMNS: tuple[Column, ...] = (
    Column("step", "environment steps taken, over all environments", int),
    Column("seconds", "wall-clock seconds since the last row"),
    Column("sample_seconds", "seconds of the environments since the last row"),
    Column("update_seconds", "seconds of the updates since the last row"),
    Column("evaluate_seconds", "seconds of evaluation since the last row"),
    Column("checkpoint_seconds", "seconds of checkpoints since the last row"),
    Column("steps_per_second", "environment steps a second since the last row"),
)


class MetricsWriter:
    """Appends rows to a CSV; `position`, its length in bytes, is all that a checkpoint needs of it.

    path: the file; columns: its columns; position: length to continue at, which cuts off the rows written
    after that checkpoint. At 0 the file starts anew. Raises CheckpointError when the file cannot be continued
    there, RunError when the disk is full.
    """

    def __init__(self, path: Path, columns: Sequence[Column] = COLUMNS, *, position: int = 0) -> None:
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


def read(path: Path) -> polars.DataFrame:
    """All whole rows of a metrics or timing file, in typed columns; empty cells are null.

    A last line that a killed writer left without its end is dropped. Raises CheckpointError when the file is
    missing or is no such file.
    """
    import polars as pl

    kinds = {int: pl.Int64(), float: pl.Float64(), str: pl.String()}
    types = {column.name: kinds[column.kind] for column in (*COLUMNS, *TIMING_COLUMNS)}
    try:
        lines, end, _ = path.read_bytes().rpartition(b"\n")
        names = lines.split(b"\n", 1)[0].decode().split(",")
        return pl.read_csv(lines + end, schema={name: types[name] for name in names})
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except (UnicodeDecodeError, KeyError, pl.exceptions.PolarsError) as error:
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
