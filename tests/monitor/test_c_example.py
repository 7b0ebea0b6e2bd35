"""The C example, built against ONNX Runtime's own library, answers as NumPy does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from support.exports import observations, small_policy

from statewise.monitor.export import export_policy
from statewise.monitor.numpy_runner import NumpyPolicy
from statewise.monitor.onnx_graph import write_onnx

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "tests" / "support" / "onnxruntime"


def library() -> Path:
    """The shared object that Python's package brings, where it brings one of its own."""
    import onnxruntime

    found = sorted((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    if not found:
        pytest.skip("this build of the package onnxruntime has no library of its own (libonnxruntime.so)")
    return found[0]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example as docs/monitor.md builds it; ORT_INCLUDE names a folder with the original header."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler (cc)")
    folder = tmp_path_factory.mktemp("c")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(library())
    include = os.environ.get("ORT_INCLUDE", str(STAND_IN))
    source, built = ROOT / "examples" / "onnx_monitor.c", folder / "onnx_monitor"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{include}"]
    link = [f"-L{folder}", "-lonnxruntime", f"-Wl,-rpath,{folder}", "-o", str(built)]
    subprocess.run([compiler, *flags, str(source), *link], check=True, timeout=120)
    return built


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NumpyPolicy]:
    """A policy's ONNX file, and what it was made from in NumPy."""
    made = export_policy(small_policy("sac-alam"))
    path = tmp_path_factory.mktemp("onnx") / "policy.onnx"
    write_onnx(path, made)
    return path, made.runner


def run(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def answers(program: Path, *arguments: object) -> dict[str, float]:
    done = run(program, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return {name: float(value) for name, value in (line.split() for line in done.stdout.splitlines())}


def test_it_answers_as_numpy_does(program: Path, exported: tuple[Path, NumpyPolicy]) -> None:
    path, policy = exported
    for obs in observations(5, seed=3):
        _, f = policy.risk(obs)
        entries = [f"{entry:.9g}" for entry in obs]
        found = answers(program, path, float(f) + 0.01, *entries)
        wanted = {f"action[{i}]": value for i, value in enumerate(policy.act(obs).tolist())} | {"f": float(f)}
        for name, value in wanted.items():
            assert found[name] == pytest.approx(value, rel=1e-5, abs=1e-5)
        assert (found["outside"], found["alarm"]) == (0.0, 0.0)
        assert answers(program, path, float(f) - 0.01, *entries)["alarm"] == 1.0


def test_what_is_no_number_or_outside_is_an_alarm(program: Path, exported: tuple[Path, NumpyPolicy]) -> None:
    path, policy = exported
    obs = observations(1)[0].tolist()
    far = float(policy.arrays["range/high"][0]) + 1.0
    assert np.isfinite(far)
    for entry in ("nan", "inf", far):
        found = answers(program, path, 1e9, entry, *obs[1:])
        assert (found["outside"], found["alarm"]) == (1.0, 1.0)


def test_what_is_wrong_is_told(program: Path, exported: tuple[Path, NumpyPolicy], tmp_path: Path) -> None:
    path, _ = exported
    for arguments, words in (
        ((path,), "usage: onnx_monitor"),
        ((tmp_path / "none.onnx", 1, 2), "none.onnx"),
        ((path, 1, 2, 3), "Got invalid dimensions"),
    ):
        done = run(program, *arguments)
        assert done.returncode == 2
        assert words in done.stderr
