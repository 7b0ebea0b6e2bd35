"""Networks by what they compute: the tanh-Gaussian's density, the split critics, the multiplier's sign and start."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.core_bridge import critic_nets, mlp_net, to_float64
from support.learners import DIMS, key, random_batch
from support.numpy_reference import critics, mlp, multiplier

from statewise.core import networks
from statewise.core.networks import (
    apply_critic,
    apply_multiplier,
    init_critic,
    init_multiplier,
    init_policy,
    policy_moments,
    squash,
)

HIDDEN = (16, 16)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.4), (0.6, 0.5), (-1.0, 0.3)])
def test_the_squashed_density_integrates_to_1(mean: float, std: float) -> None:
    edges = np.linspace(-1.0, 1.0, 20_001)
    action = 0.5 * (edges[1:] + edges[:-1])
    noise = jnp.asarray((np.arctanh(action) - mean) / std, jnp.float32)[:, None]
    _, logp = squash(jnp.full(1, mean), jnp.full(1, np.log(std)), noise)
    np.testing.assert_allclose(np.sum(np.exp(logp)) * (edges[1] - edges[0]), 1.0, atol=1e-4)


@given(mean=st.floats(-2.0, 2.0), log_std=st.floats(-2.0, 0.5), noise=st.floats(-2.0, 2.0))
def test_the_log_density_is_that_of_the_change_of_variables(mean: float, log_std: float, noise: float) -> None:
    z = mean + np.exp(log_std) * noise
    gaussian = np.exp(-0.5 * noise**2) / (np.exp(log_std) * np.sqrt(2.0 * np.pi))
    density = gaussian / (1.0 - np.tanh(z) ** 2)
    action, logp = squash(*(jnp.full((1, 1), x, jnp.float32) for x in (mean, log_std, noise)))
    np.testing.assert_allclose(action, np.tanh(z), atol=1e-5)
    np.testing.assert_allclose(logp, np.log(density), rtol=1e-4, atol=1e-4)


def test_the_log_density_sums_over_dimensions() -> None:
    mean, log_std, noise = (jnp.array(row) for row in ([0.1, -0.4], [-0.3, 0.2], [1.0, -0.5]))
    _, both = squash(mean, log_std, noise)
    each = [squash(mean[i : i + 1], log_std[i : i + 1], noise[i : i + 1])[1] for i in range(2)]
    np.testing.assert_allclose(both, each[0] + each[1], rtol=1e-6)


@pytest.mark.parametrize("z", [-30.0, 30.0])
def test_density_and_gradient_stay_finite_where_tanh_saturates(z: float) -> None:
    def logp(mean: jax.Array) -> jax.Array:
        return squash(mean, jnp.zeros(1), jnp.zeros(1))[1]

    value, slope = jax.value_and_grad(logp)(jnp.full(1, z))
    # −½ log 2π − 2(log 2 − |z|), and a slope of 2 tanh z
    np.testing.assert_allclose(value, -0.5 * np.log(2.0 * np.pi) - 2.0 * (np.log(2.0) - 30.0), rtol=1e-6)
    np.testing.assert_allclose(slope, [2.0 * np.sign(z)], rtol=1e-6)


@given(mean=st.floats(-3.0, 3.0), log_std=st.floats(-2.0, 0.5), noise=st.floats(-2.0, 2.0))
def test_the_gradient_of_the_log_density_is_that_of_its_formula(mean: float, log_std: float, noise: float) -> None:
    """d/dz of −log(1 − tanh²z) is 2 tanh z: with z = m + e^s n, 2 tanh z in m, and 2 tanh z · e^s n − 1 in s."""
    at = [jnp.full(1, x, jnp.float32) for x in (mean, log_std)]
    slopes = jax.grad(lambda m, s: squash(m, s, jnp.full(1, noise, jnp.float32))[1], argnums=(0, 1))(*at)
    moved = np.exp(log_std) * noise
    slope = 2.0 * np.tanh(mean + moved)
    np.testing.assert_allclose(np.ravel(slopes), [slope, slope * moved - 1.0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("bias", "clipped"), [(-1e3, -20.0), (1e3, 2.0)])
def test_log_std_is_clipped(bias: float, clipped: float) -> None:
    *body, last = init_policy(key(0), DIMS, HIDDEN)
    params = (*body, last._replace(b=jnp.full_like(last.b, bias)))
    mean, log_std = policy_moments(params, random_batch(0).obs)
    np.testing.assert_array_equal(log_std, clipped)
    np.testing.assert_allclose(mean, bias, rtol=0.1)


def test_the_policys_moments_are_one_mlp() -> None:
    params, obs = init_policy(key(0), DIMS, HIDDEN), random_batch(0).obs
    expected = np.split(mlp(mlp_net(params), to_float64(obs))[0], 2, axis=-1)
    for moment, wanted in zip(policy_moments(params, obs), expected, strict=True):
        np.testing.assert_allclose(moment, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("hidden", [(16,), (16, 16), (16, 8, 4)])
def test_a_split_critic_equals_an_mlp_on_the_concatenation(hidden: tuple[int, ...]) -> None:
    params, batch = init_critic(key(1), DIMS, hidden, 2), random_batch(0)
    expected = critics(critic_nets(params), to_float64(batch.obs), to_float64(batch.action))
    np.testing.assert_allclose(apply_critic(params, batch.obs, batch.action), expected, rtol=1e-5, atol=1e-6)


def test_critics_start_as_one_layer_on_the_concatenation_would() -> None:
    """Weights within ±1/√fan_in, where the first layer's fan-in counts observation and action; twins differ."""
    nets = critic_nets(init_critic(key(1), DIMS, (256, 256), 2))
    for net in nets:
        for fan_in, weights in ((5, net[0]), (256, net[2]), (256, net[4])):
            assert np.abs(weights).max() <= fan_in**-0.5
            assert np.abs(weights).max() > 0.95 * fan_in**-0.5
    assert not np.allclose(nets[0][0], nets[1][0])


def test_the_multiplier_is_the_softplus_of_an_mlp() -> None:
    params, obs = init_multiplier(key(2), DIMS, HIDDEN, -3.0), random_batch(0).obs
    expected = multiplier(mlp_net(params), to_float64(obs))
    np.testing.assert_allclose(apply_multiplier(params, obs), expected, rtol=1e-5)


def test_the_multiplier_starts_near_softplus_of_its_bias() -> None:
    obs = random_batch(0, 64).obs
    lam = [apply_multiplier(init_multiplier(key(seed), DIMS, HIDDEN, -3.0), obs) for seed in range(10)]
    np.testing.assert_allclose(np.mean(lam), 0.0486, rtol=0.1)


@given(scale=st.floats(-1e3, 1e3))
def test_the_multiplier_is_never_negative(scale: float) -> None:
    params = jax.tree.map(lambda x: scale * x, init_multiplier(key(2), DIMS, (4,), -3.0))
    lam = apply_multiplier(params, random_batch(0).obs)
    assert bool(jnp.all((lam >= 0.0) & jnp.isfinite(lam)))


def test_members_in_one_batched_call_give_what_they_give_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients of both, to rounding; on a CPU they are one by one, bit by bit what a loop gives."""
    params = init_critic(key(0), DIMS, HIDDEN, 3)
    batch = random_batch(7)

    def value(params: networks.Critic) -> jax.Array:
        return jnp.sum(jnp.square(apply_critic(params, batch.obs, batch.action)))

    apart, slopes = jax.value_and_grad(value)(params)
    each = [apply_critic(jax.tree.map(lambda p, e=e: p[e : e + 1], params), batch.obs, batch.action) for e in range(3)]
    np.testing.assert_array_equal(apply_critic(params, batch.obs, batch.action), jnp.concatenate(each))
    monkeypatch.setattr(networks, "batches_members", lambda: True)
    assert "batching_dims = [0] x [0]" in jax.jit(value).lower(params).as_text()
    together, others = jax.value_and_grad(value)(params)
    np.testing.assert_allclose(together, apart, rtol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), slopes, others)
