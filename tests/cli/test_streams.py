"""A reader that goes away, a lost terminal and a small alphabet end no training."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.tiny_runs import only_run, train

from statewise.cli import commands, main
from statewise.cli.streams import Outlet, unwritten
from statewise.storage.checkpoint import CheckpointStore
from statewise.training.signals import stop_requests

LINE = "return 3.0 ± 0.5, F̂ bias −0.1, λ 2, ρ 1, ☃ \udcff"


class Failing(io.StringIO):
    """A stream whose every write fails."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", "return 3.0 +/- 0.5, F^ bias -0.1, lambda 2, rho 1, ? ?"),
        ("koi8-r", "return 3.0 +/- 0.5, F^ bias -0.1, lambda 2, rho 1, ? ?"),
        ("latin-1", "return 3.0 ± 0.5, F^ bias -0.1, lambda 2, rho 1, ? ?"),
        ("utf-8", "return 3.0 ± 0.5, F̂ bias −0.1, λ 2, ρ 1, ☃ ?"),
    ],
)
def test_what_an_encoding_lacks_is_written_in_plain_letters(encoding: str, written: str) -> None:
    raw = io.BytesIO()
    outlet = Outlet(io.TextIOWrapper(raw, encoding))
    assert outlet.write(LINE) == len(LINE)
    outlet.flush()
    assert raw.getvalue().decode(encoding) == written
    assert outlet.failure is None


@pytest.mark.parametrize(
    ("error", "is_loss"),
    [
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), False),
        (OSError(errno.EIO, "Input/output error"), False),
        (ValueError("I/O operation on closed file"), False),
        (OSError(errno.ENOSPC, "No space left on device"), True),
    ],
)
def test_after_a_failure_what_is_written_is_dropped(error: Exception, is_loss: bool) -> None:
    outlet = Outlet(Failing(error))
    assert outlet.write("a") == 1
    assert outlet.failure is not None
    outlet.write("b")
    outlet.flush()
    assert (unwritten(outlet) is not None) == is_loss


def print_line(argv: list[str]) -> int:
    print(LINE)
    return 0


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r"])
def test_a_command_prints_to_a_small_alphabet(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(commands, "methods", print_line)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    assert main(["methods"]) == 0
    assert raw.getvalue().startswith(b"return 3.0 +/- 0.5")


def test_a_full_disk_behind_standard_output_is_said(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(commands, "methods", print_line)
    monkeypatch.setattr(sys, "stdout", Failing(OSError(errno.ENOSPC, "No space left on device")))
    assert main(["methods"]) == 2
    assert capsys.readouterr().err == "statewise: standard output: No space left on device\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("how", ["none", "closed"])
def test_a_closed_stream(stream: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, stream, None if how == "none" else closed)
    assert main(["methods"]) == 0
    assert main(["trian"]) == 2
    assert getattr(sys, stream) is (None if how == "none" else closed)


@pytest.mark.parametrize(
    ("redirection", "status"), [(">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0), ("| head -c 1", 0), (">/dev/full", 2)]
)
def test_short_command_in_a_shell(redirection: str, status: int) -> None:
    line = f"set -o pipefail; '{sys.executable}' -m statewise methods {redirection}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr == ("statewise: standard output: No space left on device\n" if status else "")


def trained(root: Path) -> list[str]:
    """Arguments of a run that reports what it does."""
    return [argument for argument in train(root) if argument != "--quiet"]


def is_complete(root: Path) -> bool:
    run = only_run(root)
    return CheckpointStore(run / "checkpoints", keep=1).steps()[-1] == 512 and (run / "progress.png").exists()


def test_training_outlasts_the_reader_of_its_progress(tmp_path: Path) -> None:
    """As `train ... 2>&1 | head -1` has it: the reader goes after the first line."""
    command = [sys.executable, "-m", "statewise", *trained(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("evaluation at step 256")
        process.stdout.close()
        assert process.wait() == 0
    assert is_complete(tmp_path)


def test_training_outlasts_a_lost_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both streams fail, the live bar's too."""
    for stream in ("stdout", "stderr"):
        lost = Failing(OSError(errno.EIO, "Input/output error"))
        monkeypatch.setattr(lost, "isatty", lambda: True)
        monkeypatch.setattr(sys, stream, lost)
    assert main(trained(tmp_path)) == 0
    assert is_complete(tmp_path)


def test_a_hangup_stops_the_run_behind_a_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from statewise.training.loop import Trainer

    block = Trainer.block

    def hang_up_in_the_warm_up(trainer: Trainer, total: int) -> None:
        block(trainer, total)
        if trainer.engine.step == 8:
            os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(Trainer, "block", hang_up_in_the_warm_up)
    assert main(train(tmp_path)) == 130
    assert "stopped at step 8" in capsys.readouterr().err
    assert CheckpointStore(only_run(tmp_path) / "checkpoints", keep=1).steps() == [8]


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_what_the_process_ignores_it_goes_on_ignoring(number: signal.Signals) -> None:
    """As under `nohup`, or in the background of a script, which ignores Ctrl-C."""
    previous = signal.signal(number, signal.SIG_IGN)
    try:
        with stop_requests() as requested:
            os.kill(os.getpid(), number)
            assert not requested()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, previous)


def test_a_module_that_writes_to_descriptors_reaches_no_file_of_the_run(tmp_path: Path) -> None:
    """With standard error closed, the first file that is opened would get its number, and libraries' messages."""
    code = (
        "import os, sys; from statewise.cli.streams import lasting_streams\n"
        "with lasting_streams():\n"
        "    file = open(sys.argv[1], 'wb', buffering=0); os.write(1, b'x'); os.write(2, b'x')\n"
    )
    target = tmp_path / "replay.bin"
    line = f"'{sys.executable}' -c \"$1\" '{target}' <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", line, "-", code], check=False)
    assert done.returncode == 0
    assert target.read_bytes() == b""


def test_a_stream_without_an_encoding() -> None:
    said: list[str] = []
    outlet = Outlet(SimpleNamespace(write=said.append, flush=lambda: None))
    outlet.write(LINE[:10])
    assert said == [LINE[:10]]
