"""SAC's gradient step against the independent NumPy reference: critics, policy, temperature and targets."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from support.core_bridge import critic_nets, mlp_net, reference_batch, reference_learner, update_noise
from support.learners import BATCH, DIMS, dual_batch, jit_update, key, random_batch, small_sac
from support.numpy_reference import Learner, Settings, update

from statewise.config import AlamConfig
from statewise.sac.core import SacState

NO_CYCLE = 1_000

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("sac", {}),
    "clipped, entropy target": ("sac", {"grad_clip": 0.05, "target_entropy": 0.7, "alpha_init": 0.3}),
    "augmented": ("sac-alam", {"multiplier_bias": -1.0, "cost_threshold": 0.2, "rho_init": 3.0}),
    "augmented, one sample": ("sac-alam", {"multiplier_bias": 1.0, "n_cost_samples": 1}),
    "means of twins": ("sac-alam", {"multiplier_bias": 1.0, "reward_twins": "mean", "cost_twins": "mean"}),
    "in units of 4": ("sac-alam", {"multiplier_bias": 1.0, "rho_init": 3.0}),
    "linear": ("sac-lagnet", {"multiplier_bias": 1.0}),
}


def penalty_slope(method: str, rho: float) -> Any:
    """The derivative of the method's penalty in G, written out."""
    slopes = {
        "sac": lambda lam, g: np.zeros_like(g),
        "sac-alam": lambda lam, g: np.maximum(lam + rho * g, 0.0),
        "sac-lagnet": lambda lam, g: lam,
    }
    return slopes[method]


def assert_same_learner(state: SacState, expected: Learner) -> None:
    nets = {"policy": ([mlp_net(state.policy)], [expected.policy])}
    for name in ("q", "qc", "q_target", "qc_target"):
        nets[name] = critic_nets(getattr(state, name)), getattr(expected, name)
    nets["log_alpha"] = [[np.asarray(state.log_alpha)]], [[expected.log_alpha]]
    for name, (actual, wanted) in nets.items():
        for net, wanted_net in zip(actual, wanted, strict=True):
            for a, b in zip(net, wanted_net, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_two_updates_equal_the_reference(case: str) -> None:
    method, changes = CASES[case]
    sac = small_sac(method, dual_interval=NO_CYCLE, **changes)
    c = sac.config
    rho = c.rho_init if isinstance(c, AlamConfig) else 1.0
    settings = Settings(
        gamma=c.gamma,
        tau=c.tau,
        threshold=c.threshold,
        target_entropy=-2.0 if c.target_entropy is None else c.target_entropy,
        penalty_slope=penalty_slope(method, rho),
        reward_twins=c.reward_twins,
        cost_twins=c.cost_twins,
        unit=4.0 if "unit" in case else 1.0,
    )
    # Where no unit is tracked, it stays as it is.
    state = sac.init(key(1))._replace(unit=jnp.asarray(settings.unit))
    expected = reference_learner(sac, state)
    for step in range(2):
        batch, step_key = random_batch(10 + step), key(20 + step)
        lam = np.asarray(sac.mechanism.lam(state.mechanism, batch.obs, batch.cost), np.float64)
        noise = update_noise(step_key, BATCH, DIMS.action, max(sac.mechanism.n_cost_samples, 1))
        state, metrics = jit_update(sac)(state, batch, dual_batch(sac, 0), step_key)
        expected, figures = update(expected, reference_batch(batch), noise, lam, settings)
        for name, value in figures.items():
            np.testing.assert_allclose(metrics[name], value, rtol=1e-5)
    assert_same_learner(state, expected)


def test_the_reference_case_reaches_both_sides_of_the_truncation() -> None:
    method, changes = CASES["augmented"]
    sac = small_sac(method, dual_interval=NO_CYCLE, **changes)
    lam, f = sac.risk(sac.init(key(1)), random_batch(10).obs, key(0))
    reached = np.asarray(lam + 3.0 * (f - 0.2) > 0.0)
    assert reached.any()
    assert not reached.all()
