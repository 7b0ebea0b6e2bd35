"""Several seeds in one program: under `vmap` each learns what it learns alone, and dual cycles stay conditional."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from support.learners import QUICK, SAC_METHODS, assert_trees_close, dual_batch, key, random_batch, small_sac

BLOCK = 4
SEEDS = (1, 2)


def stacked(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def data(sac: Any, seed: int) -> tuple[Any, Any]:
    """Minibatches of a block, and those of its cycles."""
    schedule = sac.mechanism.dual
    cycles = 1 if schedule is None else schedule.most_cycles(BLOCK)
    return random_batch(seed, BLOCK, 8), dual_batch(sac, seed + 100, cycles)


@pytest.mark.parametrize("method", SAC_METHODS)
def test_seeds_under_vmap_learn_what_each_learns_alone(method: str) -> None:
    sac = small_sac(method)
    states, inputs = [sac.init(key(seed)) for seed in SEEDS], [data(sac, seed) for seed in SEEDS]
    keys = [key(10 + seed) for seed in SEEDS]
    together = jax.jit(jax.vmap(sac.update_block, in_axes=(0, 0, 0, 0, None)), compiler_options=QUICK)
    alone = jax.jit(sac.update_block, compiler_options=QUICK)
    step = jnp.zeros((), jnp.int32)
    batches, dual = stacked([b for b, _ in inputs]), stacked([d for _, d in inputs])
    both, figures = together(stacked(states), batches, dual, jnp.stack(keys), step)
    for place, (state, (own, own_dual), run_key) in enumerate(zip(states, inputs, keys, strict=True)):
        expected = alone(state, own, own_dual, run_key)
        actual = jax.tree.map(lambda x, i=place: x[i], (both, figures))
        assert_trees_close(actual, expected, rtol=1e-4, atol=1e-5)


def conditionals(step: Any) -> int:
    """How many conditionals are left of a block of SAC-ALaM for two seeds."""
    sac = small_sac("sac-alam")
    inputs = [data(sac, seed) for seed in SEEDS]
    batches, dual = stacked([b for b, _ in inputs]), stacked([d for _, d in inputs])
    states, keys = stacked([sac.init(key(seed)) for seed in SEEDS]), jnp.stack([key(seed) for seed in SEEDS])
    seeds = jax.vmap(sac.update_block, in_axes=(0, 0, 0, 0, None))
    return str(jax.make_jaxpr(seeds)(states, batches, dual, keys, step)).count("cond[")


def test_a_counter_outside_of_the_seeds_keeps_dual_cycles_conditional() -> None:
    """With the counter in the state alone, vmap turns the conditional into both of its branches at every step."""
    assert conditionals(None) == 0
    assert conditionals(jnp.zeros((), jnp.int32)) == 1
