"""The ablations of SAC-ALaM by its flags: each corner of the grid is the method that it should be."""

from __future__ import annotations

from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import (
    assert_trees_close,
    dual_batch,
    jit_update,
    key,
    networks,
    random_batch,
    small_sac,
    trees_equal,
)

from statewise.sac.core import Sac, SacState

STEPS = 3


def learned(sac: Sac) -> SacState:
    """The state behind a few steps on fixed data, a dual cycle among them."""
    state = sac.init(key(1))
    for step in range(STEPS):
        state, _ = jit_update(sac)(state, random_batch(step), dual_batch(sac, step), key(10 + step))
    return state


def test_ascent_by_flag_is_the_ablation_of_that_name() -> None:
    by_flag, by_name = learned(small_sac("sac-alam", multiplier_update="ascent")), learned(small_sac("sac-alam-ga"))
    assert trees_equal(by_flag, by_name)


def test_linear_ascent_with_rho_1_is_the_linear_method() -> None:
    """FAC's penalty and direction; its own clip and pace aside."""
    flags: dict[str, Any] = {"penalty": "linear", "multiplier_update": "ascent", "rho_growth": 1.0}
    by_flag = learned(small_sac("sac-alam", **flags))
    by_name = learned(small_sac("sac-lagnet", multiplier_grad_clip=40.0))
    assert_trees_close(networks(by_flag), networks(by_name))
    assert_trees_close(by_flag.mechanism.params, by_name.mechanism.params)


@pytest.mark.parametrize("update", ["regression", "ascent"])
def test_a_scalar_is_the_same_everywhere_and_moves(update: str) -> None:
    sac = small_sac("sac-alam", multiplier_form="scalar", multiplier_update=update, multiplier_bias=0.5)
    obs = random_batch(3).obs
    before, _ = sac.risk(sac.init(key(1)), obs, key(0))
    after, _ = sac.risk(learned(sac), obs, key(0))
    np.testing.assert_allclose(before, np.log1p(np.exp(0.5)), rtol=1e-6)
    assert np.ptp(after) == 0.0
    assert abs(float(after[0] - before[0])) > 1e-3


def test_rho_stays_where_its_growth_is_1() -> None:
    fixed, grown = (
        learned(small_sac("sac-alam", cost_threshold=-5.0, rho_growth=growth)).mechanism.rho for growth in (1.0, 1.5)
    )
    assert float(fixed) == 1.0
    assert float(grown) == 1.5


@pytest.mark.slow
def test_every_corner_of_the_grid_learns_something_of_its_own() -> None:
    grid = product(("augmented", "linear"), ("regression", "ascent"), ("network", "scalar"))
    seen = []
    for penalty, update, form in grid:
        flags = {"penalty": penalty, "multiplier_update": update, "multiplier_form": form}
        sac = small_sac("sac-alam", multiplier_bias=0.5, **flags)
        state = learned(sac)
        lam, _ = sac.risk(state, random_batch(0).obs, key(0))
        assert bool(jnp.all(jnp.isfinite(lam)))
        seen.append((np.asarray(state.policy[0].w).tobytes(), np.asarray(lam).tobytes()))
    assert len(set(seen)) == len(seen)
