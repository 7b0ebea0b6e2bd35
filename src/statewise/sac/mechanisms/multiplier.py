"""What the methods with a multiplier network share: its state, its dual cycle, and a cycle's metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from statewise.config import MultiplierConfig
from statewise.core.ops.lagrangian import dual_target, slack_constraint, weighted_mean
from statewise.core.optimizer import make_optimizer
from statewise.core.types import Array, Dims, Key, Metrics
from statewise.sac.mechanism import DualInputs
from statewise.sac.networks import MultiplierNetwork, SacNetworks


class MultiplierState(NamedTuple):
    """Multiplier network, its optimizer, and the penalty factor ρ (1 where the method has none)."""

    params: Any
    opt: Any
    rho: Array


InnerLoss = Callable[[Array, Array, Array], Array]
"""(λ_w(x) [B], ascent direction ρG(x) [B], frozen dual target y(x) [B]) -> loss per state [B]."""


def ascent_loss(lam: Array, rho_g: Array, target: Array) -> Array:
    """−λ_w(x)·sg(ρG(x)): its gradient step is dual ascent in the parameters (Eq. 3)."""
    del target
    return -lam * rho_g


def multiplier_optimizer(config: MultiplierConfig) -> optax.GradientTransformation:
    """The multiplier network's own optimizer: its own rate, clip and count of steps."""
    return make_optimizer(
        config.optimizer,
        config.multiplier_learning_rate,
        config.total_dual_steps,
        zeta=config.zeta,
        max_norm=config.multiplier_grad_clip,
    )


def multiplier_network(networks: SacNetworks) -> MultiplierNetwork:
    """The network λ_w; ValueError where there is none."""
    if networks.multiplier is None:
        raise ValueError("networks: multiplier is missing; this method learns a multiplier network")
    return networks.multiplier


def init_state(
    config: MultiplierConfig, network: MultiplierNetwork, rho: float
) -> Callable[[Key, Dims], MultiplierState]:
    """A function (key, dims) -> MultiplierState with λ₀ ≈ softplus(multiplier_bias)."""

    def init(key: Key, dims: Dims) -> MultiplierState:
        params = network.init(key, dims)
        opt = multiplier_optimizer(config).init(params)
        return MultiplierState(params, opt, jnp.asarray(rho, jnp.float32))

    return init


def evaluate(network: MultiplierNetwork) -> Callable[..., Array]:
    """A function (state, obs [..., obs], f) -> λ_w(x) [...]; it doesn't depend on F̂."""

    def lam(state: MultiplierState, obs: Array, f: Array | None = None) -> Array:
        del f
        return network.apply(state.params, obs)

    return lam


def dual_cycle(
    config: MultiplierConfig,
    network: MultiplierNetwork,
    inner_loss: InnerLoss,
    state: MultiplierState,
    inputs: DualInputs,
) -> tuple[MultiplierState, Metrics, Array]:
    """One optimiser step on each of the M minibatches, the dual target frozen at λ_k, the cycle's first λ (Eq. 9).

    Returns the new state, how well it went, and λ_k [M, B].

    The target has to be frozen: evaluated anew at each inner step, the regression's gradient at w = w_k would be
    at every inner step, as at the first, twice the ascent direction with truncation, and the two methods would be one.
    """
    optimizer = multiplier_optimizer(config)

    def by_minibatch(params: Any) -> Array:
        # One after another: the activations of all of them together don't fit any cache.
        return jax.lax.map(partial(network.apply, params), inputs.obs)

    g = inputs.f - config.threshold
    lam_k = by_minibatch(state.params)
    target, rho_g = dual_target(lam_k, g, state.rho), state.rho * g
    if config.multiplier_max is not None:
        target = jnp.minimum(target, config.multiplier_max)
        rho_g = jnp.where(lam_k >= config.multiplier_max, jnp.minimum(rho_g, 0.0), rho_g)

    def loss(params: Any, obs: Array, rho_g: Array, y: Array) -> Array:
        return jnp.mean(inner_loss(network.apply(params, obs), rho_g, y))

    def step(carry: tuple[Any, Any], minibatch: tuple[Array, ...]) -> tuple[tuple[Any, Any], Array]:
        params, opt = carry
        value, grads = jax.value_and_grad(loss)(params, *minibatch)
        updates, opt = optimizer.update(grads, opt, params)
        return (optax.apply_updates(params, updates), opt), value

    minibatches = (inputs.obs, rho_g, target)
    (params, opt), losses = jax.lax.scan(step, (state.params, state.opt), minibatches)
    new = MultiplierState(params, opt, state.rho)
    lam_new = by_minibatch(params)
    metrics = cycle_metrics(lam_k, lam_new, target, g, state.rho)
    return new, {"dual_loss": jnp.mean(losses), **metrics}, lam_k


def cycle_metrics(lam: Array, lam_new: Array, target: Array, g: Array, rho: Array) -> Metrics:
    """How well a cycle did what the dual update asks for, over the states of its minibatches.

    lam_change E|Δλ|; target_error_before, _after: RMS distance to the target relative to the target's RMS; cosine
    between Δλ and max(ρG, −λ); leakage: mean Δλ where G < 0; lam_g E|λG|; slackness E|max(G, −λ/ρ)|.
    """

    def rms(x: Array) -> Array:
        return jnp.sqrt(jnp.mean(jnp.square(x)))

    change, wanted = lam_new - lam, jnp.maximum(rho * g, -lam)
    return {
        "lam_change": jnp.mean(jnp.abs(change)),
        "target_error_before": rms(lam - target) / (rms(target) + 1e-8),
        "target_error_after": rms(lam_new - target) / (rms(target) + 1e-8),
        "cosine": jnp.mean(change * wanted) / (rms(change) * rms(wanted) + 1e-12),
        "leakage": weighted_mean(change, (g < 0.0).astype(g.dtype)),
        "lam_g": jnp.mean(jnp.abs(lam * g)),
        "slackness": jnp.mean(jnp.abs(slack_constraint(lam, g, rho))),
    }
