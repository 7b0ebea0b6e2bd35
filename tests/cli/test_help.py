"""Commands that train nothing: what they print, and that they start neither JAX nor a simulator."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time

import pytest

from statewise import __version__
from statewise.cli import COMMANDS, main
from statewise.config import PRESETS, RunConfig, SacConfig
from statewise.envs import TASKS
from statewise.methods import METHODS
from statewise.spec import make_config


@pytest.mark.parametrize(
    "argv", [["--help"], ["--version"], ["methods"], ["config", "sac"], ["train", "sac", "--help"]]
)
def test_short_commands_start_nothing_heavy(argv: list[str]) -> None:
    code = (
        "import sys; from statewise.cli import main; status = main(sys.argv[1:])\n"
        "heavy = {'jax', 'mujoco', 'gymnasium', 'polars', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_help_needs_only_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); from statewise.cli import main; main(['--help'])\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before} - sys.stdlib_module_names\n"
        "sys.exit(0 if new == {'statewise'} else f'imported {new}')"
    )
    began = time.process_time()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.process_time() - began < 1.0


def test_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"usage: statewise {name}" in capsys.readouterr().out


@pytest.mark.parametrize("method", METHODS)
def test_train_help_shows_every_field_with_its_default(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", method, "--help", "--preset", "demo"]) == 0
    printed = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for field in dataclasses.fields(METHODS[method].config):
        assert f"--{field.name.replace('_', '-')}" in printed
    config = make_config(method, "demo")
    if isinstance(config, SacConfig):
        assert f"Transitions per gradient step (Table I). (default: {config.batch_size})" in printed
    assert f"Environment steps of the whole run (Table I). (default: {config.total_steps})" in printed


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(METHODS)
    assert main(["tasks"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(TASKS)


def test_config_is_json_with_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "sac-alam", "--preset", "demo"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("method") == "sac-alam"
    config = METHODS["sac-alam"].config.from_dict(printed)
    assert printed == config.to_dict()
    assert config.total_steps == PRESETS["demo"][RunConfig]["total_steps"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"statewise {__version__}\n"
