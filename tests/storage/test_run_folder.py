"""Run folders: their place, creation and overwriting, and the lock between processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from statewise.errors import RunError
from statewise.storage import lock
from statewise.storage.files import write_text_atomic
from statewise.storage.run_folder import RunFolder, run_folder

HOLD_LOCK = """
import sys
from pathlib import Path
from statewise.storage.run_folder import RunFolder
with RunFolder.open(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def process_holding_lock(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLD_LOCK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()


def configuration(name: str) -> str:
    """A config.json with as much as a run's folder is known by."""
    return json.dumps({"statewise": "0", "method": name, "task": "", "config": {}})


def create(path: Path, name: str = "", *, overwrite: bool = False) -> RunFolder:
    run = RunFolder.create(path, configuration(name), overwrite=overwrite)
    run.unlock()
    return run


def test_run_folder_tells_task_method_seed_and_configuration() -> None:
    path = run_folder(Path("runs"), "SafetyAntVelocity-v1", "sac-alam", 3, "1a2b3c")
    assert path == Path("runs/SafetyAntVelocity-v1/sac-alam/seed-3-1a2b3c")


def test_any_task_makes_one_folder_of_its_own() -> None:
    tasks = ["module:Task-v0", "a/b", "a:b", "a b", "../up", "ä", "a%2Fb"]
    folders = {run_folder(Path("runs"), task, "sac", 0, "x").parts[1] for task in tasks}
    assert len(folders) == len(tasks)
    for folder in folders:
        assert run_folder(Path("runs"), folder, "sac", 0, "x").parts[0] == "runs"
        assert not set(folder) & set("/: ")
    for task in ("", ".", ".."):
        with pytest.raises(ValueError, match="give the id of an environment"):
            run_folder(Path("runs"), task, "sac", 0, "x")


def test_create_writes_the_configuration_and_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "task" / "seed-0"
    with RunFolder.create(path, configuration("sac")) as run:
        assert run.config_path.read_text() == configuration("sac")
        with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
            RunFolder.open(path).lock()
    with RunFolder.open(path) as again:
        assert again.config_path == run.config_path


def test_files_of_a_run_lie_in_its_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    paths = [run.config_path, run.metrics_path, run.timing_path, run.replay_path, run.checkpoints]
    assert [path.parent for path in paths] == [tmp_path] * 5
    assert len(set(paths)) == 5


def test_a_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    create(tmp_path / "run", "old")
    with pytest.raises(RunError, match="holds a run: resume it, choose another --root, or --overwrite it"):
        create(tmp_path / "run", "new")
    with RunFolder.open(tmp_path / "run") as run:
        assert run.config_path.read_text() == configuration("old")


def test_overwrite_empties_this_folder_alone(tmp_path: Path) -> None:
    neighbour = create(tmp_path / "seed-1", "neighbour")
    run = create(tmp_path / "seed-0", "old")
    run.checkpoints.mkdir()
    (run.checkpoints / "best.safetensors").write_bytes(b"old")
    run.metrics_path.write_text("old")
    (run.path / "link").symlink_to(neighbour.path, target_is_directory=True)
    create(run.path, "new", overwrite=True)
    assert sorted(entry.name for entry in run.path.iterdir()) == [".lock", "config.json", "link"]
    assert run.config_path.read_text() == configuration("new")
    assert neighbour.config_path.read_text() == configuration("neighbour")


def test_overwrite_cut_short_still_counts_as_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create(tmp_path / "run", "old")
    run.checkpoints.mkdir()
    run.metrics_path.write_text("old")
    unlink = Path.unlink

    def killed_at_the_metrics(path: Path, missing_ok: bool = False) -> None:
        if path == run.metrics_path:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed_at_the_metrics)
        with pytest.raises(KeyboardInterrupt):
            create(run.path, "new", overwrite=True)
    with pytest.raises(RunError, match="holds a run"):
        create(run.path, "new")
    create(run.path, "new", overwrite=True)
    assert not run.metrics_path.exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_of_others_are_left_alone(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(RunError, match="is not empty and not a run folder"):
        create(tmp_path, overwrite=overwrite)
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="not empty and not a run folder"):
        create(tmp_path / "thesis.tex", overwrite=overwrite)


def test_creation_cut_short_is_taken_up(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("4711")
    (tmp_path / ".config.json.4711.tmp").write_text("{")
    assert create(tmp_path, "sac").config_path.read_text() == configuration("sac")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", "config.json"]


FOREIGN = {
    "config.json": "{}",
    "thesis/chapter.tex": "precious",
    ".git/config": "precious",
    "checkpoints/notes.txt": "precious",
    "checkpoints/.draft.4711.tmp": "precious",
    "tensorboard/readme": "precious",
    "replay.bin.backup": "precious",
    "step-000000000001.safetensors": "precious",
}
"""A folder in which others keep things beside a config.json of theirs."""


def lay_out(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def texts(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "config",
    ["{}", "[]", "", "null", '{"name": "app"}', '{"statewise": 1}', "[" * 100_000, configuration("sac")[:-9], "\udcff"],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_foreign_configuration_makes_no_run(tmp_path: Path, config: str, overwrite: bool) -> None:
    lay_out(tmp_path, FOREIGN)
    (tmp_path / "config.json").write_bytes(config.encode(errors="surrogateescape"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"is not a run folder: its config\.json"):
        RunFolder.open(tmp_path)
    with pytest.raises(RunError, match="not empty and not a run folder"):
        create(tmp_path, overwrite=overwrite)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_overwriting_removes_what_a_run_writes_and_nothing_else(tmp_path: Path) -> None:
    run = create(tmp_path)
    foreign = {name: text for name, text in FOREIGN.items() if name != "config.json"}
    lay_out(tmp_path, foreign)
    own = ["metrics.csv", "timing.csv", "replay.bin", "machine.json", "failure.json", "progress.png"]
    own += ["checkpoints/best.safetensors", "checkpoints/step-000000000040.safetensors"]
    own += [
        "checkpoints/.best.safetensors.4711.tmp",
        ".progress.png.4711.tmp",
        "tensorboard/events.out.tfevents.1.a.2.3",
    ]
    lay_out(tmp_path, dict.fromkeys(own, "a run's"))
    create(run.path, "new", overwrite=True)
    left = texts(tmp_path)
    assert left.pop("config.json") == configuration("new")
    assert left.pop(".lock") == str(os.getpid())
    assert left == foreign


def test_a_folder_with_hidden_things_of_others_is_not_blank(tmp_path: Path) -> None:
    (tmp_path / ".ssh").mkdir()
    with pytest.raises(RunError, match="not empty and not a run folder"):
        create(tmp_path)


LINKED = [
    "checkpoints",
    "tensorboard",
    "metrics.csv",
    "timing.csv",
    "replay.bin",
    "progress.png",
    "machine.json",
    ".lock",
]


@pytest.mark.parametrize("name", [*LINKED, "checkpoints/step-000000000040.safetensors", "checkpoints/best.safetensors"])
def test_a_link_to_elsewhere_is_refused_and_its_target_stays(tmp_path: Path, name: str) -> None:
    run, elsewhere = create(tmp_path / "run"), tmp_path / "elsewhere"
    link = run.path / name
    if link.suffix or name == ".lock":
        elsewhere.write_text("precious")
    else:
        lay_out(elsewhere, {"best.safetensors": "precious", ".best.safetensors.1.tmp": "precious"})
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(elsewhere)
    before = elsewhere.read_text() if elsewhere.is_file() else texts(elsewhere)
    for overwrite in (False, True):
        with pytest.raises(RunError, match=link.name):
            create(run.path, overwrite=overwrite)
    with pytest.raises(RunError, match=link.name):
        RunFolder.open(run.path).lock()
    assert link.is_symlink()
    assert before == (elsewhere.read_text() if elsewhere.is_file() else texts(elsewhere))


def test_a_lock_that_is_a_file_of_others_is_left_alone(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    lock, precious = run.path / ".lock", tmp_path / "precious"
    lock.write_text("precious")
    with pytest.raises(RunError, match="isn't a lock of Statewise"):
        run.lock()
    lock.unlink()
    precious.write_text("4711")
    os.link(precious, lock)
    with pytest.raises(RunError, match="with another name"):
        run.lock()
    assert precious.read_text() == "4711"
    lock.unlink()
    lock.mkdir()
    with pytest.raises(RunError, match="can't be written"):
        run.lock()


def test_a_removed_lock_lets_no_second_writer_in(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    with process_holding_lock(run.path):
        (run.path / ".lock").unlink()
        with pytest.raises(RunError, match="in use by another process"):
            run.lock()
        with pytest.raises(RunError, match="in use"):
            create(run.path, overwrite=True)
    with run:
        assert (run.path / ".lock").read_text() == str(os.getpid())


def test_without_fcntl_the_byte_behind_the_process_number_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, whose locks keep others from reading what is locked."""
    locked: list[int] = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        if place in locked:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        locked.extend(range(place, place + count))

    monkeypatch.setattr(lock, "_fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    run = RunFolder.create(tmp_path / "run", configuration("sac"))
    assert (run.path / ".lock").read_text() == str(os.getpid())
    assert locked == [64]
    with pytest.raises(RunError, match=f"in use by process {os.getpid()}"):
        RunFolder.open(run.path).lock()
    run.unlock()


def test_open_needs_a_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RunError, match="is not a run folder"):
            RunFolder.open(path)


def test_lock_keeps_another_process_out_until_it_is_killed(tmp_path: Path) -> None:
    run = create(tmp_path / "run")
    with process_holding_lock(run.path) as process:
        with pytest.raises(RunError, match=f"in use by process {process.pid}"):
            run.lock()
        with pytest.raises(RunError, match=f"in use by process {process.pid}"):
            create(run.path, overwrite=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with run:
            assert (run.path / ".lock").read_text() == str(os.getpid())


def test_failed_creation_gives_the_lock_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", no_space)
        with pytest.raises(RunError, match="disk full"):
            create(tmp_path / "run")
    create(tmp_path / "run")


def test_atomic_text_replaces_the_old(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text in ("first, and long", "zweitens: ä"):
        write_text_atomic(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]
