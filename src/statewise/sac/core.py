"""Soft actor-critic (Haarnoja et al. 2018) with a place for a safety mechanism; the only SAC of the library.

One gradient step, in this order: reward and cost critics (from the same next action), policy (with the updated
critics), temperature, what the mechanism learns behind it, its dual cycle where one is due, target networks
(Algorithm 1 of the SAC-ALaM paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from statewise.config import SacConfig
from statewise.core.embedding import Embedding, EmbeddingState, make_embedding
from statewise.core.networks import squash
from statewise.core.ops.bellman import combine, soft_q_target
from statewise.core.ops.units import running_range
from statewise.core.optimizer import make_optimizer
from statewise.core.types import Array, Batch, Dims, Key, Metrics
from statewise.sac.mechanism import ActorTerms, CostTargetInputs, DualInputs, Mechanism, StepInputs
from statewise.sac.networks import CriticNetwork, SacNetworks, make_networks, training_networks
from statewise.sac.randomness import StepKeys, StepNoise, sample_noise

QUANTILES = {"lam_q10": 0.1, "lam_q50": 0.5, "lam_q90": 0.9, "lam_max": 1.0}
BOUNDARY = 0.05
"""Half-width in F̂ of the weight that `lam_boundary` gives to states with F̂ near d."""


class SacState(NamedTuple):
    """Everything that learning changes: networks, targets, optimizers, mechanism, statistics, counter.

    unit: what λ and ρ are multiples of, 1 or the running range of the reward critic (`penalty_unit`).
    """

    step: Array
    policy: Any
    q: Any
    qc: Any
    q_target: Any
    qc_target: Any
    log_alpha: Array
    opt: dict[str, Any]
    mechanism: Any
    cycle: Metrics
    embedding: EmbeddingState
    unit: Array


@dataclass(frozen=True)
class Sac:
    """The learner: pure functions that share a configuration; no array lives here."""

    config: SacConfig
    dims: Dims
    mechanism: Mechanism
    reward_scale: float = 1.0
    proximity: tuple[int, ...] = ()
    networks: SacNetworks | None = None
    """None takes those of the configuration, `make_networks`."""

    @cached_property
    def nets(self) -> SacNetworks:
        """The networks that act and are read."""
        return make_networks(self.config) if self.networks is None else self.networks

    @cached_property
    def training_nets(self) -> SacNetworks:
        """The same as gradient steps evaluate them: the configuration's own with products as `precision` says."""
        return training_networks(self.config) if self.networks is None else self.networks

    @cached_property
    def embed(self) -> Embedding:
        """The map from raw observations to the networks' inputs."""
        return make_embedding(self.config, self.dims.obs, self.proximity)

    @cached_property
    def inputs(self) -> Dims:
        """Sizes as the networks see them, behind the embedding."""
        return Dims(self.embed.dim, self.dims.action)

    @cached_property
    def optimizers(self) -> dict[str, optax.GradientTransformation]:
        """One optimizer each for policy, q, qc and alpha, all with the shared rate and clip."""
        c = self.config
        return {
            name: make_optimizer(c.optimizer, c.learning_rate, c.total_updates, zeta=c.zeta, max_norm=c.grad_clip)
            for name in ("policy", "q", "qc", "alpha")
        }

    @property
    def target_entropy(self) -> float:
        """The entropy H that the temperature steers to: −dim(A) unless configured."""
        configured = self.config.target_entropy
        return -float(self.dims.action) if configured is None else configured

    # --- state ---------------------------------------------------------------------------------------------------

    def init(self, key: Key) -> SacState:
        """A fresh state; targets start as copies of their critics."""
        c = self.config
        keys = jax.random.split(key, 4)
        policy = self.nets.policy.init(keys[0], self.inputs)
        q = self.nets.q.init(keys[1], self.inputs)
        qc = self.nets.qc.init(keys[2], self.inputs)
        log_alpha = jnp.log(jnp.asarray(c.alpha_init, jnp.float32))
        params = {"policy": policy, "q": q, "qc": qc, "alpha": log_alpha}
        mechanism = self.mechanism.init(keys[3], self.inputs)
        return SacState(
            step=jnp.zeros((), jnp.int32),
            policy=policy,
            q=q,
            qc=qc,
            q_target=jax.tree.map(jnp.copy, q),
            qc_target=jax.tree.map(jnp.copy, qc),
            log_alpha=log_alpha,
            opt={name: self.optimizers[name].init(value) for name, value in params.items()},
            mechanism=mechanism,
            cycle=self._no_cycle(mechanism),
            embedding=self.embed.init(),
            unit=jnp.ones(()),
        )

    def observe(self, state: SacState, obs: Array) -> SacState:
        """Take fresh observations [B, obs] into the running statistics, where they are used."""
        return state._replace(embedding=self.embed.observe(state.embedding, obs))

    # --- acting --------------------------------------------------------------------------------------------------

    def act(self, policy: Any, embedding: EmbeddingState, obs: Array, key: Key) -> Array:
        """Sample actions in [−1, 1]: obs [N, obs] -> [N, action]."""
        mean, log_std = self.moments(policy, embedding, obs)
        return squash(mean, log_std, jax.random.normal(key, mean.shape))[0]

    def act_greedily(self, policy: Any, embedding: EmbeddingState, obs: Array) -> Array:
        """The deterministic policy tanh(mean): obs [N, obs] -> [N, action]."""
        return jnp.tanh(self.moments(policy, embedding, obs)[0])

    def moments(self, policy: Any, embedding: EmbeddingState, obs: Array) -> tuple[Array, Array]:
        """Mean and log-std of the Gaussian before the tanh, at raw observations: [N, obs] -> [N, action] each."""
        return self.nets.policy.moments(policy, self.embed(embedding, obs))

    def risk(self, state: SacState, obs: Array, key: Key) -> tuple[Array, Array]:
        """λ(x) and F̂(x) at raw observations: [B, obs] -> [B], [B]."""
        x = self.embed(state.embedding, obs)
        f = self._feasibility(self.nets, state, x, key, self.config.n_cost_samples)
        return self.mechanism.lam(state.mechanism, x, f), f

    def values(self, state: SacState, obs: Array, key: Key) -> tuple[Array, Array]:
        """Q and Qc of the deterministic action at raw observations: [B, obs] -> [B], [B]."""
        del key
        x = self.embed(state.embedding, obs)
        action = jnp.tanh(self.nets.policy.moments(state.policy, x)[0])
        return self._one_q(self.nets.q.at(state.q, x, action)), self._one_qc(self.nets.qc.at(state.qc, x, action))

    def backup(
        self, reward: Array, cost: Array, constraint: Array, terminated: Array, value: Array, f: Array
    ) -> tuple[Array, Array]:
        """Both values one step earlier, by the critics' targets but for the entropy: all [N]."""
        earlier = reward * self.reward_scale + self.config.gamma * (1.0 - terminated) * value
        inputs = CostTargetInputs(self._training_cost(cost), constraint, terminated, f)
        return earlier, self.mechanism.cost_target(inputs)

    # --- learning ------------------------------------------------------------------------------------------------

    def update(
        self, state: SacState, batch: Batch, dual: Batch, key: Key, step: Array | None = None
    ) -> tuple[SacState, Metrics]:
        """One gradient step on `batch` [B]; `dual` [M, B] is what a dual cycle learns from, if one is due now.

        step: as `state.step`, the gradient steps before this one, but outside of what seeds are vmapped over: a
        conditional on a batched counter would run the dual cycle at every step.
        """
        step = state.step if step is None else step
        noise = self.step_noise(key, batch.obs.shape[0])
        return self._step(state, batch, dual, key, noise, step)

    def _step(
        self, state: SacState, batch: Batch, dual: Batch, key: Key, noise: StepNoise, step: Array
    ) -> tuple[SacState, Metrics]:
        keys = StepKeys.of(key)
        batch = self.prepare(state.embedding, batch)
        state, critic_metrics = self.critic_step(state, batch, noise.next)
        state, actor_metrics, f = self.actor_step(state, batch, noise.actor, step)
        state, follow_metrics = self._follow(state, batch, f, jax.random.fold_in(keys.actor, 1))
        state = state._replace(step=state.step + 1)
        state = self._dual_step(state, dual, keys.dual, step + 1)
        return self.target_step(state), {**critic_metrics, **actor_metrics, **follow_metrics}

    def update_block(
        self, state: SacState, batches: Batch, dual: Batch, run_key: Key, step: Array | None = None
    ) -> tuple[SacState, dict[str, Metrics]]:
        """A scan of gradient steps: batches [n, B], dual [C, M, B] for the cycles that fall into the block.

        Returns per-step metrics ("steps": each [n]) and metrics of the last state on the last batch ("state": scalars).
        """
        start = state.step if step is None else step
        schedule, cycles, (length, size) = self.mechanism.dual, dual.obs.shape[0], batches.obs.shape[:2]

        def body(state: SacState, now: tuple[Batch, Array, Key, StepNoise]) -> tuple[SacState, Metrics]:
            batch, step, key, noise = now
            place = 0 if schedule is None else schedule.place(step + 1, start, cycles)
            cycle_batch = jax.tree.map(lambda x: x[place], dual)
            return self._step(state, batch, cycle_batch, key, noise, step)

        counters = start + jnp.arange(length)
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(run_key, counters)
        # All of the block's noise in one go: drawn step by step it takes a tenth of the time of a small network's step.
        noise = jax.vmap(partial(self.step_noise, batch=size))(keys)
        state, steps = jax.lax.scan(body, state, (batches, counters, keys, noise))
        last = jax.tree.map(lambda x: x[-1], batches)
        described = self.describe(state, last, jax.random.fold_in(run_key, start + length))
        return state, {"steps": steps, "state": described}

    def describe(self, state: SacState, batch: Batch, key: Key) -> Metrics:
        """Metrics of a state on a batch: F̂, quantiles of λ, ρ, and those of the last dual cycle."""
        lam, f = self.risk(state, batch.obs, StepKeys.of(key).describe)
        d = self.config.threshold
        near = 1.0 / (1.0 + jnp.square((f - d) / BOUNDARY))
        return {
            "f": jnp.mean(f),
            "f_q90": jnp.quantile(f, 0.9),
            "unsafe_fraction": jnp.mean((f > d).astype(f.dtype)),
            "lam": jnp.mean(lam),
            "lam_boundary": jnp.sum(lam * near) / jnp.sum(near),
            "unit": state.unit,
            **{name: jnp.quantile(lam, q) for name, q in QUANTILES.items()},
            **({} if self.mechanism.report is None else self.mechanism.report(state.mechanism)),
            **state.cycle,
        }

    # --- the parts of a gradient step ----------------------------------------------------------------------------

    def critic_targets(self, state: SacState, batch: Batch, noise: Array) -> tuple[Array, Array, Array]:
        """Targets of Q and Qc, and the next action that both are from: [B], [B], [B, action]; noise [B, action]."""
        nets = self.training_nets
        mean, log_std = nets.policy.moments(state.policy, batch.next_obs)
        next_action, next_logp = squash(mean, log_std, noise)
        next_q = self._one_q(nets.q.at(state.q_target, batch.next_obs, next_action))
        next_qc = self._one_qc(nets.qc.at(state.qc_target, batch.next_obs, next_action))
        alpha_logp = jnp.exp(state.log_alpha) * next_logp
        y = soft_q_target(batch.reward, batch.terminated, next_q, alpha_logp, self.config.gamma)
        inputs = CostTargetInputs(batch.cost, batch.constraint, batch.terminated, next_qc)
        return y, self.mechanism.cost_target(inputs), next_action

    def critic_step(self, state: SacState, batch: Batch, noise: Array) -> tuple[SacState, Metrics]:
        """Q and Qc towards their targets: MSE, mean over the batch, summed over the twins; noise [B, action]."""
        nets = self.training_nets
        y, yc, next_action = self.critic_targets(state, batch, noise)

        def loss(params: Any, network: CriticNetwork, target: Array) -> tuple[Array, Array]:
            values = network.at(params, batch.obs, batch.action)
            return jnp.sum(jnp.mean(jnp.square(values - target), axis=-1)), jnp.mean(values)

        gradient = jax.value_and_grad(loss, has_aux=True)
        (q_loss, q), q_grads = gradient(state.q, nets.q, y)
        (qc_loss, qc), qc_grads = gradient(state.qc, nets.qc, yc)
        new_q, opt_q = self.descend("q", state, state.q, q_grads)
        new_qc, opt_qc = self.descend("qc", state, state.qc, qc_grads)
        state = state._replace(q=new_q, qc=new_qc, opt={**state.opt, "q": opt_q, "qc": opt_qc})
        metrics = {"q_loss": q_loss, "qc_loss": qc_loss, "q": q, "qc": qc}
        if self.mechanism.critic_step is None:
            return state, metrics
        mechanism, own_metrics = self.mechanism.critic_step(state.mechanism, batch, next_action)
        return state._replace(mechanism=mechanism), {**metrics, **own_metrics}

    def actor_step(self, state: SacState, batch: Batch, noise: Array, step: Array) -> tuple[SacState, Metrics, Array]:
        """The mechanism's loss for the policy, then log α·(−log π − H) for the temperature; F̂ [B] for `_follow`.

        noise [max(K, 1), B, action].
        """
        alpha, nets = jnp.exp(state.log_alpha), self.training_nets
        q_features = nets.q.features(state.q, batch.obs)
        qc_features = nets.qc.features(state.qc, batch.obs)

        def loss(policy: Any) -> tuple[Array, tuple[Array, Array, Array]]:
            mean, log_std = nets.policy.moments(policy, batch.obs)
            actions, logp = squash(mean, log_std, noise)
            q = self._one_q(nets.q.values(state.q, q_features, actions[:1])[:, 0])
            f = jnp.zeros_like(q)
            if self.mechanism.n_cost_samples:
                f = jnp.mean(self._one_qc(nets.qc.values(state.qc, qc_features, actions)), axis=0)
            terms = ActorTerms(batch.obs, actions[0], alpha * logp[0] / state.unit, q / state.unit, f, batch.cost)
            return jnp.mean(self.mechanism.actor_loss(state.mechanism, terms)), (logp[0], q, f)

        (actor_loss, (logp, q, f)), grads = jax.value_and_grad(loss, has_aux=True)(state.policy)
        policy, opt_policy = self.descend("policy", state, state.policy, grads)
        alpha_gradient = -jnp.mean(logp + self.target_entropy)
        log_alpha, opt_alpha = self.descend("alpha", state, state.log_alpha, alpha_gradient)
        state = state._replace(
            policy=policy,
            log_alpha=log_alpha,
            opt={**state.opt, "policy": opt_policy, "alpha": opt_alpha},
            unit=self._next_unit(state, q, step),
        )
        return state, {"actor_loss": actor_loss, "alpha": alpha, "entropy": -jnp.mean(logp)}, f

    def _follow(self, state: SacState, batch: Batch, f: Array, key: Key) -> tuple[SacState, Metrics]:
        """Let the mechanism learn from what the policy step did to F̂ [B], where it wants to."""
        if self.mechanism.follow is None:
            return state, {}
        f_new = self._feasibility(self.training_nets, state, batch.obs, key, self.mechanism.n_cost_samples)
        mechanism, metrics = self.mechanism.follow(state.mechanism, StepInputs(batch.obs, batch.cost, f, f_new))
        return state._replace(mechanism=mechanism), metrics

    def _dual_step(self, state: SacState, dual: Batch, key: Key, step: Array) -> SacState:
        """Run the mechanism's dual cycle if one follows gradient step `step`."""
        schedule, update = self.mechanism.dual, self.mechanism.update
        if schedule is None or update is None:
            return state

        def cycle(state: SacState) -> SacState:
            inputs = self.dual_inputs(state, dual, jax.random.split(key)[0])
            mechanism, metrics = update(state.mechanism, inputs)
            return state._replace(mechanism=mechanism, cycle=metrics)

        return jax.lax.cond(schedule.is_due(step), cycle, lambda state: state, state)

    def dual_inputs(self, state: SacState, dual: Batch, key: Key) -> DualInputs:
        """What a dual cycle learns from: the states of its minibatches [M, B] and F̂ there."""
        cycles, size = dual.obs.shape[:2]
        noise = sample_noise(key, self.mechanism.n_cost_samples, cycles * size, self.dims.action)
        by_minibatch = jnp.moveaxis(noise.reshape(-1, cycles, size, self.dims.action), 1, 0)

        def of_one(minibatch: tuple[Array, Array]) -> tuple[Array, Array]:
            x = self.embed(state.embedding, minibatch[0])
            return x, self._mean_cost(self.training_nets, state, x, minibatch[1])

        # One after another: the activations of all of them together don't fit any cache.
        return DualInputs(*jax.lax.map(of_one, (dual.obs, by_minibatch)))

    def target_step(self, state: SacState) -> SacState:
        """The target networks, a step of τ towards the critics."""
        tau = self.config.tau
        return state._replace(
            q_target=optax.incremental_update(state.q, state.q_target, tau),
            qc_target=optax.incremental_update(state.qc, state.qc_target, tau),
        )

    # --- shared pieces -------------------------------------------------------------------------------------------

    def _feasibility(self, nets: SacNetworks, state: SacState, inputs: Array, key: Key, samples: int) -> Array:
        """F̂(x) = (1/K) Σ_k Qc(x, a_k) under the current policy, Qc as `cost_twins` says: inputs [B, obs] -> [B]."""
        return self._mean_cost(nets, state, inputs, sample_noise(key, samples, inputs.shape[0], self.dims.action))

    def _mean_cost(self, nets: SacNetworks, state: SacState, inputs: Array, noise: Array) -> Array:
        """F̂ of the actions that noise [K, B, action] gives: [B]."""
        mean, log_std = nets.policy.moments(state.policy, inputs)
        actions, _ = squash(mean, log_std, noise)
        values = nets.qc.values(state.qc, nets.qc.features(state.qc, inputs), actions)
        return jnp.mean(self._one_qc(values), axis=0)

    def step_noise(self, key: Key, batch: int) -> StepNoise:
        """The noise of the gradient step with that key on `batch` transitions."""
        keys = StepKeys.of(key)
        following = jax.random.normal(keys.next, (batch, self.dims.action))
        return StepNoise(following, sample_noise(keys.actor, self.mechanism.n_cost_samples, batch, self.dims.action))

    def descend(self, name: str, state: SacState, params: Any, grads: Any) -> tuple[Any, Any]:
        """One step of the optimizer of that name: new parameters, new optimizer state."""
        updates, opt = self.optimizers[name].update(grads, state.opt[name], params)
        return optax.apply_updates(params, updates), opt

    def _one_q(self, values: Array) -> Array:
        return combine(values, self.config.reward_twins)

    def _one_qc(self, values: Array) -> Array:
        return combine(values, self.config.cost_twins)

    def _next_unit(self, state: SacState, q: Array, step: Array) -> Array:
        """The unit of reward after a minibatch with these action values [B]; it stays as it is where it isn't used."""
        if self.config.penalty_unit == "one":
            return state.unit
        return running_range(state.unit, q, (step == 0).astype(q.dtype))

    def prepare(self, embedding: EmbeddingState, batch: Batch) -> Batch:
        """Replayed transitions as the networks take them: embedded observations, scaled reward, binary cost."""
        return batch._replace(
            obs=self.embed(embedding, batch.obs),
            next_obs=self.embed(embedding, batch.next_obs),
            reward=batch.reward * self.reward_scale,
            cost=self._training_cost(batch.cost),
        )

    def _training_cost(self, cost: Array) -> Array:
        return (cost > 0.0).astype(jnp.float32) if self.config.binary_cost else cost

    def _no_cycle(self, mechanism: Any) -> Metrics:
        """Zeros in the shape of a dual cycle's metrics, to stand until the first cycle."""
        if self.mechanism.dual is None or self.mechanism.update is None:
            return {}
        shape = (self.mechanism.dual.batches, 1)
        inputs = DualInputs(jnp.zeros((*shape, self.inputs.obs)), jnp.zeros(shape))
        _, metrics = jax.eval_shape(self.mechanism.update, mechanism, inputs)
        return jax.tree.map(lambda m: jnp.zeros(m.shape, m.dtype), metrics)
