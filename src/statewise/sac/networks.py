"""The networks of soft actor-critic and its multiplier: another architecture is another `SacNetworks`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

from statewise.config import AlamConfig, MultiplierConfig, SacConfig
from statewise.core import networks as nets
from statewise.core.products import ARITHMETIC
from statewise.core.types import Array, Dims, Key
from statewise.runtime import product_precision


class PolicyNetwork(NamedTuple):
    """init(key, dims) -> params; moments(params, x [B, inputs]) -> mean, log-std, each [B, action]."""

    init: Callable[[Key, Dims], Any]
    moments: Callable[[Any, Array], tuple[Array, Array]]


class CriticNetwork(NamedTuple):
    """An ensemble of E action values, evaluated in two parts so that K actions share what depends on the state alone.

    init(key, dims) -> params; features(params, x [B, inputs]) -> features;
    values(params, features, action [K, B, action]) -> [E, K, B].
    """

    init: Callable[[Key, Dims], Any]
    features: Callable[[Any, Array], Any]
    values: Callable[[Any, Any, Array], Array]

    def at(self, params: Any, x: Array, action: Array) -> Array:
        """Values of one action a state: x [B, inputs], action [B, action] -> [E, B]."""
        return self.values(params, self.features(params, x), action[None])[:, 0]


class MultiplierNetwork(NamedTuple):
    """init(key, dims) -> params; apply(params, x [..., inputs]) -> λ(x) [...], never negative."""

    init: Callable[[Key, Dims], Any]
    apply: Callable[[Any, Array], Array]


class SacNetworks(NamedTuple):
    """What a method on soft actor-critic approximates with; dims are sizes behind the embedding."""

    policy: PolicyNetwork
    q: CriticNetwork
    qc: CriticNetwork
    multiplier: MultiplierNetwork | None
    """None for methods without a multiplier of this kind."""


def make_networks(
    config: SacConfig, critics: int = 2, precision: Literal["float32", "bfloat16"] = "float32"
) -> SacNetworks:
    """Multi-layer perceptrons with `hidden` units, rectified; `critics` is the number E of action values.

    precision: of all products but those of last layers, `core.products`.
    """
    arithmetic = ARITHMETIC[precision]
    policy = PolicyNetwork(partial(_init_policy, config), partial(nets.policy_moments, arithmetic=arithmetic))
    critic = CriticNetwork(
        partial(_init_critic, config, critics),
        partial(nets.critic_features, arithmetic=arithmetic),
        partial(nets.critic_values, arithmetic=arithmetic),
    )
    multiplier = None
    if isinstance(config, MultiplierConfig):
        apply = partial(nets.apply_multiplier, arithmetic=arithmetic)
        multiplier = MultiplierNetwork(partial(_init_multiplier, config), apply)
    return SacNetworks(policy, critic, critic, multiplier)


def training_networks(config: SacConfig) -> SacNetworks:
    """The networks of a configuration as gradient steps evaluate them: with products as its `precision` says."""
    return make_networks(config, precision=product_precision(config.precision))


def _init_policy(config: SacConfig, key: Key, dims: Dims) -> nets.Mlp:
    return nets.init_policy(key, dims, config.hidden)


def _init_critic(config: SacConfig, critics: int, key: Key, dims: Dims) -> nets.Critic:
    return nets.init_critic(key, dims, config.hidden, critics)


def _init_multiplier(config: MultiplierConfig, key: Key, dims: Dims) -> nets.Mlp:
    if isinstance(config, AlamConfig) and config.multiplier_form == "scalar":
        return nets.init_scalar_multiplier(config.multiplier_bias)
    return nets.init_multiplier(key, dims, config.hidden, config.multiplier_bias)
