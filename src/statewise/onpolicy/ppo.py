"""PPO: passes over a rollout with the clipped surrogate, ended by the distance to the policy that played."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from statewise.config import PpoConfig
from statewise.core.ops.surrogates import clipped_reward
from statewise.core.optimizer import clipped_adam, descend, linear_to_zero
from statewise.core.types import Array, Key, Metrics
from statewise.onpolicy.improvement import (
    GaussianPolicy,
    Improvement,
    Progress,
    Rollout,
    mean_kl,
    probability_ratio,
    shuffled,
)

Loss = Callable[[Array, Rollout, Progress], tuple[Array, Array]]
"""(probability ratios [B], the minibatch, progress) -> the loss, and the cost's weight λ in it."""


def build(config: PpoConfig) -> Improvement:
    """Proximal policy optimisation, which ignores costs (Schulman et al. 2017)."""

    def loss(ratio: Array, rollout: Rollout, progress: Progress) -> tuple[Array, Array]:
        del progress
        return -clipped_reward(ratio, rollout.advantage, config.clip), jnp.zeros(())

    return proximal(config, loss)


def proximal(config: PpoConfig, loss: Loss) -> Improvement:
    """Up to `update_epochs` passes of gradient steps on `loss`, none begun beyond `target_kl`."""
    optimizer = clipped_adam(config.grad_clip)

    def init(policy: GaussianPolicy) -> Any:
        return optimizer.init(policy)

    def gradient_step(
        carry: tuple[Any, GaussianPolicy], minibatch: Rollout, progress: Progress
    ) -> tuple[tuple[Any, GaussianPolicy], tuple[Array, Array]]:
        opt, policy = carry
        rate = linear_to_zero(config.learning_rate, progress.epoch, config.total_epochs)

        def objective(policy: GaussianPolicy) -> tuple[Array, Array]:
            return loss(probability_ratio(policy, minibatch), minibatch, progress)

        (value, lam), grads = jax.value_and_grad(objective, has_aux=True)(policy)
        updates, opt = optimizer.update(grads, opt)
        return (opt, descend(policy, updates, rate)), (value, lam)

    def improve(
        state: Any, policy: GaussianPolicy, rollout: Rollout, progress: Progress, key: Key
    ) -> tuple[Any, GaussianPolicy, Array, Metrics]:
        def one_pass(carry: tuple[Any, ...]) -> tuple[Any, ...]:
            number, state, policy, _, _ = carry
            indices = shuffled(jax.random.fold_in(key, number), len(rollout.obs), config.minibatch_size)

            def body(carry: Any, index: Array) -> Any:
                return gradient_step(carry, jax.tree.map(lambda x: x[index], rollout), progress)

            (state, policy), metrics = jax.lax.scan(body, (state, policy), indices)
            return number + 1, state, policy, mean_kl(policy, rollout), jax.tree.map(jnp.mean, metrics)

        def goes_on(carry: tuple[Any, ...]) -> Array:
            return jnp.logical_and(carry[0] < config.update_epochs, carry[3] <= config.target_kl)

        zero = jnp.zeros(())
        start = (jnp.zeros((), jnp.int32), state, policy, zero, (zero, zero))
        passes, state, policy, kl, (value, lam) = jax.lax.while_loop(goes_on, one_pass, start)
        metrics = {"actor_loss": value, "update_kl": kl, "gradient_steps": passes * config.minibatches}
        return state, policy, lam, metrics

    return Improvement(init, improve)
