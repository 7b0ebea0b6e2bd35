"""What this process may use: cores, and the folder of compiled functions that later processes reuse."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def capped_threads(threads: int) -> int:
    """`threads`, at most what the machine has; 0 asks for all of it."""
    cores = available_cores()
    return cores if threads == 0 else min(threads, cores)


def cache_folder() -> Path | None:
    """Where compiled functions are kept: STATEWISE_CACHE_DIR, or the user's cache folder; None without a home."""
    chosen = os.environ.get("STATEWISE_CACHE_DIR")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "statewise"
    except RuntimeError:  # no HOME, and a user that the system doesn't know
        return None


_started_in: int | None = None
"""The process in which JAX was started."""


def require_own_jax() -> None:
    """Raise RuntimeError in a process that was forked after JAX had started: without its threads, it would hang."""
    global _started_in
    if _started_in is None:
        _started_in = os.getpid()
    if _started_in != os.getpid():
        raise RuntimeError(
            "this process was forked after JAX had started, and would hang here: start it by"
            " multiprocessing.get_context('spawn')"
        )


def use_compilation_cache() -> None:
    """Let JAX keep what it compiles for the next process; without a writable folder it just compiles."""
    import jax

    base = cache_folder()
    if base is None:
        return
    folder = base / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@functools.cache
def compiler_options() -> dict[str, str]:
    """Options for compiling the update: on CPU, leave products to Eigen instead of XLA's YNN library.

    That takes some 5 % from a gradient step (docs/performance.md). Empty on other devices, and where this version of
    XLA knows no such option.
    """
    import jax

    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda x: x + 1.0, compiler_options=options)(0.0)
    except (RuntimeError, ValueError):
        return {}
    return options


def release_unused_memory() -> None:
    """Give back to the system what compiling took: some 300 MB, which glibc would keep. Elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
