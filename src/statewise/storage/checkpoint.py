"""Checkpoints: one safetensors file each, equal bytes for equal content, every damage found on loading."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from statewise.errors import CheckpointError
from statewise.storage.files import remove_temporary_files, write_bytes_atomic

Arrays = dict[str, NDArray[Any]]

_KEY = "statewise"
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
_STEP_DIGITS = 12
_NAMES = re.compile(rf"(step-\d{{{_STEP_DIGITS}}}|best)\.safetensors")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = ("bool", *_INTEGERS, "float16", "float32", "float64")


def save(path: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
    """Write named arrays and JSON metadata as one file that appears whole or not at all.

    Equal content gives equal bytes. Raises ValueError for a dtype or metadata that cannot be written,
    RunError when the disk is full; an older file at `path` is then as it was.
    """
    tensors = {name: _plain(name, array) for name, array in arrays.items()}
    metadata = json.loads(_canonical_json(metadata))
    content = {"metadata": metadata, "sha256": _digest(tensors, metadata)}
    # One key alone, as safetensors writes several in random order.
    write_bytes_atomic(path, safetensors.numpy.save(tensors, {_KEY: _canonical_json(content)}))


def load(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """The arrays and the metadata of a checkpoint, verified against its digest.

    Raises CheckpointError, naming the file and the problem, when it is missing, cut, changed or foreign.
    """
    try:
        with path.open("rb") as file:
            length = file.read(_LENGTH_BYTES)
            header = file.read(_header_bytes(length))
            metadata, digest = _read_header(header)
            arrays = safetensors.numpy.load(length + header + file.read())
        if digest != _digest(arrays, metadata):
            raise CheckpointError("its content does not match its digest")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such checkpoint") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, OverflowError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged, or not a Statewise checkpoint: {error}") from error
    return arrays, metadata


def flatten(tree: Any) -> Arrays:
    """Copies of a pytree's arrays by name, such as `policy/layers/0/w`.

    Leaves are NumPy or JAX arrays; anything else raises ValueError. None holds no leaf.
    """
    arrays: Arrays = {}
    for name, leaf in _named_leaves(tree):
        if not hasattr(leaf, "dtype"):
            raise ValueError(f"{name} is {leaf!r}: a checkpoint holds arrays alone, so make it an array")
        if name in arrays:
            raise ValueError(f"{name} names two leaves: rename one of the keys that lead there")
        arrays[name] = np.array(leaf)
    return arrays


def restore(template: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """A tree like `template` with the leaves that `flatten` named, as NumPy arrays.

    Raises CheckpointError listing every name that is missing, extra, or of another shape or dtype.
    """
    import jax

    leaves = dict(_named_leaves(template))
    problems = [f"{name} is missing" for name in leaves if name not in arrays]
    problems += [f"{name} is extra" for name in arrays if name not in leaves]
    for name, leaf in leaves.items():
        found, wanted = _kind(arrays.get(name, leaf)), _kind(leaf)
        if found != wanted:
            problems.append(f"{name} is {found}, not {wanted}")
    if problems:
        raise CheckpointError("the checkpoint is of another configuration: " + "; ".join(problems))
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(template), [arrays[n] for n in leaves])


class CheckpointStore:
    """The newest `keep` checkpoints of a run in one folder, and a copy of the best one.

    Only the process that holds the run's lock may save; any process may read.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}: it must be 1 or more")
        self.folder = folder
        self.keep = keep

    @property
    def best_path(self) -> Path:
        """Where `mark_best` puts its copy."""
        return self.folder / "best.safetensors"

    def path(self, step: int) -> Path:
        """File of the checkpoint taken at `step`."""
        return self.folder / f"step-{step:0{_STEP_DIGITS}d}.safetensors"

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, oldest first."""
        names = "step-" + "[0-9]" * _STEP_DIGITS + ".safetensors"
        return sorted(int(path.stem.removeprefix("step-")) for path in self.folder.glob(names))

    def latest(self) -> tuple[int, Path] | None:
        """Step and file of the newest checkpoint, None when there is none."""
        steps = self.steps()
        return (steps[-1], self.path(steps[-1])) if steps else None

    def load_latest(self) -> tuple[int, Arrays, dict[str, Any]]:
        """Step, arrays and metadata of the newest checkpoint.

        Raises CheckpointError when there is none or it is damaged; remove that file to use the one before.
        """
        latest = self.latest()
        if latest is None:
            raise CheckpointError(f"{self.folder}: holds no checkpoint")
        step, path = latest
        return step, *load(path)

    def save(self, step: int, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> Path:
        """Write the checkpoint of `step`, then drop older ones beyond `keep`, and any of a later step.

        A later step belongs to a future that was given up when the run went back. Raises what the function
        `save` raises; the checkpoints of before are then all there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_temporary_files(self.folder, _NAMES)
        save(self.path(step), arrays, metadata)
        self.prune(step)
        return self.path(step)

    def prune(self, step: int) -> bool:
        """Drop checkpoints beyond the newest `keep` up to `step`; whether there were any."""
        kept = [known for known in self.steps() if known <= step][-self.keep :]
        dropped = [known for known in self.steps() if known not in kept]
        for known in dropped:
            self.path(known).unlink()
        return bool(dropped)

    def mark_best(self, step: int) -> bool:
        """Let `best_path` hold a copy of the checkpoint of `step`, which outlives it; whether it did not yet.

        Raises CheckpointError when there is no such checkpoint, RunError when the disk is full.
        """
        if not self.path(step).exists():
            raise CheckpointError(f"{self.path(step)}: there is no such checkpoint")
        content = self.path(step).read_bytes()
        if self.best_path.exists() and self.best_path.read_bytes() == content:
            return False
        write_bytes_atomic(self.best_path, content)
        return True


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.name not in _DTYPES or not array.dtype.isnative:
        raise ValueError(f"{name} has dtype {array.dtype}, but a checkpoint holds {', '.join(_DTYPES)}")
    return np.asarray(array, order="C")


def _canonical_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> str:
    """SHA-256 over the metadata and every name, dtype, shape and byte."""
    names = sorted(arrays)
    index = [[name, arrays[name].dtype.name, arrays[name].shape] for name in names]
    digest = hashlib.sha256(_canonical_json({"arrays": index, "metadata": dict(metadata)}).encode())
    for name in names:
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _header_bytes(length: bytes) -> int:
    count = int.from_bytes(length, "little")
    if len(length) < _LENGTH_BYTES or count > _MAX_HEADER_BYTES:
        raise CheckpointError("it does not start with the length of a header")
    return count


def _read_header(header: bytes) -> tuple[dict[str, Any], str]:
    """Metadata and digest from the header, which must be what `save` writes down to the last space."""
    try:
        fields = json.loads(header)
        text = fields["__metadata__"][_KEY]
        content = json.loads(text)
        metadata, digest = dict(content["metadata"]), str(content["sha256"])
        compact = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
        canonical = _canonical_json({"metadata": metadata, "sha256": digest})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"its header cannot be read ({type(error).__name__})") from error
    if header != compact.ljust(len(header)) or text != canonical:
        raise CheckpointError("its header is changed")
    return metadata, digest


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    from jax.tree_util import keystr, tree_flatten_with_path

    leaves, _ = tree_flatten_with_path(tree)
    return [(keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]


def _kind(leaf: Any) -> str:
    return f"{leaf.dtype}{list(leaf.shape)}"


def prefixed(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Names with "prefix/" in front, so that several parts share one checkpoint."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The part that `prefixed` put under that prefix, by its own names."""
    start = prefix + "/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
