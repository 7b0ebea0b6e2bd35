"""Small learners and batches for the tests of the compiled core."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from statewise.config import SacConfig
from statewise.core.types import Batch, Dims, Key
from statewise.methods import METHODS, build_method
from statewise.runtime import use_compilation_cache
from statewise.sac.core import Sac, SacState

DIMS = Dims(obs=3, action=2)
BATCH = 8

# ζ = 1 makes a step proportional to its gradient, where a small ζ would blow rounding up to a whole step; the large
# rate then makes every gradient visible in the parameters.
SMALL: dict[str, Any] = {
    "hidden": (16, 16),
    "batch_size": BATCH,
    "learning_rate": 3.0,
    "zeta": 1.0,
    "tau": 0.1,
    "multiplier_learning_rate": 3.0,
    "dual_interval": 2,
    "dual_steps": 3,
    "dual_start": 0,
}

SAC_METHODS = [name for name, method in METHODS.items() if issubclass(method.config, SacConfig)]

# The compiler takes most of these tests' time: on so small arrays its optimisations never pay.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def small_config(method: str, **changes: Any) -> SacConfig:
    """A method's configuration with `SMALL` and then `changes` put in, as far as the method has those fields."""
    config = METHODS[method].config
    assert issubclass(config, SacConfig)
    known = config.__dataclass_fields__
    return config.from_dict({name: v for name, v in {**SMALL, **changes}.items() if name in known})


@functools.cache
def small_sac(method: str, reward_scale: float = 1.0, **changes: Any) -> Sac:
    """The learner of `small_config`; the same object for the same arguments."""
    use_compilation_cache()
    config = small_config(method, **changes)
    return Sac(config, DIMS, build_method(config), reward_scale)


@functools.cache
def jit_update(sac: Sac) -> Any:
    """`sac.update`, compiled once a session."""
    return jax.jit(sac.update, compiler_options=QUICK)


def key(seed: int) -> Key:
    return jax.random.PRNGKey(seed)


def random_batch(seed: int, *leading: int) -> Batch:
    """Transitions with all kinds of rows: costs, terminals and neither; leading axes [B] where none are given."""
    rng = np.random.default_rng(seed)
    shape = leading or (BATCH,)

    def normal(*last: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=(*shape, *last)), jnp.float32)

    def coin(chance: float) -> jax.Array:
        return jnp.asarray(rng.random(shape) < chance, jnp.float32)

    return Batch(
        obs=normal(DIMS.obs),
        action=jnp.tanh(normal(DIMS.action)),
        reward=normal(),
        cost=coin(0.4),
        constraint=normal(),
        terminated=coin(0.3),
        truncated=jnp.zeros(shape),
        next_obs=normal(DIMS.obs),
    )


def dual_batch(sac: Sac, seed: int, *leading: int) -> Batch:
    """What a dual cycle learns from, [..., M, B]; a single minibatch where the method has no cycle."""
    schedule = sac.mechanism.dual
    return random_batch(seed, *leading, 1 if schedule is None else schedule.batches, BATCH)


def without_multiplier(state: SacState) -> SacState:
    """The state with λ ≡ 0: a network's output bias so low that its softplus is 0, a scalar as it starts."""
    params = getattr(state.mechanism, "params", None)
    if params is None:
        return state
    *body, last = params
    params = (*body, last._replace(b=jnp.full_like(last.b, -1e9)))
    return state._replace(mechanism=state.mechanism._replace(params=params))


def networks(state: SacState) -> dict[str, Any]:
    """What the backbone learns, apart from optimizers and mechanism."""
    names = ("policy", "q", "qc", "q_target", "qc_target", "log_alpha")
    return {name: getattr(state, name) for name in names}


def assert_trees_close(actual: Any, expected: Any, *, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """The same structure, every leaf equal to rounding."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), actual, expected)


def trees_equal(one: Any, other: Any) -> bool:
    """Whether all bits are the same."""
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in leaves)
