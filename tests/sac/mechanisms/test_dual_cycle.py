"""A dual cycle against the NumPy reference: inner steps, penalty factor, figures; and why its target is frozen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.core_bridge import mlp_net, to_float64
from support.learners import BATCH, DIMS, QUICK, assert_trees_close, key, small_config, trees_equal
from support.numpy_reference import Array, Optimizer, dual_cycle, multiplier

from statewise.core.networks import apply_multiplier, init_multiplier
from statewise.methods import build_method
from statewise.sac.mechanism import DualInputs
from statewise.sac.mechanisms.alam import regression_loss
from statewise.sac.mechanisms.multiplier import ascent_loss

STEPS = 3
D = 0.1
RHO = 2.0


def inputs(seed: int, *, mean_f: float = 0.2) -> DualInputs:
    """Random states; F̂ around `mean_f`, so that G has both signs."""
    rng = np.random.default_rng(seed)
    obs = jnp.asarray(rng.normal(size=(STEPS, BATCH, DIMS.obs)), jnp.float32)
    f = jnp.asarray(rng.normal(mean_f, 1.0, size=(STEPS, BATCH)), jnp.float32)
    return DualInputs(obs, f)


def run_cycle(method: str, given: DualInputs, **changes: Any) -> tuple[Any, Any, dict[str, Any]]:
    """The mechanism's state before and after a cycle, and the cycle's metrics."""
    # λ₀ ≈ 0.5 lets both sides of the truncation at λ + ρG = 0 occur.
    fields = {"multiplier_bias": -0.5, "cost_threshold": D, "rho_init": RHO, "dual_steps": STEPS, **changes}
    mechanism = build_method(small_config(method, **fields))
    before = mechanism.init(key(1), DIMS)
    assert mechanism.update is not None
    after, metrics = jax.jit(mechanism.update, compiler_options=QUICK)(before, given)
    return before, after, metrics


def rms(x: Array) -> float:
    return float(np.sqrt(np.mean(x**2)))


def test_the_inputs_reach_both_sides_of_the_truncation() -> None:
    given = inputs(0)
    before, _, _ = run_cycle("sac-alam", given)
    active = np.asarray(apply_multiplier(before.params, given.obs) + RHO * (given.f - D) > 0.0)
    assert 0.2 < active.mean() < 0.8


@pytest.mark.parametrize("method", ["sac-alam", "sac-alam-ga", "sac-lagnet"])
def test_a_cycle_equals_the_reference(method: str) -> None:
    given = inputs(0)
    before, after, metrics = run_cycle(method, given)
    net, obs, g = mlp_net(before.params), to_float64(given.obs), to_float64(given.f) - D
    clip = 3.0 if method == "sac-lagnet" else 40.0
    optimizer = Optimizer.start(net, 3.0, 1.0, clip)
    assert small_config(method).to_dict()["multiplier_grad_clip"] == clip
    rho = 1.0 if method == "sac-lagnet" else RHO
    new, _, loss = dual_cycle(net, optimizer, obs, g, rho, ascent=method != "sac-alam")
    for actual, wanted in zip(mlp_net(after.params), new, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-5)

    lam, lam_new = (np.stack([multiplier(n, x) for x in obs]) for n in (net, new))
    target, change, wanted = np.maximum(lam + rho * g, 0.0), lam_new - lam, np.maximum(rho * g, -lam)
    u = np.maximum(g, -lam / rho)
    figures = {
        "dual_loss": loss,
        "lam_change": np.mean(np.abs(change)),
        "target_error_before": rms(lam - target) / rms(target),
        "target_error_after": rms(lam_new - target) / rms(target),
        "cosine": np.mean(change * wanted) / (rms(change) * rms(wanted)),
        "leakage": np.mean(change[g < 0.0]),
        "lam_g": np.mean(np.abs(lam * g)),
        "slackness": np.mean(np.abs(u)),
    }
    if method != "sac-lagnet":
        figures["violation"] = rms(u)
        np.testing.assert_allclose(after.rho, RHO * 1.01 if rms(u) > 1.0 / RHO else RHO, rtol=1e-6)
    assert set(metrics) == set(figures)
    for name, value in figures.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("mean_f", "changes", "rho"),
    [
        (9.0, {}, 2.02),  # v is about 9, far above 1/ρ = 0.5: grows by σ
        (9.0, {"rho_growth": 4.0, "rho_max": 5.0}, 5.0),  # capped
        (9.0, {"rho_init": 0.01}, 0.01),  # 1/ρ = 100 is not reached
    ],
)
def test_the_penalty_factor_grows_by_its_rule(mean_f: float, changes: dict[str, Any], rho: float) -> None:
    _, after, _ = run_cycle("sac-alam", inputs(0, mean_f=mean_f), **changes)
    np.testing.assert_allclose(after.rho, rho, rtol=1e-6)


def test_the_cap_limits_the_regressions_target() -> None:
    given = inputs(0, mean_f=30.0)  # every uncapped target is far above 2
    before, after, metrics = run_cycle("sac-alam", given, multiplier_max=2.0)
    lam, lam_new = (apply_multiplier(state.params, given.obs) for state in (before, after))
    np.testing.assert_allclose(metrics["target_error_before"], rms(to_float64(lam) - 2.0) / 2.0, rtol=1e-5)
    np.testing.assert_allclose(metrics["target_error_after"], rms(to_float64(lam_new) - 2.0) / 2.0, rtol=1e-5)


@pytest.mark.parametrize("method", ["sac-alam-ga", "sac-lagnet"])
def test_ascent_does_not_climb_above_the_cap(method: str) -> None:
    given = inputs(0, mean_f=30.0)
    before, after, _ = run_cycle(method, given, multiplier_bias=3.0, multiplier_max=0.5)
    assert trees_equal(before.params, after.params)
    before, after, _ = run_cycle(method, given._replace(f=-given.f), multiplier_bias=3.0, multiplier_max=0.5)
    lower = apply_multiplier(after.params, given.obs) < apply_multiplier(before.params, given.obs)
    assert float(jnp.mean(lower)) > 0.9


# --- why the target is frozen ------------------------------------------------------------------------------------


def loss_gradient(inner_loss: Any, params: Any, obs: jax.Array, rho_g: jax.Array, target: jax.Array) -> Any:
    """Gradient in w of the mean inner loss, direction and target held constant."""
    return jax.grad(lambda w: jnp.mean(inner_loss(apply_multiplier(w, obs), rho_g, target)))(params)


def test_with_a_target_evaluated_anew_regression_is_truncated_ascent() -> None:
    """∇ mean (λ_w − sg relu(λ_w + ρG))² = 2·∇ −E[λ_w·sg max(ρG, −λ)], at every w."""
    given = inputs(0)
    obs, rho_g = given.obs[0], RHO * (given.f[0] - D)
    for seed in range(3):
        params = init_multiplier(key(seed), DIMS, (16, 16), -0.5)
        lam = apply_multiplier(params, obs)
        regression = loss_gradient(regression_loss, params, obs, rho_g, jax.nn.relu(lam + rho_g))
        ascent = loss_gradient(ascent_loss, params, obs, jnp.maximum(rho_g, -lam), lam)
        assert_trees_close(regression, jax.tree.map(lambda g: 2.0 * g, ascent), rtol=1e-4)


def test_the_frozen_target_turns_the_second_step_away_from_ascent() -> None:
    """After a step to w₁ the two gradients differ by 2·E[(λ_w₁ − λ_k)∇λ_w₁]: what has been gained counts."""
    given = inputs(0)
    obs, rho_g = given.obs[0], RHO * (given.f[0] - D)
    params = init_multiplier(key(0), DIMS, (16, 16), -0.5)
    lam_k = apply_multiplier(params, obs)
    direction = jnp.maximum(rho_g, -lam_k)
    first = loss_gradient(regression_loss, params, obs, rho_g, lam_k + direction)
    params_1 = jax.tree.map(lambda w, g: w - 0.3 * g, params, first)
    frozen = loss_gradient(regression_loss, params_1, obs, rho_g, lam_k + direction)
    ascent = loss_gradient(ascent_loss, params_1, obs, direction, lam_k)
    gained = apply_multiplier(params_1, obs) - lam_k
    credit = loss_gradient(ascent_loss, params_1, obs, -gained, lam_k)
    assert_trees_close(frozen, jax.tree.map(lambda a, c: 2.0 * (a + c), ascent, credit), rtol=1e-4)
    norms = [float(jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(tree)))) for tree in (credit, ascent)]
    assert norms[0] > 0.05 * norms[1]


def test_regression_comes_closer_to_its_target_than_ascent_over_one_long_cycle() -> None:
    """Ascent steps past the target on states that keep their direction; regression stops there."""
    given = inputs(0, mean_f=2.0)
    given = DualInputs(*(jnp.concatenate([x[:1]] * 30) for x in given))
    errors = {}
    for method in ("sac-alam", "sac-alam-ga"):
        _, _, metrics = run_cycle(method, given, dual_steps=30)
        errors[method] = float(metrics["target_error_after"]) / float(metrics["target_error_before"])
    assert errors["sac-alam"] < 1.0
    assert errors["sac-alam"] < errors["sac-alam-ga"]
