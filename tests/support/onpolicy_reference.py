"""PPO, P3O and CRPO in NumPy float64, forward and backward passes by hand: what the compiled core is held to.

A network is a flat list of arrays W₀ [in, out], b₀ [out], W₁, b₁, ...; a policy is such a list with the log-standard
deviations behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Net = list[Array]


# --- networks ----------------------------------------------------------------------------------------------------


def mlp(net: Net, x: Array) -> tuple[Array, list[Array]]:
    """Output [B, out], and the input of each layer, which the backward pass needs."""
    inputs = []
    for i in range(0, len(net), 2):
        x = np.tanh(x) if i else x
        inputs.append(x)
        x = x @ net[i] + net[i + 1]
    return x, inputs


def mlp_backward(net: Net, inputs: list[Array], d_out: Array) -> Net:
    """Gradients of the parameters from that of the output."""
    grads: Net = []
    for i in reversed(range(0, len(net), 2)):
        x = inputs[i // 2]
        grads = [x.T @ d_out, d_out.sum(axis=0), *grads]
        d_out = (d_out @ net[i].T) * (1.0 - x**2)
    return grads


def values(net: Net, obs: Array) -> Array:
    """A critic's values: [..., obs] -> [...]."""
    return mlp(net, obs)[0][..., 0]


class Adam(NamedTuple):
    """Adam behind a clip of the global norm; k steps taken, moments per array."""

    clip: float
    k: int
    m: Net
    v: Net

    @classmethod
    def start(cls, net: Net, clip: float) -> Adam:
        return cls(clip, 0, [np.zeros_like(p) for p in net], [np.zeros_like(p) for p in net])

    def step(self, net: Net, grads: Net, rate: float) -> tuple[Net, Adam]:
        norm = np.sqrt(sum(np.sum(g**2) for g in grads))
        grads = [g * min(1.0, self.clip / norm) for g in grads]
        k = self.k + 1
        m = [0.9 * m + 0.1 * g for m, g in zip(self.m, grads, strict=True)]
        v = [0.999 * v + 0.001 * g**2 for v, g in zip(self.v, grads, strict=True)]
        unbiased = [(a / (1.0 - 0.9**k), b / (1.0 - 0.999**k)) for a, b in zip(m, v, strict=True)]
        new = [p - rate * a / (np.sqrt(b) + 1e-8) for p, (a, b) in zip(net, unbiased, strict=True)]
        return new, Adam(self.clip, k, m, v)


# --- estimates ---------------------------------------------------------------------------------------------------


def advantages(
    reward: Array,
    value: Array,
    next_value: Array,
    terminated: Array,
    truncated: Array,
    gamma: float,
    lam: float,
) -> Array:
    """Σ_k (γλ)^k δ_{t+k} up to the first end of an episode, each sum by itself: [T, N]."""
    steps, worlds = reward.shape
    result = np.zeros((steps, worlds))
    for n in range(worlds):
        for t in range(steps):
            for k in range(steps - t):
                s = t + k
                following = 0.0 if terminated[s, n] else gamma * next_value[s, n]
                result[t, n] += (gamma * lam) ** k * (reward[s, n] + following - value[s, n])
                if terminated[s, n] or truncated[s, n]:
                    break
    return result


def episode_costs(costs: list[Array], ends: list[Array], before: float) -> float:
    """J_c after rollouts of costs and ends [T, N]: the mean over episodes that ended in the last one, or `before`."""
    ended = []
    cost, over = np.concatenate(costs), np.concatenate(ends) > 0.0
    last = len(cost) - len(costs[-1])
    for n in range(cost.shape[1]):
        start = 0
        for t in np.flatnonzero(over[:, n]):
            if t >= last:
                ended.append(cost[start : t + 1, n].sum())
            start = t + 1
    return float(np.mean(ended)) if ended else before


def standardised(obs: Array, seen: list[Array]) -> Array:
    """(obs − mean)/std of all observations seen before, clipped to ±10; as they are where none were seen."""
    if not seen:
        return np.clip(obs, -10.0, 10.0)
    every = np.concatenate(seen)
    return np.clip((obs - every.mean(axis=0)) / every.std(axis=0), -10.0, 10.0)


def fit_critic(
    net: Net, opt: Adam, obs: Array, target: Array, passes: list[Any], rate: float
) -> tuple[Net, Adam, float]:
    """Steps on mean (V − target)² over the minibatches of all passes; the mean loss of the last pass."""
    losses: list[float] = []
    for indices in passes:
        losses = []
        for i in indices:
            out, inputs = mlp(net, obs[i])
            error = out[:, 0] - target[i]
            losses.append(float(np.mean(error**2)))
            net, opt = opt.step(net, mlp_backward(net, inputs, (2.0 * error / len(i))[:, None]), rate)
    return net, opt, float(np.mean(losses))


# --- policies ----------------------------------------------------------------------------------------------------


class Rollout(NamedTuple):
    """Steps of a rollout [B], and the policy that played them."""

    obs: Array
    action: Array
    mean: Array
    log_std: Array
    log_prob: Array
    advantage: Array
    cost_advantage: Array

    def rows(self, index: Any) -> Rollout:
        return Rollout(*(x if name == "log_std" else x[index] for name, x in zip(self._fields, self, strict=True)))


def log_density(mean: Array, log_std: Array, action: Array) -> Array:
    variance = np.exp(log_std) ** 2
    return np.sum(-((action - mean) ** 2) / (2.0 * variance) - 0.5 * np.log(2.0 * np.pi * variance), axis=-1)


def ratios(policy: Net, rollout: Rollout) -> Array:
    mean = mlp(policy[:-1], rollout.obs)[0]
    return np.exp(log_density(mean, policy[-1], rollout.action) - rollout.log_prob)


def ratio_gradient(policy: Net, rollout: Rollout, d_ratio: Array) -> Net:
    """Gradient of the policy from that of the probability ratios [B]."""
    mean, inputs = mlp(policy[:-1], rollout.obs)
    d_log = (d_ratio * ratios(policy, rollout))[:, None]
    std = np.exp(policy[-1])
    z = (rollout.action - mean) / std
    return [*mlp_backward(policy[:-1], inputs, d_log * z / std), np.sum(d_log * (z**2 - 1.0), axis=0)]


def mean_distance(policy: Net, rollout: Rollout) -> float:
    """E[KL(played ‖ policy)]."""
    mean = mlp(policy[:-1], rollout.obs)[0]
    old, new = np.exp(rollout.log_std), np.exp(policy[-1])
    each = np.log(new / old) + (old**2 + (rollout.mean - mean) ** 2) / (2.0 * new**2) - 0.5
    return float(np.mean(np.sum(each, axis=1)))


class Settings(NamedTuple):
    """What the reference takes from a configuration; kappa is None where costs are ignored."""

    gamma: float
    gae_lambda: float
    cost_limit: float
    rate: float
    total_epochs: int
    target_kl: float
    binary_cost: bool = True
    clip: float = 0.0
    kappa: float | None = None
    slack: float = 0.0
    damping: float = 0.0


def surrogate(ratio: Array, advantage: Array, clip: float, pick: Any) -> tuple[float, Array]:
    """Mean of the picked (minimum or maximum) one of free and bounded ratio times advantage, and its slope [B]."""
    free, bounded = ratio * advantage, np.clip(ratio, 1.0 - clip, 1.0 + clip) * advantage
    picked = pick(free, bounded)
    return float(np.mean(picked)), np.where(picked == free, advantage, 0.0) / len(ratio)


def proximal_loss(ratio: Array, rollout: Rollout, excess: float, s: Settings) -> tuple[float, Array, float]:
    """Loss of PPO or P3O, its slope in the ratios [B], and λ."""
    gain, slope = surrogate(ratio, rollout.advantage, s.clip, np.minimum)
    if s.kappa is None:
        return -gain, -slope, 0.0
    rise, rise_slope = surrogate(ratio, rollout.cost_advantage, s.clip, np.maximum)
    hinge = rise + (1.0 - s.gamma) * excess
    lam = s.kappa if hinge > 0.0 else 0.0
    return lam * hinge - gain, lam * rise_slope - slope, lam


def proximal(
    policy: Net, opt: Adam, rollout: Rollout, passes: list[Any], excess: float, rate: float, s: Settings
) -> tuple[Net, Adam, dict[str, float]]:
    """Passes of gradient steps until the policy is beyond `target_kl`; also the share of ratios beyond the clip."""
    steps, means = 0, np.zeros(2)
    for indices in passes:
        if mean_distance(policy, rollout) > s.target_kl:
            break
        last = []
        for i in indices:
            rows = rollout.rows(i)
            loss, slope, lam = proximal_loss(ratios(policy, rows), rows, excess, s)
            policy, opt = opt.step(policy, ratio_gradient(policy, rows, slope), rate)
            last.append((loss, lam))
        steps, means = steps + len(indices), np.mean(last, axis=0)
    kl, bounded = mean_distance(policy, rollout), np.mean(np.abs(ratios(policy, rollout) - 1.0) > s.clip)
    figures = {"actor_loss": means[0], "lam": means[1], "update_kl": kl, "steps": steps, "bounded": bounded}
    return policy, opt, figures


def fisher(policy: Net, rollout: Rollout) -> Array:
    """E[Jᵀ diag(1/σ²) J] of the means, from one backward pass each, and 2 for every log-standard deviation."""
    _, inputs = mlp(policy[:-1], rollout.obs)
    blocks = []
    for dim in range(rollout.mean.shape[1]):
        for b in range(len(rollout.obs)):
            d_out = np.zeros((1, rollout.mean.shape[1]))
            d_out[0, dim] = np.exp(-policy[-1][dim])
            blocks.append(flat(mlp_backward(policy[:-1], [x[b : b + 1] for x in inputs], d_out)))
    jacobian = np.array(blocks)
    size, actions = jacobian.shape[1], rollout.mean.shape[1]
    matrix = np.zeros((size + actions, size + actions))
    matrix[:size, :size] = jacobian.T @ jacobian / len(rollout.obs)
    matrix[size:, size:] = 2.0 * np.eye(actions)
    return matrix


def trust_region(policy: Net, rollout: Rollout, episode_cost: float, s: Settings) -> tuple[Net, dict[str, float]]:
    """CRPO's step: the damped natural gradient of reward or −cost, solved exactly, at the first length that works."""
    on_reward = episode_cost <= s.cost_limit + s.slack * s.cost_limit
    advantage = rollout.advantage if on_reward else -rollout.cost_advantage
    slope = flat(ratio_gradient(policy, rollout, advantage / len(advantage)))
    matrix = fisher(policy, rollout) + s.damping * np.eye(len(slope))
    direction = np.linalg.solve(matrix, slope)
    full = np.sqrt(2.0 * s.target_kl / (slope @ direction)) * direction
    before = np.mean(advantage)
    for share in 0.8 ** np.arange(15):
        new = list(unflat(flat(policy) + share * full, policy))
        gain, kl = float(np.mean(ratios(new, rollout) * advantage)), mean_distance(new, rollout)
        if gain >= before and kl <= s.target_kl:
            return new, {"actor_loss": -gain, "lam": float(not on_reward), "update_kl": kl, "steps": 1}
    raise AssertionError("no length of the reference's step works")


def flat(arrays: Net) -> Array:
    return np.concatenate([x.ravel() for x in arrays])


def unflat(vector: Array, like: Net) -> Iterator[Array]:
    for array in like:
        head, vector = vector[: array.size], vector[array.size :]
        yield head.reshape(array.shape)


# --- a whole rollout ---------------------------------------------------------------------------------------------


class Learner(NamedTuple):
    """Networks, optimizers by name, and everything that was played so far."""

    policy: Net
    value: Net
    cost_value: Net
    opt: dict[str, Adam]
    seen: list[Array]
    costs: list[Array]
    ends: list[Array]
    episode_cost: float = 0.0


def learn(s: Learner, batch: Any, passes: dict[str, list[Any]], c: Settings) -> tuple[Learner, dict[str, float]]:
    """Learn from a rollout [T, N]; passes: indices of the minibatches, by network."""
    rate = c.rate * max(1.0 - len(s.seen) / c.total_epochs, 0.0)
    cost = (batch.cost > 0.0).astype(float) if c.binary_cost else batch.cost
    costs, ends = [*s.costs, cost], [*s.ends, batch.terminated + batch.truncated]
    episode_cost = episode_costs(costs, ends, s.episode_cost)
    obs, next_obs = (standardised(x, s.seen) for x in (batch.obs, batch.next_obs))

    def estimate(net: Net, signal: Array) -> tuple[Array, Array]:
        value = values(net, obs)
        args = signal, value, values(net, next_obs), batch.terminated, batch.truncated
        return value, advantages(*args, c.gamma, c.gae_lambda)

    (v, a), (vc, ac) = estimate(s.value, batch.reward), estimate(s.cost_value, cost)
    flat_obs = obs.reshape(-1, obs.shape[-1])
    action = batch.action.reshape(-1, batch.action.shape[-1])
    mean, log_std = mlp(s.policy[:-1], flat_obs)[0], s.policy[-1]
    rollout = Rollout(
        obs=flat_obs,
        action=action,
        mean=mean,
        log_std=log_std,
        log_prob=log_density(mean, log_std, action),
        advantage=((a - a.mean()) / a.std()).ravel(),
        cost_advantage=(ac - ac.mean()).ravel(),
    )
    opt = dict(s.opt)
    value, opt["value"], q_loss = fit_critic(s.value, opt["value"], flat_obs, (v + a).ravel(), passes["value"], rate)
    cost_value, opt["cost_value"], qc_loss = fit_critic(
        s.cost_value, opt["cost_value"], flat_obs, (vc + ac).ravel(), passes["cost_value"], rate
    )
    if c.damping:
        policy, figures = trust_region(s.policy, rollout, episode_cost, c)
    else:
        excess = episode_cost - c.cost_limit
        policy, opt["policy"], figures = proximal(s.policy, opt["policy"], rollout, passes["policy"], excess, rate, c)
    seen = [*s.seen, batch.obs.reshape(-1, obs.shape[-1])]
    figures |= {"q_loss": q_loss, "qc_loss": qc_loss, "q": float(v.mean()), "qc": float(vc.mean())}
    figures |= {"episode_cost": episode_cost, "entropy": float(np.sum(policy[-1] + 0.5 * np.log(2 * np.pi * np.e)))}
    return Learner(policy, value, cost_value, opt, seen, costs, ends, episode_cost), figures
