"""Files never run code: a module that a run's files name is imported only where the caller names it too."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_runs import TASK, train

from statewise import Agent
from statewise.cli import commands, main
from statewise.policy import Policy
from statewise.storage import checkpoint

EVIL = """
from pathlib import Path
import gymnasium
Path(__file__).with_name("ran").touch()
def h(obs, action, next_obs): return -1.0
"""
NAMES = {
    "method": "evil:sac-alam",
    "task": f"evil:{TASK}",
    "constraint": "evil:h",
    "wrappers": [{"entry_point": "evil:h", "kwargs": {}}],
}


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is there once the module `evil`, which Python finds, has run."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "evil.py").write_text(EVIL)
    monkeypatch.syspath_prepend(str(folder))
    yield folder / "ran"
    sys.modules.pop("evil", None)


def edited(run: Path, field: str) -> Path:
    """The run, with a name of the module `evil` in its files."""

    def name(content: dict[str, Any]) -> dict[str, Any]:
        if field in content:
            return content | {field: NAMES[field]}
        spec = {"made": "spec"} if field == "wrappers" else {}
        return content | {"environment": content["environment"] | spec | {field: NAMES[field]}}

    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(name(config)))
    for file in (run / "checkpoints").iterdir():
        arrays, metadata = checkpoint.load(file)
        checkpoint.save(file, arrays, name(metadata))
    return run


def ask(command: str, run: Path, *more: str) -> int:
    """A command on a run, its picture apart from the run's own."""
    extra = {"evaluate": ("--episodes", "1"), "plot": ("--output", str(run.parent / "out.png"))}
    extra |= {
        "statistics": ("-o", str(run.parent / "out"), "--no-figures"),
        "report": ("-o", str(run.parent / "out.html")),
    }
    return main([command, str(run), *extra.get(command, ()), *more])


@pytest.mark.parametrize(
    ("command", "field"),
    [
        *((command, "method") for command in ("plot", "statistics", "report")),
        *((command, field) for command in ("evaluate", "resume") for field in NAMES),
    ],
)
def test_a_command_imports_no_module_for_a_file(
    command: str, field: str, copied: Path, evil: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = edited(copied, field)
    if command == "resume":  # a finished run has nothing to resume
        shutil.rmtree(run / "checkpoints")
    assert ask(command, run) == 2
    said = capsys.readouterr().err
    assert field in said
    assert "evil" in said
    assert not evil.exists()
    assert "evil" not in sys.modules


def test_a_picture_needs_no_module_of_the_task(copied: Path, evil: Path) -> None:
    assert ask("plot", edited(copied, "task")) == 0
    assert not evil.exists()


@pytest.mark.parametrize(
    ("command", "field"),
    [("plot", "method"), ("statistics", "method"), ("report", "method"), ("evaluate", "task")],
)
def test_a_module_that_the_caller_names_is_imported(command: str, field: str, copied: Path, evil: Path) -> None:
    assert ask(command, edited(copied, field), "--allow-module", "evil") == 0
    assert evil.exists()


@pytest.mark.parametrize(
    "use",
    [
        lambda run: Policy.read(checkpoint.CheckpointStore(run / "checkpoints", 1).best_path),
        lambda run: Agent.load(run),
        lambda run: Agent.open(run),
    ],
    ids=["Policy.read", "Agent.load", "Agent.open"],
)
def test_python_imports_no_module_for_a_file(use: Any, copied: Path, evil: Path) -> None:
    run = edited(copied, "method")
    with pytest.raises(ValueError, match=r"allow_modules=\('evil',\)"):
        use(run)
    assert not evil.exists()


def test_a_task_of_a_loaded_agent_is_imported_only_where_it_is_allowed(copied: Path, evil: Path) -> None:
    run = edited(copied, "task")
    agent = Agent.load(run)
    assert agent.predict(np.zeros(agent.policy.about.facts.dims.obs)).shape == (2,)
    with pytest.raises(ValueError, match=r"task: 'evil:.*allow_modules=\('evil',\)"):
        agent.evaluate(1)
    assert not evil.exists()
    assert Agent.load(run, allow_modules=["evil"]).evaluate(1)["episodes"] == 1


@pytest.mark.parametrize("field", ["task", "constraint"])
@pytest.mark.usefixtures("evil")
def test_what_an_interrupted_run_advises_names_its_modules(field: str, copied: Path) -> None:
    run = edited(copied.rename(copied.with_name("my run")), field)
    __import__("evil")
    line = shlex.split(commands._resume_line(run))
    assert line == ["statewise", "resume", str(run), "--allow-module", "evil"]


def test_a_module_that_is_imported_already_may_be_named(copied: Path, evil: Path) -> None:
    run = edited(copied, "task")
    __import__("evil")
    assert Agent.load(run).evaluate(1)["episodes"] == 1
    assert evil.exists()


def test_one_name_is_not_taken_for_a_list_of_letters(copied: Path) -> None:
    with pytest.raises(ValueError, match=r"allow_modules: 'evil' is not allowed; .*\('evil',\)"):
        Agent.load(copied, allow_modules="evil")


def test_files_in_the_working_folder_take_the_place_of_no_package(copied: Path) -> None:
    for package in ("numpy", "matplotlib", "json"):
        (copied / f"{package}.py").write_text("raise SystemExit('this file ran')")
    command = [sys.executable, "-m", "statewise", "plot", "."]
    done = subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "progress.png\n", "")


def test_a_matplotlibrc_in_the_working_folder_changes_no_picture(copied: Path) -> None:
    """Matplotlib reads one there; this one would have LaTeX called."""
    before = (copied / "progress.png").read_bytes()
    command = [sys.executable, "-m", "statewise", "plot", ".", "--output", "plain.png"]
    for settings in ("", "text.usetex: True\nlines.linewidth: 20\naxes.facecolor: red\n"):
        (copied / "matplotlibrc").write_text(settings)
        done = subprocess.run(command, cwd=copied, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "plain.png\n", "")
        if settings:
            assert (copied / "plain.png").read_bytes() == before
        before = (copied / "plain.png").read_bytes()


def test_the_working_folder_is_looked_at_last_and_only_for_a_module_that_was_asked_for(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", os.getcwd())])
    monkeypatch.chdir(copied)
    before = list(sys.path)
    assert main(["plot", "."]) == 0
    assert sys.path == before
    assert main(["config", "nowhere:sac"]) == 2
    assert sys.path == [*before, str(copied)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("def (", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
@pytest.mark.parametrize("where", ["method", "task", "constraint"])
def test_a_module_that_fails_is_a_sentence(
    where: str, content: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "failing.py").write_text(content)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    argv = train(tmp_path / "runs")
    if where == "constraint":
        argv += ["--constraint", "failing:h"]
    else:
        argv[1 if where == "method" else 2] = f"failing:{argv[1 if where == 'method' else 2]}"
    assert main(argv) == 2
    said = capsys.readouterr().err
    assert said.startswith("statewise: ")
    assert "'failing'" in said
    assert sentence in said
    assert said.count("\n") == 1
