"""The scalar methods by hand: losses of the actor, and what their multipliers do with a run of constraint values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import DIMS, key, small_config

from statewise.methods import build_method
from statewise.sac.mechanism import ActorTerms, DualInputs, Mechanism

D = 0.1
F = np.array([0.6, -0.4, 0.1])  # mean G = 0
BASE = np.array([0.2, -0.1, 0.3]) - np.array([1.0, 2.0, -1.0])
SCALAR = ["sac-lag", "sac-pid", "asac"]


def build(method: str, **changes: Any) -> Mechanism:
    return build_method(small_config(method, cost_threshold=D, **changes))


def loss(mechanism: Mechanism, lam: float, f: np.ndarray = F) -> np.ndarray:
    state = mechanism.init(key(0), DIMS)._replace(lam=jnp.asarray(lam, jnp.float32))
    obs, action, zeros = jnp.zeros((3, DIMS.obs)), jnp.zeros((3, DIMS.action)), jnp.zeros(3)
    terms = ActorTerms(obs, action, jnp.asarray(BASE, jnp.float32), zeros, jnp.asarray(f, jnp.float32), zeros)
    return np.asarray(mechanism.actor_loss(state, terms))


def follow(mechanism: Mechanism, g: list[float]) -> list[float]:
    """λ after each of some updates at which the mean of F̂ − d over two minibatches is `g`."""
    state, path = mechanism.init(key(0), DIMS), []
    assert mechanism.update is not None
    update = jax.jit(mechanism.update)
    for value in g:
        f = jnp.asarray([[value + D - 0.3], [value + D + 0.3]], jnp.float32)
        state, _ = update(state, DualInputs(jnp.zeros((2, 1, DIMS.obs)), f))
        path.append(float(state.lam))
    return path


@pytest.mark.parametrize("method", ["sac-lag", "sac-pid"])
def test_the_linear_loss_is_divided_by_1_plus_the_multiplier(method: str) -> None:
    np.testing.assert_allclose(loss(build(method), 3.0), (BASE + 3.0 * (F - D)) / 4.0, rtol=1e-6)


def test_the_loss_of_asac_takes_its_factor_from_the_mean() -> None:
    # mean G = 0.2, k = relu(1 + 2·0.2) = 1.4; then mean G = −0.9, k = relu(1 − 1.8) = 0
    np.testing.assert_allclose(
        loss(build("asac", rho_init=2.0), 1.0, F + 0.2), (BASE + 1.4 * (F + 0.2)) / 2.4, rtol=1e-6
    )
    np.testing.assert_allclose(loss(build("asac", rho_init=2.0), 1.0, F - 0.9), BASE, rtol=1e-6)


def test_lag_climbs_by_adam_and_stops_at_0() -> None:
    # A constant gradient makes each of Adam's steps its whole rate.
    path = follow(build("sac-lag", lambda_learning_rate=0.5), [0.3, 0.3, 0.3])
    np.testing.assert_allclose(path, [0.5, 1.0, 1.5], rtol=1e-4)
    assert follow(build("sac-lag", lambda_init=0.1, lambda_learning_rate=0.5), [-0.3] * 3) == [0.0, 0.0, 0.0]


def test_the_controller_written_out() -> None:
    kp, ki, kd, smooth, delay = 2.0, 0.5, 3.0, 0.5, 2
    g = [0.4, 0.8, -0.2, -2.0, 1.0, 0.6]
    integral = error = cost = 0.0
    costs, expected = [0.0] * delay, []
    for e in g:
        integral = max(0.0, integral + ki * e)
        error = smooth * error + (1 - smooth) * e
        cost = smooth * cost + (1 - smooth) * (e + D)
        expected.append(max(0.0, kp * error + integral + kd * max(0.0, cost - costs[-delay])))
        costs.append(cost)
    path = follow(build("sac-pid", pid_kp=kp, pid_ki=ki, pid_kd=kd, pid_smoothing=smooth, pid_delay=delay), g)
    np.testing.assert_allclose(path, expected, rtol=1e-5, atol=1e-6)
    assert expected[0] == pytest.approx(2.0 * 0.2 + 0.2 + 3.0 * 0.25)
    assert min(path) == 0.0


def test_asac_follows_its_dual_target_and_its_penalty_grows() -> None:
    mechanism = build("asac", rho_init=2.0, rho_growth=1.5, rho_max=2.5)
    np.testing.assert_allclose(follow(mechanism, [0.4]), [0.8], rtol=1e-6)  # v = 0.4 < 1/2: ρ stays
    # v = 0.6 > 1/2: ρ ← min(3, 2.5) after λ ← 1.2; then λ ← 1.2 + 2.5·0.1; then relu(1.45 − 2.5·1)
    np.testing.assert_allclose(follow(mechanism, [0.6, 0.1, -1.0]), [1.2, 1.45, 0.0], rtol=1e-5)


@pytest.mark.parametrize("method", SCALAR)
def test_a_scalar_multiplier_is_never_negative_and_the_same_everywhere(method: str) -> None:
    mechanism = build(method)
    rng = np.random.default_rng(0)
    assert min(follow(mechanism, list(rng.normal(-0.2, 1.0, 40)))) >= 0.0
    state = mechanism.init(key(0), DIMS)._replace(lam=jnp.asarray(0.7))
    np.testing.assert_allclose(mechanism.lam(state, jnp.zeros((4, DIMS.obs)), jnp.zeros(4)), 0.7)
