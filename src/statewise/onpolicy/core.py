"""The on-policy core: one policy plays a rollout, critics of reward and cost are fitted to it, a method improves it.

One update, in this order: J_c, advantages under the critics that stand, critics, policy, statistics of observations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from statewise.config import OnPolicyConfig
from statewise.core.embedding import Embedding, EmbeddingState, make_embedding
from statewise.core.networks import Mlp, apply_mlp, init_mlp
from statewise.core.ops.advantages import gae
from statewise.core.ops.surrogates import gaussian_log_prob
from statewise.core.optimizer import clipped_adam, descend, linear_to_zero
from statewise.core.types import Array, Batch, Dims, Key, Metrics
from statewise.onpolicy.improvement import GaussianPolicy, Improvement, Progress, Rollout, moments, shuffled


class OnPolicyState(NamedTuple):
    """Everything that learning changes.

    step: gradient steps of the policy; epoch: rollouts learned from; running [N]: cost of the episodes that are under
    way; episode_cost: J_c, the mean cost of the episodes that ended in the last rollout in which any did; lam: the
    cost's weight in the last improvement.
    """

    step: Array
    epoch: Array
    policy: GaussianPolicy
    value: Mlp
    cost_value: Mlp
    opt: dict[str, Any]
    improvement: Any
    embedding: EmbeddingState
    running: Array
    episode_cost: Array
    lam: Array


@dataclass(frozen=True)
class OnPolicy:
    """The learner: pure functions that share a configuration; no array lives here."""

    config: OnPolicyConfig
    dims: Dims
    improvement: Improvement
    cost_limit: float
    """d_ep, the limit on an episode's cost."""
    proximity: tuple[int, ...] = ()

    @cached_property
    def embed(self) -> Embedding:
        """The map from raw observations to the networks' inputs."""
        return make_embedding(self.config, self.dims.obs, self.proximity)

    @cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """Of each critic."""
        return clipped_adam(self.config.grad_clip)

    def init(self, key: Key) -> OnPolicyState:
        """A fresh state; J_c is 0 until an episode has ended."""
        keys = jax.random.split(key, 3)
        sizes = (self.embed.dim, *self.config.hidden)
        log_std = jnp.full(self.dims.action, self.config.log_std_init, jnp.float32)
        policy = GaussianPolicy(init_mlp(keys[0], (*sizes, self.dims.action)), log_std)
        value, cost_value = init_mlp(keys[1], (*sizes, 1)), init_mlp(keys[2], (*sizes, 1))
        return OnPolicyState(
            step=jnp.zeros((), jnp.int32),
            epoch=jnp.zeros((), jnp.int32),
            policy=policy,
            value=value,
            cost_value=cost_value,
            opt={"value": self.optimizer.init(value), "cost_value": self.optimizer.init(cost_value)},
            improvement=self.improvement.init(policy),
            embedding=self.embed.init(),
            running=jnp.zeros(self.config.num_envs),
            episode_cost=jnp.zeros(()),
            lam=jnp.zeros(()),
        )

    # --- acting --------------------------------------------------------------------------------------------------

    def moments(self, policy: GaussianPolicy, embedding: EmbeddingState, obs: Array) -> tuple[Array, Array]:
        """Mean and log-std of the actions at raw observations: [N, obs] -> [N, action] each."""
        return moments(policy, self.embed(embedding, obs))

    def act(self, policy: GaussianPolicy, embedding: EmbeddingState, obs: Array, key: Key) -> Array:
        """Sample actions, unbounded; an environment takes them clipped to [−1, 1]: [N, obs] -> [N, action]."""
        mean, log_std = self.moments(policy, embedding, obs)
        return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)

    def act_greedily(self, policy: GaussianPolicy, embedding: EmbeddingState, obs: Array) -> Array:
        """The deterministic policy, the mean clipped to [−1, 1]: [N, obs] -> [N, action]."""
        return jnp.clip(self.moments(policy, embedding, obs)[0], -1.0, 1.0)

    def risk(self, state: OnPolicyState, obs: Array, key: Key) -> tuple[Array, Array]:
        """The cost's weight λ, the same everywhere, and its value at raw observations: [B, obs] -> [B], [B]."""
        del key
        f = critic(state.cost_value, self.embed(state.embedding, obs))
        return jnp.broadcast_to(state.lam, f.shape), f

    def values(self, state: OnPolicyState, obs: Array, key: Key) -> tuple[Array, Array]:
        """Values of reward and cost at raw observations: [B, obs] -> [B], [B]."""
        del key
        x = self.embed(state.embedding, obs)
        return critic(state.value, x), critic(state.cost_value, x)

    def backup(
        self, reward: Array, cost: Array, constraint: Array, terminated: Array, value: Array, f: Array
    ) -> tuple[Array, Array]:
        """Both values one step earlier: all [N]."""
        del constraint
        later = self.config.gamma * (1.0 - terminated)
        return reward + later * value, self._training_cost(cost) + later * f

    # --- learning ------------------------------------------------------------------------------------------------

    def update(self, state: OnPolicyState, batch: Batch, key: Key) -> tuple[OnPolicyState, Metrics]:
        """Learn from a rollout, [T, N] with T in the order of time; returns scalar metrics."""
        key_value, key_cost, key_policy = jax.random.split(jax.random.fold_in(key, state.epoch), 3)
        embedding = self.embed.observe(state.embedding, batch.obs.reshape(-1, self.dims.obs))
        batch = self._prepare(state.embedding, batch)
        state = self._count_costs(state, batch)
        value, advantage = self._estimate(state.value, batch, batch.reward)
        cost_value, cost_advantage = self._estimate(state.cost_value, batch, batch.cost)
        rollout = self._rollout(state.policy, batch, advantage, cost_advantage)
        state, q_loss = self._fit(state, "value", rollout.obs, (value + advantage).ravel(), key_value)
        state, qc_loss = self._fit(state, "cost_value", rollout.obs, (cost_value + cost_advantage).ravel(), key_cost)
        progress = Progress(state.epoch, state.episode_cost, self.cost_limit)
        inner, policy, lam, metrics = self.improvement.improve(
            state.improvement, state.policy, rollout, progress, key_policy
        )
        taken = metrics.pop("gradient_steps")
        state = state._replace(policy=policy, improvement=inner, lam=lam, embedding=embedding)
        state = state._replace(step=state.step + taken, epoch=state.epoch + 1)
        entropy = jnp.sum(policy.log_std + 0.5 * jnp.log(2.0 * jnp.pi * jnp.e))
        losses = {"q_loss": q_loss, "qc_loss": qc_loss, "entropy": entropy, "episode_cost": state.episode_cost}
        return state, {**metrics, **losses, **self._describe(value, cost_value, lam)}

    def _describe(self, value: Array, cost_value: Array, lam: Array) -> Metrics:
        f = cost_value.ravel()
        return {
            "q": jnp.mean(value),
            "qc": jnp.mean(f),
            "f": jnp.mean(f),
            "f_q90": jnp.quantile(f, 0.9),
            "unsafe_fraction": jnp.mean((f > self.config.threshold).astype(f.dtype)),
            "lam": lam,
        }

    def _count_costs(self, state: OnPolicyState, batch: Batch) -> OnPolicyState:
        """J_c from the episodes that end in the rollout; where none does, the last value stands."""

        def step(running: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
            cost, done = now
            running = running + cost
            return running * (1.0 - done), running * done

        done = jnp.maximum(batch.terminated, batch.truncated)
        running, ended = jax.lax.scan(step, state.running, (batch.cost, done))
        count = jnp.sum(done)
        mean = jnp.sum(ended) / jnp.maximum(count, 1.0)
        return state._replace(running=running, episode_cost=jnp.where(count > 0.0, mean, state.episode_cost))

    def _estimate(self, params: Mlp, batch: Batch, signal: Array) -> tuple[Array, Array]:
        """Values [T, N] of a critic and the generalised advantages of its signal."""
        value, next_value = critic(params, batch.obs), critic(params, batch.next_obs)
        ends = batch.terminated, batch.truncated
        return value, gae(signal, value, next_value, *ends, self.config.gamma, self.config.gae_lambda)

    def _rollout(self, policy: GaussianPolicy, batch: Batch, advantage: Array, cost_advantage: Array) -> Rollout:
        obs = batch.obs.reshape(-1, self.embed.dim)
        action = batch.action.reshape(-1, self.dims.action)
        mean, log_std = moments(policy, obs)
        return Rollout(
            obs=obs,
            action=action,
            mean=mean,
            log_std=log_std,
            log_prob=gaussian_log_prob(mean, log_std, action),
            advantage=((advantage - jnp.mean(advantage)) / (jnp.std(advantage) + 1e-8)).ravel(),
            cost_advantage=(cost_advantage - jnp.mean(cost_advantage)).ravel(),
        )

    def _fit(self, state: OnPolicyState, name: str, obs: Array, target: Array, key: Key) -> tuple[OnPolicyState, Array]:
        """Passes of gradient steps of a critic towards its targets; the mean squared error of the last pass."""
        c = self.config
        rate = linear_to_zero(c.learning_rate, state.epoch, c.total_epochs)

        def loss(params: Mlp, index: Array) -> Array:
            return jnp.mean(jnp.square(critic(params, obs[index]) - target[index]))

        def step(carry: tuple[Mlp, Any], index: Array) -> tuple[tuple[Mlp, Any], Array]:
            params, opt = carry
            value, grads = jax.value_and_grad(loss)(params, index)
            updates, opt = self.optimizer.update(grads, opt)
            return (descend(params, updates, rate), opt), value

        keys = jax.random.split(key, c.update_epochs)
        indices = jax.vmap(lambda k: shuffled(k, len(obs), c.minibatch_size))(keys)
        start = (getattr(state, name), state.opt[name])
        (params, opt), losses = jax.lax.scan(step, start, indices.reshape(-1, c.minibatch_size))
        state = state._replace(**{name: params, "opt": {**state.opt, name: opt}})
        return state, jnp.mean(losses[-c.minibatches :])

    def _prepare(self, embedding: EmbeddingState, batch: Batch) -> Batch:
        """The steps as the networks take them: embedded observations, binary cost."""
        obs, next_obs = (self.embed(embedding, x) for x in (batch.obs, batch.next_obs))
        return batch._replace(obs=obs, next_obs=next_obs, cost=self._training_cost(batch.cost))

    def _training_cost(self, cost: Array) -> Array:
        return (cost > 0.0).astype(jnp.float32) if self.config.binary_cost else cost


def critic(params: Mlp, inputs: Array) -> Array:
    """Values of states: [..., obs] -> [...]."""
    return apply_mlp(params, inputs, jnp.tanh)[..., 0]
