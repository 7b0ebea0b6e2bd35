"""Hostile arguments and files: every one is refused in one sentence, or does what it says, and touches nothing else.

STATEWISE_ATTACK=N tries N inputs of each kind instead of a few; the generators are seeded, so each is found again.
"""

from __future__ import annotations

import collections
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statewise.cli import COMMANDS, commands, main
from statewise.cli.status import TRACEBACK_VARIABLE
from statewise.methods import METHODS, metric_columns
from statewise.runtime import available_cores
from statewise.spec import RunSpec, make_config
from statewise.storage.metrics import MetricsWriter

TASK = "SafetySwimmerVelocity-v1"
STATUSES = {0, 2, 3, 130}
MADE = (".png", ".svg", ".pdf", ".html", ".csv", ".parquet")
"""Endings of what commands write that succeed."""

WORDS = [
    *["", " ", "-", "--", "---", "-x", "=", ":", "::", "a:b", "evil:sac", ":sac", "sac:", "..", ".", "/", "~", "%s"],
    *["None", "nan", "inf", "-1", "0", "1e400", "9" * 400, "0x10", "1_000", "٣", "true", "[1]", "{}", "(8, 8)", r"\n"],
    *["é", "±", "☃", "\udcff", "\x1b[31m", "a\nb", "a\0b", "a" * 5000, "--seed=", "--=1", "--help=1", "--no-quiet=2"],
    *["/dev/null", "/dev/full", "/proc/self/mem", "run", "run/config.json", "run/metrics.csv", "nothing", TASK, "sac"],
]
FLAGS = [
    *["--root", "--preset", "--constraint", "--output", "--video", "--camera", "--episodes", "--checkpoint", "--wandb"],
    *[
        "--allow-module",
        "--method",
        "--task",
        "--run",
        "--quiet",
        "--overwrite",
        "--json",
        "--sampled",
        "--unknown",
        "--seeds",
    ],
    *[f"--{name.replace('_', '-')}" for name in make_config("sac-alam").to_dict()],
]
VALUES: list[Any] = [
    *[None, True, False, 0, -1, 1, 0.5, 1e300, 10**400, float("nan"), float("inf"), 2**63, -(2**63) - 1],
    *["", "x", "evil:x", "sac", "ppo", TASK, "\0", "é" * 300, r"$\frac$", "\ud800", "\x1b[31m", "任務"],
    *[[], {}, [[]], [1] * 3000, ["8"], {"a": {"b": []}}, [None]],
]


def attempts(few: int) -> int:
    """How many inputs of a kind to try."""
    return int(os.environ.get("STATEWISE_ATTACK", few))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a run that has been trained for a little, between neighbours that nothing may touch."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "thesis.tex").write_text("years of work")
    run = tmp_path / "inside" / "run"
    run.mkdir(parents=True)
    (run / "config.json").write_text(RunSpec(TASK, make_config("sac-alam", "demo")).to_json())
    with MetricsWriter(run / "metrics.csv", metric_columns("sac-alam")) as metrics:
        for step in (1000, 2000):
            metrics.append({"step": step, "gradient_step": step, "phase": "train", "f": 0.1, "lam": 1.0})
            metrics.append({"step": step, "gradient_step": step, "phase": "eval", "return": 1.0, "cost": 0.0})
    # What is accepted would train for minutes; that it was accepted is all there is to see here.
    monkeypatch.setattr(commands, "_learn", lambda *_, **__: 0)
    monkeypatch.setattr("statewise.seeds.learn_seeds", refuse)
    monkeypatch.setenv("NPROC", os.environ.get("NPROC", str(available_cores())))
    monkeypatch.setattr("statewise.theory.verify.verify", refuse)
    monkeypatch.chdir(run.parent)
    return tmp_path


def refuse(*_: Any, **__: Any) -> None:
    """In place of half a minute's work."""
    raise ValueError("work: it was accepted, and is not done here")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, by its path."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def attack(cases: list[tuple[list[str], Callable[[], Any]]], folder: Path, capsys: Any) -> collections.Counter[int]:
    """Run every command line after its preparation; how often there was which status."""
    seen: collections.Counter[int] = collections.Counter()
    for argv, prepare in cases:
        prepare()
        before = contents(folder)
        status = main(argv)
        said = capsys.readouterr()
        case = f"{argv!r} gave {status}: {said.err!r}"
        assert status in STATUSES, case
        assert "Traceback" not in said.err, case
        assert TRACEBACK_VARIABLE not in said.err, case  # it was foreseen
        after = contents(folder)
        if status:
            assert said.err.startswith("statewise: "), case
            assert said.err.count("\n") == 1, case
            assert after == before, case
        else:
            written = {path for path in after if after[path] != before.get(path)}
            assert written <= {path for path in after if path.endswith(MADE)}, case
            assert not {path for path in written if Path(path).name in ("config.json", "metrics.csv")}, case
        assert {path: data for path, data in after.items() if "outside" in path} == {
            path: data for path, data in before.items() if "outside" in path
        }, case
        seen[status] += 1
    with capsys.disabled():
        print(f"\n{seen.total()} inputs, by exit status: {dict(sorted(seen.items()))}")
    return seen


def arguments(rng: random.Random) -> list[str]:
    """A command with some of what it takes, and some of what it doesn't."""
    command = rng.choice([*COMMANDS] * 6 + [*WORDS])
    argv = [command]
    if command in ("train", "config") and rng.random() < 0.8:
        argv.append(rng.choice([*METHODS, *WORDS]))
    if rng.random() < 0.5:
        argv.append(rng.choice(["run", TASK]))
    for _ in range(rng.randrange(4)):
        argv += rng.choice(([rng.choice(FLAGS), rng.choice(WORDS)], [rng.choice(FLAGS)], [rng.choice(WORDS)]))
    return argv


def test_arguments(folder: Path, capsys: Any) -> None:
    rng = random.Random(20)
    cases = [(arguments(rng), lambda: None) for _ in range(attempts(200))]
    assert attack(cases, folder, capsys)[2] > len(cases) / 2


def damaged(text: str, rng: random.Random) -> bytes:
    """The bytes of a file, cut, with others in between, or some of them changed."""
    data = bytearray(text.encode())
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(4):
            case 0:
                del data[at:]
            case 1:
                data[at:at] = rng.randbytes(rng.randint(1, 8))
            case 2:
                data[at : at + 1] = rng.choice((b"", b"\0", b"9", b'"', b"{", b",", b"\xff", b"\n"))
            case _:
                data[at:at] = data[at : at + rng.randrange(200)]
    return bytes(data)


def spoiled(text: str, rng: random.Random) -> str:
    """A config.json that is JSON, but says what it shouldn't."""
    content = json.loads(text)
    for _ in range(rng.randint(1, 2)):
        part = rng.choice((content, content["config"] if isinstance(content.get("config"), dict) else content))
        name = rng.choice([*part, "unknown"])
        if rng.random() < 0.2:
            part.pop(name, None)
        else:
            part[name] = rng.choice(VALUES)
    return json.dumps(content)


WHOLE = [
    *["", "[]", "{}", "null", "1", '"x"', "\ufeff{}", "nan", "{" * 5000, "[" * 100_000, '{"a":' * 50_000, "\0" * 1000],
    *['{"config": {}}', "9" * 10_000, '{"statewise": 1, "method": 2, "task": 3, "constraint": 4, "config": 5}'],
]


def test_configurations(folder: Path, capsys: Any) -> None:
    rng = random.Random(21)
    path = folder / "inside" / "run" / "config.json"
    text = path.read_text()
    bad = [word.encode() for word in WHOLE]
    kinds = (damaged, lambda text, rng: spoiled(text, rng).encode())
    bad += [rng.choice(kinds)(text, rng) for _ in range(attempts(200))]
    argv = ["plot", "run", "--output", "out.png"]
    seen = attack([(argv, lambda data=data: path.write_bytes(data)) for data in bad], folder, capsys)
    assert seen[2] > len(bad) / 2


def test_metrics(folder: Path, capsys: Any) -> None:
    rng = random.Random(22)
    path = folder / "inside" / "run" / "metrics.csv"
    text = path.read_text()
    header, _, rows = text.partition("\n")
    names = header.split(",")
    bad = [b"", b"step\n", b"step,phase\n1,eval\n", header.encode(), f"{header}\n".encode(), b"\xff" * 100]
    for _ in range(attempts(40)):
        if rng.random() < 0.5:
            bad.append(damaged(text, rng))
        else:
            fewer = [name for name in names if rng.random() < 0.95]
            bad.append(f"{','.join(fewer)}\n{rows}".encode())
    argv = ["plot", "run", "--output", "out.png"]
    seen = attack([(argv, lambda data=data: path.write_bytes(data)) for data in bad], folder, capsys)
    assert seen[2] > len(bad) / 4
