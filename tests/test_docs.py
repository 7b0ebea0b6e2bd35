"""The documentation follows the code: tables made from it, every room on the map, every directory of tests a room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import statewise
from statewise.methods import METHODS

ROOT = Path(__file__).parents[1]
PACKAGE = Path(statewise.__file__).parent


def test_tables_are_those_of_the_code() -> None:
    check = [sys.executable, str(ROOT / "docs" / "tables.py"), "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_is_on_the_map() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms, directions = text.split("```")[1], text.split("```")[3]
    for path in PACKAGE.iterdir():
        if path.name.startswith("__") or path.suffix not in ("", ".py"):
            continue
        name = f"{path.name}/" if path.is_dir() else path.name
        assert f"\n{name} " in rooms, name
        assert path.stem in directions.split(), path.stem


def test_every_module_of_a_room_is_named() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for room in ("training", "sac", "onpolicy", "theory"):
        for path in (PACKAGE / room).glob("[!_]*.py"):
            assert path.stem in text, f"{room}/{path.name}"


def test_the_table_of_formulas_has_every_method() -> None:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    table = text.split("How each works", 1)[1].split("\n## ", 1)[0]
    named = [line.split("|")[1].strip().strip("`") for line in table.splitlines() if line.startswith("| `")]
    assert named == list(METHODS)
