"""What this process may use: cores, and the folder of compiled functions that later processes reuse."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Literal


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def capped_threads(threads: int) -> int:
    """`threads`, at most what the machine has; 0 asks for all of it."""
    cores = available_cores()
    return cores if threads == 0 else min(threads, cores)


def machine() -> dict[str, str | int]:
    """On what the bits of a run depend beside its configuration and seed: cores and processor, and versions of others.

    `precision` = auto asks whether there is AMX, which a virtual machine may hide. XLA splits sums among its threads,
    as many as NPROC says or as there are cores.
    """
    return {
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy", "mujoco", "gymnasium")},
        "cores": xla_threads(),
        "processor": _processor(),
        "amx": "yes" if has_amx() else "no",
    }


def _processor() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _cpuinfo(field: str) -> str:
    """What Linux says of the first core; nothing elsewhere."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition("\t")[0] == field), "")


@functools.cache
def has_amx() -> bool:
    """Whether the processor has a unit for matrix products of bfloat16 numbers (AMX)."""
    return "amx_bf16" in _cpuinfo("flags").split()


def product_precision(precision: Literal["auto", "float32", "bfloat16"]) -> Literal["float32", "bfloat16"]:
    """What `precision` comes to here: auto is bfloat16 where that was seen to be faster, on processors with AMX."""
    if precision != "auto":
        return precision
    import jax

    return "bfloat16" if jax.default_backend() == "cpu" and has_amx() else "float32"


_SMALL_PRODUCT = 2**23
"""Multiply-adds of one layer below which a second thread of XLA's gives nothing in a run, in bfloat16."""


def spare_threads(precision: str, batch: int, width: int) -> None:
    """Give XLA one thread where more make a run no faster: with bfloat16 products of networks that narrow.

    Environments keep theirs. Nothing happens where NPROC is set already, where JAX has a plugin for accelerators, or
    after JAX has started.
    """
    if precision == "float32" or not has_amx() or batch * width**2 > _SMALL_PRODUCT:
        return
    if not _has_accelerator_plugin():
        os.environ.setdefault("NPROC", "1")


def xla_threads() -> int:
    """Threads that XLA has on the processor in a process that starts JAX now."""
    nproc = os.environ.get("NPROC", "")
    return int(nproc) if nproc.isdigit() else available_cores()


def steps_share_a_thread() -> bool:
    """Whether the gradient steps of several runs in one process would wait for one thread."""
    return xla_threads() == 1 and not _has_accelerator_plugin()


def _has_accelerator_plugin() -> bool:
    return bool(importlib.metadata.entry_points(group="jax_plugins"))


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
def compiler_options(precision: Literal["auto", "float32", "bfloat16"] = "float32") -> dict[str, str]:
    """Options for compiling the update on a CPU, those of them that this version of XLA knows; none on other devices.

    Vectors as wide as the processor's; float32 products by Eigen instead of XLA's YNN library, as bfloat16 ones can't
    be; with one thread an order of operations that keeps less at a time (with more, they would wait for one another).
    Each takes some percent from a gradient step (docs/performance.md).
    """
    import jax

    if jax.default_backend() != "cpu":
        return {}
    options = {"xla_cpu_prefer_vector_width": "512"}
    if xla_threads() == 1:
        options["xla_cpu_scheduler_type"] = "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"
    if product_precision(precision) == "float32":
        options["xla_cpu_experimental_ynn_fusion_type"] = ""
    return {name: value for name, value in options.items() if _is_known({name: value})}


def _is_known(options: dict[str, str]) -> bool:
    import jax

    try:
        jax.jit(lambda x: x + 1.0, compiler_options=options)(0.0)
    except (RuntimeError, ValueError):
        return False
    return True


def release_unused_memory() -> None:
    """Give back to the system what compiling took: some 300 MB, which glibc would keep. Elsewhere nothing happens."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)
