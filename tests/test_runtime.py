"""What the process may use: an optional cache is never fatal, and a request to stop is a KeyboardInterrupt."""

from __future__ import annotations

import importlib.metadata
import os
import pwd
from typing import Any

import pytest

from statewise import runtime
from statewise.runtime import cache_folder, machine, use_compilation_cache
from statewise.training.signals import Interrupted


def test_no_home_and_an_unknown_user_mean_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_CACHE_HOME", "STATEWISE_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)

    def unknown(uid: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert "HOME" not in os.environ
    assert cache_folder() is None
    use_compilation_cache()


def test_a_loop_over_seeds_that_catches_exceptions_does_not_swallow_a_stop() -> None:
    def seeds() -> None:
        try:
            raise Interrupted("stopped at step 8; resume to go on")
        except Exception:
            pytest.fail("swallowed")

    with pytest.raises(KeyboardInterrupt):
        seeds()


def test_xla_has_one_thread_where_a_second_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads(precision: str, batch: int, width: int, *, set_to: str = "") -> str:
        monkeypatch.setenv("NPROC", set_to)
        if not set_to:
            monkeypatch.delenv("NPROC")
        runtime.spare_threads(precision, batch, width)
        return os.environ.get("NPROC", "")

    monkeypatch.setattr(runtime, "has_amx", lambda: True)
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    assert threads("auto", 256, 128) == threads("bfloat16", 256, 128) == "1"
    assert threads("auto", 256, 128, set_to="3") == "3"
    assert threads("float32", 256, 128) == threads("auto", 256, 256) == threads("auto", 1024, 128) == ""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [group])
    assert threads("auto", 256, 128) == ""
    monkeypatch.setattr(runtime, "has_amx", lambda: False)
    assert threads("bfloat16", 256, 128) == ""


def test_an_order_of_operations_for_one_thread_is_taken_with_one_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {}
    for threads in ("1", "2"):
        monkeypatch.setenv("NPROC", threads)
        options[threads] = runtime.compiler_options.__wrapped__("float32")
    assert options["1"].keys() - options["2"].keys() == {"xla_cpu_scheduler_type"}
    assert options["2"].keys() >= {"xla_cpu_prefer_vector_width"}


def test_seeds_share_a_thread_where_xla_has_one_and_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [])
    shared = []
    for threads in ("1", "2"):
        monkeypatch.setenv("NPROC", threads)
        shared.append(runtime.steps_share_a_thread())
    assert shared == [True, False]
    monkeypatch.setenv("NPROC", "1")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [group])
    assert not runtime.steps_share_a_thread()


def test_the_machine_is_told_by_what_bits_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPROC", "3")
    assert machine()["cores"] == 3
    monkeypatch.delenv("NPROC")
    assert machine()["cores"] == len(os.sched_getaffinity(0))
    assert machine().keys() >= {"jax", "numpy", "mujoco"}
    assert machine()["processor"] != ""
