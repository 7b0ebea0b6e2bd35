"""One setting for every test: CPU, one thread and one compilation cache a worker, repeatable examples."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

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

    Each worker has its own: JAX writes entries in place, and a worker that read one while another wrote it has crashed.
    """
    assert config.cache is not None
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    os.environ["STATEWISE_CACHE_DIR"] = str(config.cache.mkdir(f"statewise-{worker}"))
