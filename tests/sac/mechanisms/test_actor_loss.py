"""Each mechanism's loss of the actor by hand, its multiplier, and its cost target."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import DIMS, SAC_METHODS, key, random_batch, small_config

from statewise.core.ops import feasibility
from statewise.methods import build_method
from statewise.sac.mechanism import ActorTerms, CostTargetInputs, Mechanism

D = 0.1
F = np.array([0.6, -0.4, -3.0])
ALPHA_LOGP = np.array([0.2, -0.1, 0.3])
Q = np.array([1.0, 2.0, -1.0])
BASE = ALPHA_LOGP - Q


def losses(mechanism: Mechanism) -> tuple[np.ndarray, np.ndarray]:
    """The actor's loss and λ at three states."""
    state = mechanism.init(key(0), DIMS)
    obs = random_batch(0, 3).obs
    alpha_logp, q, f = (jnp.asarray(row, jnp.float32) for row in (ALPHA_LOGP, Q, F))
    terms = ActorTerms(obs, jnp.zeros((3, DIMS.action)), alpha_logp, q, f, jnp.zeros(3))
    return np.asarray(mechanism.actor_loss(state, terms)), np.asarray(mechanism.lam(state, obs, terms.f))


def build(method: str, **changes: Any) -> Mechanism:
    return build_method(small_config(method, cost_threshold=D, multiplier_bias=0.5, **changes))


def test_plain_sac_ignores_the_cost() -> None:
    loss, lam = losses(build("sac"))
    np.testing.assert_allclose(loss, BASE, rtol=1e-6)
    np.testing.assert_array_equal(lam, 0.0)
    assert build("sac").n_cost_samples == 0


@pytest.mark.parametrize("method", ["sac-alam", "sac-alam-ga"])
def test_the_augmented_loss(method: str) -> None:
    loss, lam = losses(build(method, rho_init=2.0))
    # The third state lies beyond the truncation: −λ/ρ > −3.1, so that its penalty is −λ²/(2ρ).
    assert lam[2] < 2.0 * 3.1
    expected = BASE + (np.maximum(lam + 2.0 * (F - D), 0.0) ** 2 - lam**2) / 4.0
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_linear_loss() -> None:
    loss, lam = losses(build("sac-lagnet"))
    np.testing.assert_allclose(loss, BASE + lam * (F - D), rtol=1e-5)


@pytest.mark.parametrize("method", SAC_METHODS)
def test_the_multiplier_starts_at_no_less_than_0(method: str) -> None:
    mechanism = build_method(small_config(method))
    lam = mechanism.lam(mechanism.init(key(0), DIMS), random_batch(0).obs, jnp.zeros(8))
    assert lam.shape == (8,)
    assert float(jnp.min(lam)) >= 0.0
    assert float(jnp.max(lam)) < 0.1


@pytest.mark.parametrize("name", ["cvf", "cdf", "hjr"])
@pytest.mark.parametrize("method", [method for method in SAC_METHODS if method != "sac-fpi"])
def test_the_cost_target_is_that_of_the_feasibility_function(method: str, name: str) -> None:
    config = small_config(method, feasibility=name, gamma=0.9, feasibility_gamma=0.8)
    batch = random_batch(3)
    next_qc = batch.reward
    target = build_method(config).cost_target(CostTargetInputs(batch.cost, batch.constraint, batch.terminated, next_qc))
    expected = {
        "cvf": feasibility.cvf_target(batch.cost, batch.terminated, next_qc, 0.9),
        "cdf": feasibility.cdf_target(batch.cost, batch.terminated, next_qc, 0.8),
        "hjr": feasibility.hjr_target(batch.constraint, batch.terminated, next_qc, 0.9),
    }
    np.testing.assert_array_equal(target, expected[name])
