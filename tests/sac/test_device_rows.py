"""Minibatches gathered on the device are those that the replay draws, whatever was added and taken back between."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.sac import device_rows
from statewise.sac.device_rows import DeviceRows
from statewise.storage.replay import Replay, RowLayout

LAYOUT = RowLayout(obs_dim=2, act_dim=1)


def numbered_rows(first: int, count: int) -> np.ndarray:
    """Rows that tell their number in every column."""
    return np.repeat(np.arange(first, first + count, dtype=np.float32)[:, None], LAYOUT.width, axis=1)


@given(
    capacity=st.sampled_from([1, 12]),
    slack=st.sampled_from([0, 6]),
    actions=st.lists(st.tuples(st.sampled_from(["add", "draw", "keep", "rewind"]), st.integers(0, 9)), max_size=30),
)
def test_draws_follow_the_replay(capacity: int, slack: int, actions: list[tuple[str, int]]) -> None:
    replay = Replay(LAYOUT, capacity, slack=slack)
    rows = DeviceRows(replay)
    number = kept = 0
    for step, (action, count) in enumerate(actions):
        if action == "add" and count <= capacity + slack:
            replay.add(numbered_rows(number, count))
            # Rows after a rewind have other numbers than those that they replace.
            number += count
        elif action == "keep":
            kept = replay.count
        elif action == "rewind" and replay.count - kept <= slack:
            replay.rewind(kept)
        if action == "draw" and len(replay):
            drawn = rows.sample(3, step, (5, 4))
            assert isinstance(drawn, jax.Array)
            np.testing.assert_array_equal(drawn, replay.sample(3, step, (5, 4)))


def test_more_rows_than_go_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_rows, "_PIECE", 7)
    replay = Replay(LAYOUT, 50)
    rows = DeviceRows(replay)
    for first in (0, 40, 80):
        replay.add(numbered_rows(first, 40))
        np.testing.assert_array_equal(rows.sample(0, first, (300,)), replay.sample(0, first, (300,)))


def test_an_empty_replay_gives_nothing() -> None:
    with pytest.raises(ValueError, match="cannot sample from 0 rows"):
        DeviceRows(Replay(LAYOUT, 5)).sample(0, 0, (1,))


class Device:
    """An accelerator with some memory."""

    def __init__(self, **memory: int) -> None:
        self._memory = memory or None

    def memory_stats(self) -> dict[str, int] | None:
        return self._memory


def test_rows_fit_where_an_accelerator_has_twice_their_size_free(monkeypatch: pytest.MonkeyPatch) -> None:
    replay = Replay(LAYOUT, 90, slack=10)
    size = 4 * 100 * LAYOUT.width
    for memory, fits in [
        ({"bytes_limit": 3 * size, "bytes_in_use": size}, True),
        ({"bytes_limit": 3 * size - 1, "bytes_in_use": size}, False),
        ({}, False),
    ]:
        device = Device(**memory)
        monkeypatch.setattr(jax, "devices", lambda device=device: [device])
        monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
        assert device_rows.fit(replay) is fits
        monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
        assert not device_rows.fit(replay)
