"""When the backbone runs a dual cycle, and on what."""

from __future__ import annotations

from typing import Any

import numpy as np
from support.learners import dual_batch, jit_update, key, random_batch, small_sac, trees_equal

from statewise.sac.core import Sac, SacState


def cycles(sac: Sac, steps: int) -> list[int]:
    """The gradient steps, counted from 1, after which the mechanism's state is another."""
    state, changed = sac.init(key(1)), []
    for step in range(1, steps + 1):
        before = state
        state, _ = jit_update(sac)(state, random_batch(step), dual_batch(sac, step), key(step))
        if not trees_equal(before.mechanism, state.mechanism):
            changed.append(step)
        assert trees_equal(before.cycle, state.cycle) is (step not in changed)
    return changed


def after_steps(sac: Sac, dual: Any, steps: int = 2) -> SacState:
    """The state after the first gradient steps, their dual cycles (at every second one) on `dual`."""
    state = sac.init(key(1))
    for step in range(steps):
        state, _ = jit_update(sac)(state, random_batch(step), dual, key(step))
    return state


def test_a_cycle_runs_at_every_interval() -> None:
    assert cycles(small_sac("sac-alam"), 5) == [2, 4]


def test_no_cycle_runs_before_the_dual_start() -> None:
    sac = small_sac("sac-alam", dual_start=2)
    assert cycles(sac, 6) == [4, 6]


def test_a_cycle_learns_from_all_minibatches_given_and_nothing_else() -> None:
    sac = small_sac("sac-alam")
    dual = dual_batch(sac, 7)
    reference = after_steps(sac, dual)
    for m in range(3):
        changed = after_steps(sac, dual._replace(obs=dual.obs.at[m, 0].add(1.0)))
        assert not trees_equal(reference.mechanism.params, changed.mechanism.params)
    unused = after_steps(sac, dual._replace(reward=-dual.reward, next_obs=-dual.next_obs))
    assert trees_equal(reference, unused)
    assert int(reference.step) == 2


def test_the_cycles_figures_are_of_the_states_feasibility() -> None:
    """v over the cycle's minibatches follows F̂ − d: with d far above, −λ/ρ decides, √E λ² at ρ = 1."""
    sac = small_sac("sac-alam", cost_threshold=1e3)
    dual = dual_batch(sac, 7)
    lam = np.asarray(sac.mechanism.lam(sac.init(key(1)).mechanism, dual.obs, dual.cost))
    v = float(after_steps(sac, dual).cycle["violation"])
    np.testing.assert_allclose(v, np.sqrt(np.mean(lam**2)), rtol=1e-4)
