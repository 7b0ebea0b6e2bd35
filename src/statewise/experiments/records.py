"""The results of a run in one small sealed file, which outlives its folder: enough for statistics and the report."""

from __future__ import annotations

import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from statewise import __version__
from statewise.errors import RunError
from statewise.experiments.logged import Logged
from statewise.spec import RunSpec
from statewise.storage.files import remove_temporary_files, write_bytes_atomic
from statewise.storage.run_folder import run_folder

DIGITS = 6
"""Significant digits of what is measured, as many as single precision gives back."""
TRAINING_ROWS = 200
"""Rows of training that stay, evenly spaced, the last one among them."""
TRAINED = ("violations", "lam", "lam_q10", "lam_q50", "lam_q90", "rho", "f", "f_q90", "seconds", "cpu_seconds")
"""Columns of training rows that stay: what is measured of them and what the report draws."""

FORMAT = 1
_ABOUT = "statewise"
_NAME = re.compile(r"seed-\d+-[0-9a-f]{8}\.parquet")
_SEAL = re.compile(rb"sha256:([0-9a-f]{64})")
_OPEN = b"sha256:" + b"0" * 64
"""Stands where the seal comes: the SHA-256 of the file with this in the seal's place."""


class Record(NamedTuple):
    """A run in such a file: how the grid labelled it, how far it came, and what it left behind."""

    label: str
    last_step: int
    run: Logged

    @property
    def is_finished(self) -> bool:
        """Whether the run came to its last step."""
        return self.run.failure is None and self.last_step >= self.run.spec.config.total_steps


def record_path(folder: Path, spec: RunSpec) -> Path:
    """Where a run is recorded: named as its run folder is below its root."""
    config = spec.config
    run = run_folder(folder, spec.task, config.method, config.seed, spec.digest())
    return run.with_name(f"{run.name}.parquet")


def find_records(folder: Path) -> list[Path]:
    """The records below a folder, by name."""
    return sorted(path for path in folder.rglob("seed-*.parquet") if _NAME.fullmatch(path.name))


def write_record(folder: Path, run: Logged, label: str) -> Path:
    """Record a run below a folder, in place of an older record of the same run. RunError where the disk is full."""
    path = record_path(folder, run.spec)
    about = {
        "format": FORMAT,
        "seal": _OPEN.decode(),
        "statewise": __version__,
        "label": label,
        "last_step": run.rows["step"].max() or 0,
        "run": json.loads(run.spec.to_json()),
        "cost_limit": run.cost_limit,
        "failure": run.failure,
        "machines": run.machines,
    }
    buffer = io.BytesIO()
    kept = shortened(run.rows)
    kept.write_parquet(buffer, compression_level=19, statistics=False, metadata={_ABOUT: json.dumps(about)})
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_temporary_files(path.parent, re.compile(re.escape(path.name)))
    write_bytes_atomic(path, _sealed(buffer.getvalue()))
    return path


def read_record(path: Path) -> Record:
    """A record; RunError where the file is damaged, is no record, or holds a configuration that can't be used."""
    try:
        content = path.read_bytes()
        # Before anything else reads it: what polars makes of damaged bytes may end the process.
        seal = _SEAL.search(content)
        if seal is None or _sealed(_SEAL.sub(_OPEN, content, count=1)) != content:
            raise ValueError("it is damaged, or not a record that Statewise wrote")
        about = json.loads(pl.read_parquet_metadata(io.BytesIO(content))[_ABOUT])
        if about["format"] != FORMAT:
            raise ValueError(f"it has format {about['format']!r}, and this version reads format {FORMAT}")
        spec = RunSpec.from_json(json.dumps(about["run"]))
        rows = pl.read_parquet(io.BytesIO(content)).with_columns(_at_full_width())
        run = Logged(str(path), spec, rows, about["cost_limit"], about["failure"], about["machines"])
        return Record(about["label"], about["last_step"], run)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, pl.exceptions.PolarsError) as error:
        raise RunError(f"{path}: can't be read as the results of a run: {error}") from error


def shortened(rows: pl.DataFrame) -> pl.DataFrame:
    """What a record keeps of a run's rows: evaluations whole, training thinned, DIGITS digits in single precision."""
    evaluations = rows.filter(pl.col("phase") == "eval")
    training = rows.filter(pl.col("phase") == "train")
    every = -(-len(training) // TRAINING_ROWS) or 1
    training = training[(len(training) - 1) % every :: every] if len(training) else training
    training = training.select("step", "phase", *(name for name in TRAINED if name in training.columns))
    kept = pl.concat([training, evaluations], how="diagonal").sort("step", maintain_order=True)
    used = [name for name in rows.columns if name in kept.columns and kept[name].null_count() < len(kept)]
    always = [name for name in ("step", "phase", "return", "cost") if name not in used]
    return kept.select(used + always).with_columns(pl.col(pl.Float64).round_sig_figs(DIGITS).cast(pl.Float32))


def _at_full_width() -> pl.Expr:
    return pl.col(pl.Float32).cast(pl.Float64).round_sig_figs(DIGITS)


def _sealed(content: bytes) -> bytes:
    """The bytes of a file with its seal in the place that was left for it."""
    return content.replace(_OPEN, b"sha256:" + hashlib.sha256(content).hexdigest().encode(), 1)


def key_of(spec: RunSpec) -> tuple[Any, ...]:
    """What tells a run from every other: two runs with the same key compute the same."""
    return spec.task, spec.config.method, spec.config.seed, spec.digest()
