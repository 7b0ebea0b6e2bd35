"""Checkpoints: exact round trips, equal bytes, every damage found, and the store's turnover."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from statewise.errors import CheckpointError, RunError
from statewise.storage.checkpoint import CheckpointStore, flatten, load, restore, save

ARRAYS = {
    "policy/0/w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "key": np.array([1, 2], np.uint32),
    "step": np.array(7, np.int32),
}
METADATA = {"step": 7, "task": "Pøint", "best": None, "returns": [0.1, -1e300]}

dtypes = st.sampled_from(["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__metadata__")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


class Params(NamedTuple):
    w: Any
    b: Any


def tree() -> dict[str, Any]:
    return {
        "policy": {"layers": (Params(jnp.ones((2, 3)), None), Params(np.zeros(3, np.float32), np.int8(4)))},
        "key": jax.random.PRNGKey(0),
    }


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "sound.safetensors"
    save(path, ARRAYS, METADATA)
    return path.read_bytes()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "state.safetensors"


@given(
    tensors=st.dictionaries(names, arrays, max_size=4),
    metadata=st.dictionaries(st.text(), json_values, max_size=3),
)
def test_round_trip_is_exact(scratch: Path, tensors: dict[str, np.ndarray], metadata: dict[str, Any]) -> None:
    save(scratch, tensors, metadata)
    first = scratch.read_bytes()
    loaded, loaded_metadata = load(scratch)
    assert loaded_metadata == metadata
    assert loaded.keys() == tensors.keys()
    for name, array in tensors.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()
        assert loaded[name].flags.writeable
    backwards = dict(reversed(tensors.items()))
    save(scratch, backwards, dict(reversed(metadata.items())))
    assert scratch.read_bytes() == first


def test_any_reader_of_safetensors_reads_it(sound: bytes) -> None:
    loaded = safetensors.numpy.load(sound)
    assert loaded.keys() == ARRAYS.keys()
    np.testing.assert_array_equal(loaded["policy/0/w"], ARRAYS["policy/0/w"])


def test_strided_arrays_are_written_by_value(scratch: Path) -> None:
    strided = np.arange(12.0).reshape(3, 4).T[::2]
    save(scratch, {"a": strided}, {2: "two", 10: (1, 2)})  # pyright: ignore[reportArgumentType]
    loaded, metadata = load(scratch)
    np.testing.assert_array_equal(loaded["a"], strided)
    assert metadata == {"2": "two", "10": [1, 2]}


def expect_damage(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"state\.safetensors: damaged, or not a Statewise checkpoint: ."):
        load(path)


def test_any_flipped_byte_of_the_header_is_found(sound: bytes, scratch: Path) -> None:
    header = 8 + int.from_bytes(sound[:8], "little")
    for position in range(header):
        for flip in (0x01, 0x20, ord(" ") ^ ord("\t")):
            damaged = bytearray(sound)
            damaged[position] ^= flip
            expect_damage(scratch, bytes(damaged))


@settings(max_examples=200)
@given(data=st.data())
def test_any_changed_byte_is_found(sound: bytes, scratch: Path, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(sound) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != sound[position]))
    expect_damage(scratch, sound[:position] + bytes([value]) + sound[position + 1 :])


def test_any_cut_and_any_tail_is_found(sound: bytes, scratch: Path) -> None:
    for length in range(len(sound)):
        expect_damage(scratch, sound[:length])
    expect_damage(scratch, sound + b"\0")


@given(content=st.binary(max_size=200))
def test_anything_else_is_refused(scratch: Path, content: bytes) -> None:
    expect_damage(scratch, content)
    expect_damage(scratch, len(content).to_bytes(8, "little") + content)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 50_000,
        b'{"__metadata__":{"statewise":"{\\"metadata\\":[],\\"sha256\\":\\"\\"}"}}',
        b'{"__metadata__":{"statewise":"{\\"metadata\\":{},\\"sha256\\":\\"\\"}"},'
        b'"a":{"dtype":"BF16","shape":[0,99999999999999999999],"data_offsets":[0,0]}}',
        b'{"__metadata__":{"statewise":"{\\"metadata\\":{},\\"sha256\\":\\"\\"}"},'
        b'"a":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}',
        b'{"__metadata__":{"statewise":"{\\"metadata\\":{},\\"sha256\\":\\"\\"}"},'
        b'"a":{"dtype":"F32","shape":[0,9223372036854775808],"data_offsets":[0,0]}}',
        b"\xff\xfe",
        b"1" * 5000,
    ],
)
def test_hostile_headers_are_refused(scratch: Path, header: bytes) -> None:
    expect_damage(scratch, len(header).to_bytes(8, "little") + header + b"\0\0")


@pytest.mark.parametrize(
    ("old", "new"), [(b"\\u00f8", b"\\u00F8"), (b'"dtype":', b'"dt\\u0079pe":'), (b":[", b": ["), (b"}}", b"}}\t")]
)
def test_header_spelled_otherwise_is_found(sound: bytes, scratch: Path, old: bytes, new: bytes) -> None:
    """The same JSON in other characters: nothing that the digest alone could tell."""
    end = 8 + int.from_bytes(sound[:8], "little")
    header = sound[8:end].replace(old, new)
    assert header != sound[8:end]
    expect_damage(scratch, len(header).to_bytes(8, "little") + header + sound[end:])


def test_absurd_length_reads_nothing(scratch: Path) -> None:
    expect_damage(scratch, (2**62).to_bytes(8, "little") + b"{}")


def test_foreign_safetensors_file_is_refused(scratch: Path) -> None:
    expect_damage(scratch, safetensors.numpy.save({"a": np.zeros(3)}))
    expect_damage(scratch, safetensors.numpy.save({"a": np.zeros(3)}, {"format": "np"}))


def test_missing_checkpoint_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors: there is no such checkpoint"):
        load(tmp_path / "gone.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("array", [np.array("text"), np.array([None]), np.zeros(2, ">f4"), np.zeros(2, "c8")])
def test_dtypes_that_cannot_be_kept_are_refused(scratch: Path, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="policy/w has dtype"):
        save(scratch, {"policy/w": array}, {})


def test_metadata_must_be_plain_json(scratch: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        save(scratch, {}, {"best": float("nan")})


def test_flatten_names_leaves_by_their_path() -> None:
    flat = flatten(tree())
    assert sorted(flat) == ["key", "policy/layers/0/w", "policy/layers/1/b", "policy/layers/1/w"]
    assert flat["policy/layers/1/b"].dtype == np.int8
    assert flat["key"].dtype == np.uint32


def test_flatten_copies() -> None:
    leaf = np.zeros(2)
    flat = flatten({"a": leaf})
    leaf += 1
    np.testing.assert_array_equal(flat["a"], [0, 0])


def test_restore_gives_the_tree_back(scratch: Path) -> None:
    save(scratch, flatten(tree()), {})
    template = jax.eval_shape(tree)
    restored = restore(template, load(scratch)[0])
    assert jax.tree.structure(restored) == jax.tree.structure(tree())
    jax.tree.map(np.testing.assert_array_equal, restored, tree())


def test_restore_lists_every_difference() -> None:
    stored = {"a": np.zeros(2), "b": np.zeros(3, np.float32), "old": np.zeros(1)}
    template = {"a": np.zeros((2, 1)), "b": np.zeros(3), "new": np.zeros(1)}
    with pytest.raises(CheckpointError) as failure:
        restore(template, stored)
    message = str(failure.value)
    assert "new is missing" in message
    assert "old is extra" in message
    assert "a is float64[2], not float64[2, 1]" in message
    assert "b is float32[3], not float64[3]" in message


def test_flatten_refuses_numbers_and_clashing_names() -> None:
    with pytest.raises(ValueError, match="count is 3"):
        flatten({"count": 3})
    with pytest.raises(ValueError, match="a/b names two leaves"):
        flatten({"a/b": np.zeros(1), "a": {"b": np.zeros(1)}})


def test_store_keeps_the_newest(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoints", keep=2)
    assert store.latest() is None
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        store.load_latest()
    for step in (10, 20, 30):
        store.save(step, ARRAYS, {"step": step})
    assert store.steps() == [20, 30]
    assert store.latest() == (30, store.path(30))
    assert store.path(30).name == "step-000000000030.safetensors"
    step, loaded, metadata = store.load_latest()
    assert (step, metadata) == (30, {"step": 30})
    np.testing.assert_array_equal(loaded["key"], ARRAYS["key"])


def test_store_drops_the_future_it_went_back_from(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(30, ARRAYS, {})
    store.save(20, ARRAYS, {})
    assert store.steps() == [20]


def test_best_outlives_its_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=1)
    store.save(10, ARRAYS, {"step": 10})
    assert store.mark_best(10)
    assert not store.mark_best(10)
    store.save(20, ARRAYS, {"step": 20})
    assert load(store.best_path)[1] == {"step": 10}
    assert store.steps() == [20]
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        store.mark_best(10)


def test_store_ignores_and_clears_leftovers(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path, keep=2)
    store.save(10, ARRAYS, {})
    leftover = tmp_path / ".step-000000000020.safetensors.4711.tmp"
    leftover.write_bytes(b"half")
    (tmp_path / ".draft.4711.tmp").write_bytes(b"mine")
    (tmp_path / "step-notes.safetensors").write_bytes(b"mine")
    assert store.steps() == [10]
    store.save(20, ARRAYS, {})
    assert not leftover.exists()
    assert (tmp_path / ".draft.4711.tmp").exists()
    assert store.steps() == [10, 20]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_the_checkpoints_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def no_space(_: int) -> None:
        raise OSError(code, os.strerror(code))

    store = CheckpointStore(tmp_path, keep=1)
    store.save(10, ARRAYS, {"step": 10})
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_space)
        for step in (10, 20):
            with pytest.raises(RunError, match="disk full while writing"):
                store.save(step, ARRAYS, {})
    assert [path.name for path in tmp_path.iterdir()] == [store.path(10).name]
    assert store.load_latest()[2] == {"step": 10}


def test_other_faults_of_the_disk_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        save(tmp_path / "state.safetensors", ARRAYS, {})
    assert list(tmp_path.iterdir()) == []


def test_keep_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="keep is 0"):
        CheckpointStore(tmp_path, keep=0)
