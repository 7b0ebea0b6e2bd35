"""One setting for every test: CPU, one thread and one compilation cache a worker, repeatable examples."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from support.attacks import Attacks

# Set before anything imports JAX or NumPy; pytest-xdist hands the environment on to its workers.
os.environ["JAX_PLATFORMS"] = "cpu"
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS", "NPROC"):
    os.environ[variable] = "1"
os.environ.setdefault("MPLBACKEND", "agg")

# Speed says nothing about right or wrong on a shared machine, so examples have no deadline.
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled programs between sessions; `make clean` or `--cache-clear` drops them.

    Each worker has its own: JAX writes entries in place, where another worker could read half of one.
    """
    # Started by `nohup` or in the background of a script, a process ignores these, and so do the runs in the tests.
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    assert config.cache is not None
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ["STATEWISE_CACHE_DIR"] = str(config.cache.mkdir(f"statewise-{worker}"))


_MAPS = Path("/proc/self/maps")
_MANY_MAPS = 15_000
"""A quarter of the memory maps that Linux lets a process have (`vm.max_map_count`)."""


@pytest.fixture(scope="module", autouse=True)
def few_memory_maps() -> Iterator[None]:
    """Drop compiled programs between modules once there are many: beyond the system's limit XLA crashes the worker.

    A learner's programs take some 1,000 maps until the last reference to them is gone.
    """
    yield
    if _MAPS.exists() and _MAPS.read_bytes().count(b"\n") > _MANY_MAPS:
        import jax

        jax.clear_caches()
        gc.collect()


@pytest.fixture
def attacks(record_property: Callable[[str, object], None]) -> Attacks:
    """The books of a test's attacks."""
    return Attacks(record_property)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many attacks the tests that passed have withstood, on all workers."""
    sums: Counter[str] = Counter()
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "attacks":
                sums[value[0]] += value[1]
    if sums:
        terminalreporter.section("attacks withstood")
        for kind, count in sums.items():
            terminalreporter.write_line(f"{count:>7,}  {kind}")
