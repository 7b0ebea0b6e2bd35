"""The metrics file: schema, exact numbers, and a resume that leaves no gap, no double and no half row."""

from __future__ import annotations

import errno
import math
import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.columns import TIMING_COLUMNS
from statewise.errors import CheckpointError, RunError
from statewise.methods import metric_columns
from statewise.storage.metrics import MetricsWriter, read

COLUMNS = metric_columns("sac")
SCHEMA = tuple(column.name for column in COLUMNS)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("metrics") / "metrics.csv"


def row(step: int) -> dict[str, float | str]:
    return {"step": step, "gradient_step": step, "phase": "train", "return": step / 3}


def test_schema_names_are_unique_and_explained() -> None:
    assert SCHEMA[:3] == ("step", "gradient_step", "phase")
    assert len(set(SCHEMA)) == len(SCHEMA) == len(COLUMNS)
    for column in (*COLUMNS, *TIMING_COLUMNS):
        assert re.fullmatch(r"[a-z_]+\d*", column.name)
        assert len(column.meaning) > 10


def test_rows_come_back_in_typed_columns(path: Path) -> None:
    with MetricsWriter(path, COLUMNS) as writer:
        writer.append({"step": 0, "phase": "eval", "return": math.nan, "cost": -math.inf})
        writer.append({"step": np.int64(2**40), "gradient_step": 3.0, "phase": "train", "q": np.float32(0.1)})
    frame = read(path)
    assert frame.columns == list(SCHEMA)
    assert frame.schema["step"] == pl.Int64
    assert frame.schema["phase"] == pl.String
    assert frame.schema["lam"] == pl.Float64
    assert frame["step"].to_list() == [0, 2**40]
    assert frame["gradient_step"].to_list() == [None, 3]
    assert math.isnan(frame["return"][0])
    assert frame["cost"].to_list() == [-math.inf, None]
    assert frame["q"][1] == float(np.float32(0.1))
    assert frame["lam"].to_list() == [None, None]


@given(values=st.lists(st.floats(), min_size=1, max_size=5))
def test_numbers_round_trip_exactly(path: Path, values: list[float]) -> None:
    with MetricsWriter(path, COLUMNS) as writer:
        for value in values:
            writer.append({"step": 0, "lam": value})
    np.testing.assert_array_equal(read(path)["lam"].to_numpy(), values)


@pytest.mark.parametrize("place", [0, 3, 40, -2])
def test_rows_other_than_those_of_the_checkpoint_are_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "metrics.csv"
    with MetricsWriter(path, COLUMNS) as writer:
        writer.append(row(1))
        position, digest = writer.position, writer.digest
        writer.append(row(2))
    with MetricsWriter(path, COLUMNS, position=position, digest=digest) as writer:
        assert (writer.position, writer.digest) == (position, digest)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"metrics\.csv"):
        MetricsWriter(path, COLUMNS, position=position, digest=digest)
    assert path.read_bytes() == data


def test_timing_has_its_own_columns(path: Path) -> None:
    with MetricsWriter(path, TIMING_COLUMNS) as writer:
        writer.append({"step": 1, "seconds": 0.5})
    assert read(path).columns == [column.name for column in TIMING_COLUMNS]


@given(actions=st.lists(st.tuples(st.sampled_from(["append", "keep", "crash"]), st.integers(0, 9)), max_size=20))
def test_resume_leaves_no_gap_no_double_and_no_half_row(path: Path, actions: list[tuple[str, int]]) -> None:
    writer = MetricsWriter(path, COLUMNS)
    rows: list[int] = []
    kept = [(0, 0)]
    for number, (action, choice) in enumerate(actions):
        if action == "append":
            writer.append(row(number))
            rows.append(number)
        elif action == "keep":
            writer.flush()
            kept.append((writer.position, len(rows)))
        else:
            writer.close()
            with path.open("ab") as file:
                file.write(b"9,9,train,0.1"[:choice])
            position, count = kept[choice % len(kept)]
            kept = kept[: choice % len(kept) + 1]
            writer = MetricsWriter(path, COLUMNS, position=position)
            del rows[count:]
        assert writer.position == path.stat().st_size
        assert read(path)["step"].to_list() == rows
    writer.close()


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        with MetricsWriter(tmp_path / name, COLUMNS) as writer:
            writer.append(row(1))
            writer.append(dict(reversed(row(2).items())))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_half_row_of_a_killed_writer_is_not_read(path: Path) -> None:
    with MetricsWriter(path, COLUMNS) as writer:
        writer.append(row(1))
    with path.open("ab") as file:
        file.write(b"2,2,tr")
    assert read(path)["step"].to_list() == [1]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"retrun": 1.0}, "unknown metric 'retrun': the columns are step, gradient_step"),
        ({"step": 1.5}, r"step is 1\.5: it must be a whole number"),
        ({"step": math.nan}, "step is nan: it must be a whole number"),
        ({"lam": "high"}, "lam is 'high': it must be a number"),
        ({"phase": "a,b"}, "phase is 'a,b': it must be one word"),
        ({"phase": 3}, "phase is 3: it must be one word"),
    ],
)
def test_wrong_rows_are_refused_whole(path: Path, bad: dict[str, float | str], message: str) -> None:
    with MetricsWriter(path, COLUMNS) as writer:
        with pytest.raises(ValueError, match=message):
            writer.append({"gradient_step": 1} | bad)
        writer.append(row(1))
    assert read(path)["step"].to_list() == [1]


def test_positions_that_end_no_row_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with MetricsWriter(path, COLUMNS) as writer:
        writer.append(row(1))
        end = writer.position
    content = path.read_bytes()
    for position in (1, end - 1, end + 1):
        with pytest.raises(CheckpointError, match=rf"metrics\.csv: no row ends at byte {position}"):
            MetricsWriter(path, COLUMNS, position=position)
    with pytest.raises(CheckpointError, match="other columns"):
        MetricsWriter(path, TIMING_COLUMNS, position=end)
    assert path.read_bytes() == content
    path.unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        MetricsWriter(path, COLUMNS, position=end)


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\n", b"step,lam\n1,2,3\n", b"step,lam\nx,2\n"])
def test_files_of_others_are_not_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.csv: not a metrics file"):
        read(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"metrics\.csv: there is no such file"):
        read(tmp_path / "metrics.csv")


def test_full_disk_is_a_run_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with MetricsWriter(path, COLUMNS) as writer:
        writer.append(row(1))
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", no_space)
            with pytest.raises(RunError, match="disk full while writing"):
                writer.flush()
    assert read(path)["step"].to_list() == [1]
