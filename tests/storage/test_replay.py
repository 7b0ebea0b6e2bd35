"""The replay buffer against a plain list, its draws, and the files it must refuse."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.types import Batch
from statewise.errors import CheckpointError, RunError
from statewise.storage import replay as replay_module
from statewise.storage import row_store
from statewise.storage.replay import Replay, RowLayout
from statewise.storage.row_store import RowStore

LAYOUT = RowLayout(obs_dim=2, act_dim=1)


def numbered_rows(start: int, count: int) -> np.ndarray:
    """Rows whose every column tells the number of the row."""
    return np.repeat(np.arange(start, start + count, dtype=np.float32)[:, None], LAYOUT.width, axis=1)


def window(replay: Replay) -> list[int]:
    """Row numbers that can be drawn, oldest first; every one of them must be whole."""
    if not len(replay):
        return []
    drawn = replay.sample(0, 0, (60 * len(replay),))
    assert (drawn == drawn[:, :1]).all()
    return sorted({int(number) for number in drawn[:, 0]})


def test_pack_and_unpack_are_inverse() -> None:
    rng = np.random.default_rng(0)
    batch = Batch(*(rng.random((5, *tail)).astype(np.float32) for tail in [(2,), (1,), (), (), (), (), (), (2,)]))
    rows = LAYOUT.pack(*batch)
    assert rows.shape == (5, LAYOUT.width)
    assert rows.dtype == np.float32
    unpacked = LAYOUT.unpack(rows)
    compiled = jax.jit(LAYOUT.unpack)(rows)
    for name in Batch._fields:
        np.testing.assert_array_equal(getattr(unpacked, name), getattr(batch, name))
        np.testing.assert_array_equal(getattr(compiled, name), getattr(batch, name))


def test_pack_names_the_field_of_a_wrong_shape() -> None:
    scalar = np.zeros(3)
    with pytest.raises(ValueError, match=r"action has shape \(3, 2\)"):
        LAYOUT.pack(np.zeros((3, 2)), np.zeros((3, 2)), scalar, scalar, scalar, scalar, scalar, np.zeros((3, 2)))


@given(
    capacity=st.integers(1, 12),
    slack=st.integers(0, 6),
    on_disk=st.booleans(),
    actions=st.lists(st.tuples(st.sampled_from(["add", "keep", "rewind", "reopen"]), st.integers(0, 9))),
)
def test_window_follows_a_list(
    tmp_path_factory: pytest.TempPathFactory,
    capacity: int,
    slack: int,
    on_disk: bool,
    actions: list[tuple[str, int]],
) -> None:
    """Adds, checkpoints, rewinds and restarts in any order give the window that a list would give."""
    path = tmp_path_factory.mktemp("replay") / "replay.bin" if on_disk else None
    replay = Replay(LAYOUT, capacity, slack=slack, path=path)
    rows: list[int] = []
    next_number = furthest = 0
    kept = [0]
    for action, number in actions:
        if action == "add" and number <= capacity + slack:
            replay.add(numbered_rows(next_number, number))
            rows += range(next_number, next_number + number)
            next_number += number
            furthest = max(furthest, len(rows))
        elif action == "keep":
            replay.flush()
            kept.append(len(rows))
        elif action in ("rewind", "reopen"):
            count = kept[number % len(kept)]
            if action == "reopen" and path is not None:
                replay = Replay(LAYOUT, capacity, slack=slack, path=path)
            elif action == "reopen":
                continue
            within_slack = furthest - count <= slack or furthest <= capacity + slack
            if count and not within_slack:
                with pytest.raises(CheckpointError, match="continue from a later checkpoint"):
                    replay.rewind(count)
                count = 0
            replay.rewind(count)
            del rows[count:]
            kept = [known for known in kept if known <= count]
            furthest = furthest if count else 0
        assert replay.count == len(rows)
        assert window(replay) == rows[-capacity:]


def test_rewind_refuses_rows_that_were_never_written(tmp_path: Path) -> None:
    replay = Replay(LAYOUT, 10, path=tmp_path / "replay.bin")
    replay.add(numbered_rows(0, 4))
    with pytest.raises(CheckpointError, match="4 rows were ever written"):
        replay.rewind(5)


def test_rewind_to_nothing_starts_a_new_history(tmp_path: Path) -> None:
    path = tmp_path / "replay.bin"
    Replay(LAYOUT, 4, slack=1, path=path).add(numbered_rows(0, 5))
    replay = Replay(LAYOUT, 4, slack=1, path=path)
    replay.rewind(5)
    replay.add(numbered_rows(5, 4))
    replay.rewind(0)
    replay.add(numbered_rows(0, 3))
    replay.rewind(2)
    assert window(replay) == [0, 1]


def test_lost_window_is_known_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "replay.bin"
    replay = Replay(LAYOUT, 10, slack=3, path=path)
    replay.add(numbered_rows(0, 12))
    replay.flush()
    replay.add(numbered_rows(12, 3))
    Replay(LAYOUT, 10, slack=3, path=path).rewind(12)
    replay.add(numbered_rows(15, 1))
    with pytest.raises(CheckpointError, match="overwritten"):
        Replay(LAYOUT, 10, slack=3, path=path).rewind(12)


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(("added", "lost"), [(3, False), (4, True), (9, True)])
def test_power_cut_cannot_hide_a_lost_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, added: int, lost: bool, restart: bool
) -> None:
    """The worst the disk may do: all new rows are on it, the header is as it was when last made durable."""
    path = tmp_path / "replay.bin"
    replay = Replay(LAYOUT, 10, slack=3, path=path)
    replay.add(numbered_rows(0, 12))
    replay.flush()
    if restart:
        replay = Replay(LAYOUT, 10, slack=3, path=path)
        replay.rewind(12)
    durable = [path.read_bytes()[:4096]]
    monkeypatch.setattr(RowStore, "sync_written", lambda _: durable.append(path.read_bytes()[:4096]))
    for number in range(added):
        replay.add(numbered_rows(12 + number, 1))
    assert len(durable) == 1 + lost
    path.write_bytes(durable[-1] + path.read_bytes()[4096:])
    replay = Replay(LAYOUT, 10, slack=3, path=path)
    if lost:
        with pytest.raises(CheckpointError, match="overwritten"):
            replay.rewind(12)
    else:
        replay.rewind(12)
        assert window(replay) == list(range(2, 12))


@pytest.mark.parametrize(("capacity", "slack", "added"), [(10, 3, 9), (10, 3, 12), (10, 3, 40), (16, 0, 41), (5, 1, 7)])
def test_every_changed_bit_of_a_row_that_can_be_drawn_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capacity: int, slack: int, added: int
) -> None:
    monkeypatch.setattr(replay_module, "_BLOCK_ROWS", 4)
    path = tmp_path / "replay.bin"
    replay = Replay(LAYOUT, capacity, slack=slack, path=path)
    for row in range(added):
        replay.add(numbered_rows(row, 1))
        replay.digests()
    digests = replay.digests()
    drawn = set(window(replay))
    whole = path.read_bytes()
    places, row_bytes = capacity + slack, 4 * LAYOUT.width
    for place in range(min(places, added)):
        damaged = bytearray(whole)
        damaged[4096 + place * row_bytes + place % row_bytes] ^= 1 << place % 8
        path.write_bytes(damaged)
        again = Replay(LAYOUT, capacity, slack=slack, path=path)
        row = max(row for row in range(added) if row % places == place)
        if row not in drawn:
            again.rewind(added, digests)
            continue
        with pytest.raises(
            CheckpointError, match=r"replay\.bin: rows \d+ to \d+ are damaged, or of another run"
        ) as said:
            again.rewind(added, digests)
        first, last = (int(word) for word in str(said.value).split() if word.isdigit())
        assert first <= row <= last < first + 4


def test_digests_are_those_of_the_rows_and_not_of_the_way_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, "_BLOCK_ROWS", 4)
    step_by_step, at_once = Replay(LAYOUT, 10, slack=5), Replay(LAYOUT, 10, slack=5)
    for row in range(29):
        step_by_step.add(numbered_rows(row, 1))
        step_by_step.digests()
    for start, count in ((0, 15), (15, 13), (28, 1)):
        at_once.add(numbered_rows(start, count))
    assert step_by_step.digests() == at_once.digests()
    step_by_step.rewind(27)
    step_by_step.add(numbered_rows(99, 2))
    assert step_by_step.digests() != at_once.digests()
    with pytest.raises(CheckpointError, match="2 digests of 4 blocks"):
        at_once.rewind(29, ["", ""])


def test_a_file_with_rows_must_be_rewound_first(tmp_path: Path) -> None:
    path = tmp_path / "replay.bin"
    Replay(LAYOUT, 10, path=path).add(numbered_rows(0, 4))
    replay = Replay(LAYOUT, 10, path=path)
    with pytest.raises(CheckpointError, match="rewind"):
        replay.add(numbered_rows(0, 1))
    replay.rewind(4)
    replay.add(numbered_rows(4, 1))
    assert window(replay) == [0, 1, 2, 3, 4]


def test_draws_are_uniform() -> None:
    replay = Replay(LAYOUT, 100, slack=7)
    replay.add(numbered_rows(0, 107))
    replay.add(numbered_rows(107, 50))
    draws = 200_000
    counts = np.bincount(replay.sample(3, 9, (draws,))[:, 0].astype(int) - 57, minlength=100)
    expected = draws / 100
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # 99 degrees of freedom: mean 99, standard deviation 14.1.
    assert 99 - 5 * 14.1 < chi_square < 99 + 5 * 14.1


def test_draws_are_a_function_of_seed_and_step(tmp_path: Path) -> None:
    memory = Replay(LAYOUT, 1000)
    disk = Replay(LAYOUT, 1000, slack=17, path=tmp_path / "replay.bin")
    for replay in (memory, disk):
        for start in range(0, 3000, 500):
            replay.add(numbered_rows(start, 500))
    disk.sample(1, 1, (5,))
    first = memory.sample(1, 2, (4, 8))
    assert first.shape == (4, 8, LAYOUT.width)
    np.testing.assert_array_equal(first, disk.sample(1, 2, (4, 8)))
    for seed, step in [(1, 3), (2, 2)]:
        assert (memory.sample(seed, step, (4, 8)) != first).mean() > 0.9


def test_draws_of_neighbouring_steps_do_not_overlap() -> None:
    replay = Replay(LAYOUT, 1_000_000)
    replay.add(numbered_rows(0, 1_000_000))
    draws = [replay.sample(0, step, (1000,))[:, 0] for step in range(4)]
    shared = [np.isin(a, b).sum() for i, a in enumerate(draws) for b in draws[:i]]
    assert max(shared) < 10  # one is expected by chance


def test_recent_limits_the_draws_to_the_newest_rows() -> None:
    replay = Replay(LAYOUT, 10, slack=2)
    replay.add(numbered_rows(0, 9))
    replay.add(numbered_rows(9, 9))
    drawn = replay.sample(0, 0, (500,), recent=3)[:, 0]
    assert set(drawn.astype(int)) == {15, 16, 17}
    assert set(replay.sample(0, 0, (500,), recent=99)[:, 0].astype(int)) == set(range(8, 18))


def test_samples_are_fresh_unless_a_target_is_given() -> None:
    replay = Replay(LAYOUT, 10)
    replay.add(numbered_rows(0, 10))
    first = replay.sample(0, 0, (6,))
    assert not np.shares_memory(first, replay.sample(0, 0, (6,)))
    out = np.empty((6, LAYOUT.width), np.float32)
    assert replay.sample(0, 0, (6,), out=out) is out
    np.testing.assert_array_equal(out, first)


def test_wrong_calls_say_what_is_allowed() -> None:
    replay = Replay(LAYOUT, 4, slack=1)
    with pytest.raises(ValueError, match="add rows first"):
        replay.sample(0, 0, (1,))
    with pytest.raises(ValueError, match="at most 5, 10"):
        replay.add(np.zeros((6, LAYOUT.width)))
    with pytest.raises(ValueError, match="at most 5, 10"):
        replay.add(np.zeros((1, LAYOUT.width + 1)))
    with pytest.raises(ValueError, match="capacity is 0"):
        Replay(LAYOUT, 0)
    with pytest.raises(ValueError, match="slack is -1"):
        Replay(LAYOUT, 1, slack=-1)


def test_file_grows_with_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "replay.bin"
    row_bytes = 4 * LAYOUT.width
    monkeypatch.setattr(row_store, "_SEGMENT_BYTES", 100 * row_bytes)
    replay = Replay(LAYOUT, 1000, slack=50, path=path)
    sizes = []
    for start in range(0, 1200, 60):
        replay.add(numbered_rows(start, 60))
        sizes.append(path.stat().st_size)
    assert sizes[0] == 4096 + 100 * row_bytes
    assert sizes[-1] == 4096 + 1050 * row_bytes
    assert window(replay) == list(range(200, 1200))


def test_without_posix_fallocate_the_file_is_filled_with_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: the blocks must be the file's own, as a write into a hole of a full disk kills the process."""
    path = tmp_path / "replay.bin"
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(row_store, "_SEGMENT_BYTES", 1000 * 4 * LAYOUT.width)
    monkeypatch.setattr(row_store, "_ZEROS_BYTES", 999)
    replay = Replay(LAYOUT, 3000, path=path)
    for start in range(0, 3600, 60):
        replay.add(numbered_rows(start, 60))
    assert path.stat().st_size == 4096 + 3000 * 4 * LAYOUT.width
    assert path.stat().st_blocks * 512 >= path.stat().st_size
    assert window(replay) == list(range(600, 3600))


def test_full_disk_is_an_error_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(row_store, "_SEGMENT_BYTES", 4 * LAYOUT.width)
    replay = Replay(LAYOUT, 10, path=tmp_path / "replay.bin")
    replay.add(numbered_rows(0, 4))
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", no_space)
        with pytest.raises(RunError, match=r"disk full while writing .*replay\.bin"):
            replay.add(numbered_rows(4, 1))
    assert window(replay) == [0, 1, 2, 3]
    replay.add(numbered_rows(4, 1))
    assert window(replay) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("layout", "capacity", "slack"),
    [(RowLayout(1, 3), 10, 2), (RowLayout(2, 2), 10, 2), (LAYOUT, 11, 1), (LAYOUT, 10, 1)],
)
def test_file_of_another_shape_is_refused(tmp_path: Path, layout: RowLayout, capacity: int, slack: int) -> None:
    path = tmp_path / "replay.bin"
    Replay(LAYOUT, 10, slack=2, path=path)
    with pytest.raises(CheckpointError, match=r"replay\.bin: not the replay of this run.*obs_dim=2 act_dim=1"):
        Replay(layout, capacity, slack=slack, path=path)


@given(cut=st.integers(0, 4096 + 4 * 4 * 9 - 1))
def test_cut_file_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("replay") / "replay.bin"
    Replay(LAYOUT, 4, path=path).add(numbered_rows(0, 4))
    os.truncate(path, cut)
    with pytest.raises(CheckpointError, match=r"replay\.bin.* cut"):
        Replay(LAYOUT, 4, path=path)


@given(content=st.binary(max_size=100) | st.binary(max_size=50).map(lambda some: some.ljust(5000, b"x")))
def test_foreign_file_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("replay") / "replay.bin"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"replay\.bin"):
        Replay(LAYOUT, 4, path=path)
    assert path.read_bytes() == content


def test_rows_by_number_are_those_that_were_added_and_still_there() -> None:
    replay = Replay(LAYOUT, 5, slack=2)
    for first in (0, 4, 8):
        replay.add(numbered_rows(first, 4))
    np.testing.assert_array_equal(replay.rows_from(8, 12), numbered_rows(8, 4))
    np.testing.assert_array_equal(replay.rows_from(7, 7), numbered_rows(7, 0))
    for first, end in [(6, 9), (8, 13), (9, 8)]:
        with pytest.raises(ValueError, match=f"rows {first} to {end} are not within 7 to 12"):
            replay.rows_from(first, end)


def test_places_are_where_the_drawn_rows_lie() -> None:
    replay = Replay(LAYOUT, 5, slack=2)
    replay.add(numbered_rows(0, 7))
    replay.add(numbered_rows(7, 3))
    drawn = replay.sample(4, 1, (50,), recent=3)[:, 0]
    np.testing.assert_array_equal(replay.places_of(4, 1, (50,), recent=3) % replay.places, drawn % replay.places)
    assert set(drawn) == {7, 8, 9}
