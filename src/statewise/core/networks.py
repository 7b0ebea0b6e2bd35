"""Networks as plain pytrees with init and apply functions: MLP, twin critics, tanh-Gaussian policy, multiplier."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from statewise.core.products import FLOAT32, Arithmetic
from statewise.core.types import Array, Dims, Key

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


class Layer(NamedTuple):
    """Affine map: w [in, out], b [out]; an ensemble has a leading axis E on both."""

    w: Array
    b: Array


Mlp = tuple[Layer, ...]


class Critic(NamedTuple):
    """Action-value ensemble whose first layer is split by input: obs @ w_obs + action @ w_action + b.

    w_obs [E, obs, hidden]; w_action [E, action, hidden]; b [E, hidden]; rest: the layers above.
    """

    w_obs: Array
    w_action: Array
    b: Array
    rest: Mlp


def init_layer(key: Key, fan_in: int, fan_out: int, ensemble: tuple[int, ...] = ()) -> Layer:
    """Weights and biases uniform on ±1/√fan_in."""
    key_w, key_b = jax.random.split(key)
    bound = 1.0 / math.sqrt(fan_in)
    w = jax.random.uniform(key_w, (*ensemble, fan_in, fan_out), minval=-bound, maxval=bound)
    b = jax.random.uniform(key_b, (*ensemble, fan_out), minval=-bound, maxval=bound)
    return Layer(w, b)


def init_mlp(key: Key, sizes: tuple[int, ...], ensemble: tuple[int, ...] = ()) -> Mlp:
    """One layer for each pair of neighbouring `sizes`."""
    keys = jax.random.split(key, len(sizes) - 1)
    return tuple(init_layer(k, m, n, ensemble) for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True))


def apply_mlp(
    params: Mlp, x: Array, activation: Callable[[Array], Array] | None = None, arithmetic: Arithmetic = FLOAT32
) -> Array:
    """`activation`, None for max(x, 0), between the layers; the last is always in float32: [..., in] -> [..., out]."""
    for place, layer in enumerate(params[:-1], 1):
        apart = arithmetic.product(x, layer.w) + layer.b
        x = rectify(apart, params[place:], arithmetic) if activation is None else activation(apart)
    return arithmetic.last(x, params[-1].w) + params[-1].b


def rectify(x: Array, following: Mlp, arithmetic: Arithmetic) -> Array:
    """max(x, 0) as the layers that follow take it: the last one of all takes float32."""
    return arithmetic.rectify(x) if len(following) > 1 else jax.nn.relu(x)


def init_critic(key: Key, dims: Dims, hidden: tuple[int, ...], ensemble: int) -> Critic:
    """An ensemble of Q-networks, initialised as one MLP on the concatenation of obs and action."""
    key_first, key_rest = jax.random.split(key)
    first = init_layer(key_first, dims.obs + dims.action, hidden[0], (ensemble,))
    rest = init_mlp(key_rest, (*hidden, 1), (ensemble,))
    return Critic(first.w[:, : dims.obs], first.w[:, dims.obs :], first.b, rest)


def critic_features(params: Critic, obs: Array, arithmetic: Arithmetic = FLOAT32) -> Array:
    """The state's share of the first layer: obs [B, obs] -> [E, B, hidden], to be shared by all sampled actions."""
    return over_members(lambda member: arithmetic.product(obs, member.w_obs) + member.b, params)


def critic_values(params: Critic, features: Array, action: Array, arithmetic: Arithmetic = FLOAT32) -> Array:
    """Action values from shared features: [E, B, hidden] and action [K, B, action] -> [E, K, B]."""
    samples, batch, _ = action.shape
    flat = action.reshape(samples * batch, -1)

    def values(member: Critic, features: Array) -> Array:
        first = features + (flat @ member.w_action).reshape(samples, batch, -1)
        x = rectify(first, member.rest, arithmetic).reshape(samples * batch, -1)
        return apply_mlp(member.rest, x, arithmetic=arithmetic).reshape(samples, batch)

    return over_members(values, params, features)


def over_members(f: Callable[..., Array], params: Critic, *shares: Array) -> Array:
    """f(member, its share of each of `shares` [E, ...]) of all members of an ensemble, stacked: [E, ...].

    One by one on a CPU, where XLA is faster at plain products than at batched ones; elsewhere in one batched call.
    """
    if batches_members():
        return jax.vmap(f)(params, *shares)
    leaves, structure = jax.tree.flatten((params, *shares))
    members = zip(*map(_members, leaves), strict=True)
    return jnp.stack([f(*structure.unflatten(member)) for member in members])


def _members(leaf: Array) -> list[Array]:
    """The entries of the leading axis. Their gradients become one array at once, those of leaf[e] would be added up."""
    return [jnp.squeeze(part, 0) for part in jax.lax.split(leaf, (1,) * leaf.shape[0])]


def batches_members() -> bool:
    """Whether the members of an ensemble are one batched call: where JAX has an accelerator."""
    return jax.default_backend() != "cpu"


def apply_critic(params: Critic, obs: Array, action: Array) -> Array:
    """Action values: obs [B, obs], action [B, action] -> [E, B]."""
    return critic_values(params, critic_features(params, obs), action[None])[:, 0]


def init_policy(key: Key, dims: Dims, hidden: tuple[int, ...]) -> Mlp:
    """A tanh-Gaussian policy: the last layer gives means and log-standard deviations."""
    return init_mlp(key, (dims.obs, *hidden, 2 * dims.action))


def policy_moments(params: Mlp, obs: Array, arithmetic: Arithmetic = FLOAT32) -> tuple[Array, Array]:
    """Mean and log-std of the Gaussian before the tanh, log-std clipped to [−20, 2]: each [..., action]."""
    mean, log_std = jnp.split(apply_mlp(params, obs, arithmetic=arithmetic), 2, axis=-1)
    return mean, jnp.clip(log_std, LOG_STD_MIN, LOG_STD_MAX)


def squash(mean: Array, log_std: Array, noise: Array) -> tuple[Array, Array]:
    """Reparameterised action tanh(z), z = mean + exp(log_std)·noise, and its log-density.

    Returns action [..., action] and log π [...]; the density's correction is written as 2(ln 2 − z − softplus(−2z)) per
    dimension, which doesn't lose digits where tanh saturates (Haarnoja et al. 2018, appendix C).
    """
    z = mean + jnp.exp(log_std) * noise
    gaussian = -0.5 * jnp.square(noise) - log_std - 0.5 * math.log(2.0 * math.pi)
    correction = 2.0 * (math.log(2.0) - z - jax.nn.softplus(-2.0 * z))
    return jnp.tanh(z), jnp.sum(gaussian - correction, axis=-1)


def init_multiplier(key: Key, dims: Dims, hidden: tuple[int, ...], bias: float) -> Mlp:
    """A multiplier network with the given output bias, so that λ starts near softplus(bias)."""
    *body, last = init_mlp(key, (dims.obs, *hidden, 1))
    return (*body, Layer(last.w, jnp.full_like(last.b, bias)))


def init_scalar_multiplier(bias: float) -> Mlp:
    """A multiplier that sees nothing of the state: softplus of one number."""
    return (Layer(jnp.zeros((0, 1)), jnp.full((1,), bias, jnp.float32)),)


def apply_multiplier(params: Mlp, obs: Array, arithmetic: Arithmetic = FLOAT32) -> Array:
    """λ(x) = softplus(network), never negative, of the inputs that the first layer takes: [..., obs] -> [...]."""
    seen = obs[..., : params[0].w.shape[0]]
    return jax.nn.softplus(apply_mlp(params, seen, arithmetic=arithmetic)[..., 0])
