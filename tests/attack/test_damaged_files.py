"""Damaged, hostile, foreign and linked files: a run goes on to the same bytes, or one sentence names the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.attacks import SCALE, TASK, Attacks, compile_once

from statewise.cli import commands, main
from statewise.errors import CheckpointError
from statewise.spec import RunSpec
from statewise.storage import checkpoint
from statewise.storage.run_folder import RunFolder

FIELDS = (
    "--preset paper --total-steps 48 --num-envs 2 --threads 1 --hidden 8 --batch-size 8 --block-length 4"
    " --warmup-steps 8 --replay-capacity 32 --log-interval 8 --eval-interval 24 --eval-envs 1 --checkpoint-interval 16"
    " --dual-interval 7 --dual-steps 2"  # as in test_kills.py, whose compiled programs can then be reused
)
FILES = (
    "config.json",
    "metrics.csv",
    "timing.csv",
    "machine.json",
    "replay.bin",
    "checkpoints/step-000000000032.safetensors",
    "checkpoints/best.safetensors",
    ".lock",
)
RNG = np.random.default_rng(20_261_126)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Any:
    """Compile once, and draw no picture."""
    with pytest.MonkeyPatch.context() as patch:
        compile_once(patch)
        patch.setattr(commands, "conclude", lambda agent: (agent.run_path / "progress.png").write_bytes(b"drawn"))
        yield


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped behind step 32 of 48."""
    root = tmp_path_factory.mktemp("begun")
    assert main(["train", "sac-alam", TASK, "--root", str(root), "--quiet", *FIELDS.split()]) == 0
    (run,) = (path.parent for path in root.glob("*/*/*/config.json"))
    (run / "checkpoints" / "step-000000000048.safetensors").unlink()
    (run / "progress.png").unlink()
    return run


@pytest.fixture(scope="module")
def expected(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What it comes to when nobody attacks it."""
    run = Path(shutil.copytree(begun, tmp_path_factory.mktemp("expected") / "run"))
    assert main(["resume", str(run), "--quiet"]) == 0
    return {name: data for name, data in contents(run).items() if name not in ("timing.csv", ".lock")}


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def damage(data: bytes) -> bytes:
    """The data cut, flipped in a bit, with bytes put in, taken out or put in place of others, or something else."""
    place = int(RNG.integers(len(data) + 1))
    some = RNG.bytes(int(RNG.integers(1, 40)))
    flipped = bytearray(data)
    if data:
        flipped[place % len(data)] ^= 1 << int(RNG.integers(8))
    choices = [
        data[:place],
        bytes(flipped),
        data[:place] + some + data[place:],
        data[:place] + data[place + len(some) :],
        data[:place] + some + data[place + len(some) :],
        data + some,
        data + data,
        some,
        b"",
        b"\0" * len(data),
    ]
    return choices[int(RNG.integers(len(choices)))]


def test_no_damaged_checkpoint_is_loaded(begun: Path, tmp_path: Path, attacks: Attacks) -> None:
    sound = (begun / "checkpoints" / "best.safetensors").read_bytes()
    file, count = tmp_path / "damaged.safetensors", 300 * SCALE
    for _ in range(count):
        damaged = damage(sound)
        if damaged == sound:
            continue
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
            checkpoint.load(file)
    attacks.note("damaged checkpoints", count)


def hostile() -> list[bytes]:
    """Files made to break a reader of safetensors."""
    headers = [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"__metadata__":{"statewise":"' + b"[" * 100_000 + b'"}}',
        b'{"__metadata__":{"statewise":"{}"}}',
        b'{"__metadata__":{"statewise":"{\\"metadata\\":[],\\"sha256\\":1}"}}',
        b'{"__metadata__":{"statewise":{"metadata":{},"sha256":""}}}',
        b'{"w":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}',
        b'{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b'{"../../w":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
        b'{"w":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        b'{"__metadata__":null}',
        b"NaN",
        b"\xff\xfe",
        b"",
    ]
    framed = [len(header).to_bytes(8, "little") + header + bytes(8) for header in headers]
    return [
        *framed,
        b"\xff" * 8,
        (2**63).to_bytes(8, "little") + b"{}",
        (99_999_999).to_bytes(8, "little"),
        b"PK\x03\x04",
    ]


def test_no_hostile_checkpoint_is_loaded(tmp_path: Path, attacks: Attacks) -> None:
    file = tmp_path / "hostile.safetensors"
    for content in hostile():
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"hostile\.safetensors"):
            checkpoint.load(file)
    attacks.note("hostile checkpoints", len(hostile()))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_run_with_a_damaged_file_goes_on_or_says_which(
    name: str,
    begun: Path,
    expected: dict[str, bytes],
    tmp_path: Path,
    attacks: Attacks,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Goes on: to the bytes of the run left alone, but for a configuration that says the same in other words."""
    count = 6 * SCALE
    for number in range(count):
        run = Path(shutil.copytree(begun, tmp_path / f"run-{number}"))
        (run / name).write_bytes(damage((run / name).read_bytes()))
        before = contents(run)
        capsys.readouterr()
        status = main(["resume", str(run), "--quiet"])
        said, after = capsys.readouterr().err, contents(run)
        if status == 0:
            # What lies in places of the replay that no row is drawn from may stay there; checkpoints tell the others.
            spared = {"timing.csv", ".lock", *({name} & {"config.json", "machine.json", "replay.bin"})}
            assert {n: data for n, data in after.items() if n not in spared} == {
                n: data for n, data in expected.items() if n not in spared
            }
        else:
            assert status == 2
            assert said.count("\n") == 1
            assert Path(name).name in said
            assert before["metrics.csv"].startswith(after["metrics.csv"])  # rows behind the checkpoint may be cut off
            spared = {"metrics.csv", ".lock"}
            assert {n: d for n, d in after.items() if n not in spared} == {
                n: d for n, d in before.items() if n not in spared
            }
        shutil.rmtree(run)
    attacks.note("runs with a damaged file", count)


PRECIOUS = ("thesis.tex", ".git/HEAD", "notes.csv", "data/replay.bin", "a.tmp", ".b.1.tmp")


def foreign_folder(folder: Path) -> None:
    """Things of others, some under the names that a run uses, never with a configuration of ours."""
    names = [*PRECIOUS, *FILES, "progress.png", "failure.json", "tensorboard/events.out.tfevents.1.x.1.1"]
    configurations = [b"{}", b"[1]", b"", b'{"config": {}}', json.dumps({"statewise": "1", "task": "x"}).encode()]
    chosen = [name for name in names if RNG.random() < 0.5] or ["thesis.tex"]
    for name in chosen:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        content = configurations[int(RNG.integers(len(configurations)))] if name == "config.json" else RNG.bytes(30)
        (folder / name).write_bytes(content)


def test_no_command_changes_a_foreign_folder(
    tmp_path: Path, attacks: Attacks, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 30 * SCALE
    for number in range(count):
        folder = tmp_path / f"folder-{number}"
        foreign_folder(folder)
        before = contents(folder)
        monkeypatch.chdir(folder)
        for argv in (["resume", "."], ["evaluate", "."], ["plot", "."], ["resume", str(folder)]):
            assert main(argv) == 2
            assert "is not a run folder" in capsys.readouterr().err
        for overwrite in (False, True):
            with pytest.raises(ValueError, match="not empty and not a run folder"):
                RunFolder.create(folder, "{}", overwrite=overwrite)
        assert contents(folder) == before
        monkeypatch.undo()
    attacks.note("commands in foreign folders", 6 * count)


@pytest.mark.parametrize("name", [*FILES, "checkpoints", "tensorboard", "progress.png"])
def test_no_command_writes_through_a_link(
    name: str, begun: Path, tmp_path: Path, attacks: Attacks, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(begun, tmp_path / "run"))
    elsewhere = tmp_path / "elsewhere"
    if (run / name).exists():
        (run / name).rename(elsewhere)
    elif name == "tensorboard":
        elsewhere.mkdir()
    else:
        elsewhere.write_bytes(b"precious")
    (run / name).symlink_to(elsewhere)
    whole = contents(tmp_path)
    attempts = [["resume", str(run), "--quiet"], train_again(tmp_path, run)]
    for argv in attempts:
        assert main(argv) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert name in said
        assert {n: d for n, d in contents(tmp_path).items() if n != "run/.lock"} == {
            n: d for n, d in whole.items() if n != "run/.lock"
        }
    attacks.note("commands on runs with a link", len(attempts))


def train_again(root: Path, run: Path) -> list[str]:
    """Arguments that would overwrite a run, which is moved to where they look for it."""
    place = root / TASK / "sac-alam" / begun_name(run)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        place.symlink_to(run)
    return ["train", "sac-alam", TASK, "--root", str(root), "--quiet", "--overwrite", *FIELDS.split()]


def begun_name(run: Path) -> str:
    config = RunSpec.read(run / "config.json").config
    return f"seed-{config.seed}-{config.digest()}"
