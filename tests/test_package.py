"""The package as installed and as committed: version, lazy names, quick start, and what no file may hold."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import statewise

ROOT = Path(__file__).parents[1]
HEAVY = ("jax", "matplotlib", "mujoco", "numpy", "polars")
FORBIDDEN_IMPORTS = {"cloudpickle", "dill", "marshal", "pickle", "shelve", "torch"}
# Each pattern is written so that it does not match its own text.
FORBIDDEN_TEXT = {
    "registry host": rb"(?:pypi|pythonhosted|npmjs|debian|anaconda)\.(?:org|com)",
    "package index": rb"index[-_]url\s*=",
    "path of one machine": rb"(?<![\w.*}])/(?:work|root|home|opt|tmp/brief)/\w",
}


def run_python(code: str) -> str:
    """Output of `code` in a fresh interpreter that treats warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def committed_files() -> list[Path]:
    """Files under version control, and new ones that nothing ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def imported_packages(source: str) -> set[str]:
    """Top-level packages that a Python source imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_the_version_is_that_of_the_installed_package() -> None:
    assert statewise.__version__ == importlib.metadata.version("statewise")


def test_type_hints_are_published() -> None:
    assert Path(statewise.__file__).with_name("py.typed").is_file()


@pytest.mark.parametrize("name", statewise.__all__)
def test_public_names_load_on_first_use(name: str) -> None:
    assert name in dir(statewise)
    value = getattr(statewise, name)
    assert getattr(statewise, name) is value
    if name != "__version__":
        assert value.__module__.startswith("statewise.")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="'statewise' has no attribute 'Agnet'"):
        statewise.Agnet  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_import_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import statewise;"
        f"print(time.perf_counter() - start, *(set({HEAVY}) & set(sys.modules)))"
    )
    seconds, *loaded = min((run_python(code).split() for _ in range(3)), key=lambda out: float(out[0]))
    assert loaded == []
    assert float(seconds) < 0.3


def test_environments_do_not_start_jax() -> None:
    assert run_python("import sys, statewise.envs; print('jax' in sys.modules)").split() == ["False"]


def test_help_starts_neither_jax_nor_mujoco() -> None:
    code = (
        "import runpy, sys; sys.argv = ['statewise', '--help']\n"
        "try: runpy.run_module('statewise', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'jax', 'mujoco'} & set(sys.modules), 'loaded'"
    )
    assert "train" in run_python(code)


@pytest.mark.parametrize("rule", FORBIDDEN_TEXT)
def test_no_committed_file_holds_what_belongs_to_one_machine(rule: str) -> None:
    pattern = re.compile(FORBIDDEN_TEXT[rule], re.IGNORECASE)
    found = {str(path.relative_to(ROOT)): pattern.findall(path.read_bytes()) for path in committed_files()}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_no_source_imports_a_pickling_or_second_tensor_library() -> None:
    sources = [path for path in committed_files() if path.suffix == ".py"]
    assert sources
    found = {str(path.relative_to(ROOT)): imported_packages(path.read_text()) for path in sources}
    assert {name: hits for name, names in found.items() if (hits := names & FORBIDDEN_IMPORTS)} == {}
