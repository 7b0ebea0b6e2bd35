"""One setting for every test: CPU, one thread a worker, one compilation cache, repeatable examples."""

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
    """Share compiled programs between workers and sessions; `make clean` or `--cache-clear` drops them."""
    assert config.cache is not None
    os.environ["STATEWISE_CACHE_DIR"] = str(config.cache.mkdir("statewise"))
