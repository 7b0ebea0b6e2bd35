"""SAC and its dual cycle in NumPy float64, forward and backward passes by hand: what the compiled core is held to.

A network is a flat list of arrays W₀ [in, out], b₀ [out], W₁, b₁, ...; critics are a list of two such networks on the
concatenation of observation and action.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Net = list[Array]

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


def mlp(net: Net, x: Array) -> tuple[Array, list[Array]]:
    """Output [B, out], and the input of each layer, which the backward pass needs."""
    inputs = []
    for i in range(0, len(net), 2):
        inputs.append(x)
        x = x @ net[i] + net[i + 1]
        if i + 2 < len(net):
            x = np.maximum(x, 0.0)
    return x, inputs


def mlp_backward(net: Net, inputs: list[Array], d_out: Array) -> tuple[Net, Array]:
    """Gradients of the parameters and of the network's input, from that of its output."""
    grads: Net = []
    for i in reversed(range(0, len(net), 2)):
        x = inputs[i // 2]
        grads = [x.T @ d_out, d_out.sum(axis=0), *grads]
        d_out = d_out @ net[i].T
        if i > 0:
            d_out = d_out * (x > 0.0)
    return grads, d_out


def softplus(x: Array) -> Array:
    return np.logaddexp(x, 0.0)


def sigmoid(x: Array) -> Array:
    return np.exp(-softplus(-x))


class Optimizer(NamedTuple):
    """RAD with fixed ζ behind a clip of the global norm; k steps taken, moments per array."""

    rate: float
    zeta: float
    clip: float
    k: int
    m: Net
    v: Net

    @classmethod
    def start(cls, net: Net, rate: float, zeta: float, clip: float) -> Optimizer:
        return cls(rate, zeta, clip, 0, [np.zeros_like(p) for p in net], [np.zeros_like(p) for p in net])

    def step(self, net: Net, grads: Net) -> tuple[Net, Optimizer]:
        norm = np.sqrt(sum(np.sum(g**2) for g in grads))
        grads = [g * min(1.0, self.clip / norm) if norm > 0.0 else g for g in grads]
        k = self.k + 1
        m = [0.9 * m + 0.1 * g for m, g in zip(self.m, grads, strict=True)]
        v = [0.999 * v + 0.001 * g**2 for v, g in zip(self.v, grads, strict=True)]
        rate = self.rate * np.sqrt(1.0 - 0.999**k) / (1.0 - 0.9**k)
        new = [p - rate * a / np.sqrt(b + self.zeta) for p, a, b in zip(net, m, v, strict=True)]
        return new, self._replace(k=k, m=m, v=v)


class Settings(NamedTuple):
    """What the reference takes from a configuration; penalty_slope(λ, G) is the penalty's derivative in G, in units."""

    gamma: float
    tau: float
    threshold: float
    target_entropy: float
    penalty_slope: Any
    reward_twins: str = "min"
    cost_twins: str = "max"
    unit: float = 1.0


class Learner(NamedTuple):
    """Networks, and their optimizers by name: policy, q, qc, alpha."""

    policy: Net
    q: list[Net]
    qc: list[Net]
    q_target: list[Net]
    qc_target: list[Net]
    log_alpha: Array
    opt: dict[str, Optimizer]


def sample(policy: Net, obs: Array, noise: Array) -> tuple[Array, Array, dict[str, Any]]:
    """Actions [K, B, A], log π [K, B] and what the backward pass needs, for noise [K, B, A]."""
    out, inputs = mlp(policy, obs)
    mean, raw = np.split(out, 2, axis=-1)
    log_std = np.clip(raw, LOG_STD_MIN, LOG_STD_MAX)
    z = mean + np.exp(log_std) * noise
    action = np.tanh(z)
    gaussian = -0.5 * noise**2 - log_std - 0.5 * np.log(2.0 * np.pi)
    logp = np.sum(gaussian - np.log1p(-(action**2)), axis=-1)
    inside = (raw > LOG_STD_MIN) & (raw < LOG_STD_MAX)
    return action, logp, {"inputs": inputs, "std_noise": np.exp(log_std) * noise, "inside": inside}


def sample_backward(policy: Net, action: Array, saved: dict[str, Any], d_action: Array, d_logp: Array) -> Net:
    """Gradient of the policy's parameters from those of actions [K, B, A] and log π [K, B].

    z = mean + σε, a = tanh z: ∂a/∂z = 1 − a²; ∂log π/∂z = 2a, as −log(1 − tanh² z) has slope 2 tanh z;
    ∂log π/∂log σ = −1 beside the path through z, where ∂z/∂log σ = σε.
    """
    d_z = d_action * (1.0 - action**2) + d_logp[..., None] * 2.0 * action
    d_mean = d_z.sum(axis=0)
    d_log_std = (d_z * saved["std_noise"] - d_logp[..., None]).sum(axis=0) * saved["inside"]
    return mlp_backward(policy, saved["inputs"], np.concatenate([d_mean, d_log_std], axis=-1))[0]


def critics(nets: list[Net], obs: Array, action: Array) -> Array:
    """Values of both twins [2, B]."""
    x = np.concatenate([obs, action], axis=-1)
    return np.stack([mlp(net, x)[0][:, 0] for net in nets])


def action_gradient(nets: list[Net], obs: Array, action: Array, pick: str) -> tuple[Array, Array]:
    """Value [B] and action gradient [B, A] of what the twins become by `pick`: min, max or mean."""
    x = np.concatenate([obs, action], axis=-1)
    values, slopes = [], []
    for net in nets:
        value, inputs = mlp(net, x)
        values.append(value[:, 0])
        slopes.append(mlp_backward(net, inputs, np.ones_like(value))[1][:, obs.shape[1] :])
    if pick == "mean":
        return np.mean(values, axis=0), np.mean(slopes, axis=0)
    chosen = {"min": np.argmin, "max": np.argmax}[pick](np.stack(values), axis=0)
    rows = np.arange(len(obs))
    return np.stack(values)[chosen, rows], np.stack(slopes)[chosen, rows]


def fit_critics(nets: list[Net], opt: Optimizer, x: Array, y: Array) -> tuple[list[Net], Optimizer, float]:
    """One step on Σ_i mean (Q_i − y)²; also the loss before it."""
    grads: Net = []
    loss = 0.0
    for net in nets:
        value, inputs = mlp(net, x)
        error = value[:, 0] - y
        loss += np.mean(error**2)
        grads += mlp_backward(net, inputs, (2.0 * error / len(y))[:, None])[0]
    flat, opt = opt.step(nets[0] + nets[1], grads)
    return [flat[: len(nets[0])], flat[len(nets[0]) :]], opt, float(loss)


def update(
    s: Learner, batch: Any, noise: tuple[Array, Array], lam: Array, c: Settings
) -> tuple[Learner, dict[str, float]]:
    """One gradient step without the dual cycle, and the losses of its critics and policy's entropy.

    batch: rewards and costs as trained on; noise: of the next action [B, A] and of the actor's actions [K, B, A];
    lam: λ(x) [B].
    """
    size, alpha = len(batch.obs), np.exp(s.log_alpha)
    next_action, next_logp, _ = sample(s.policy, batch.next_obs, noise[0][None])
    next_q = getattr(critics(s.q_target, batch.next_obs, next_action[0]), c.reward_twins)(axis=0)
    next_qc = getattr(critics(s.qc_target, batch.next_obs, next_action[0]), c.cost_twins)(axis=0)
    go_on = c.gamma * (1.0 - batch.terminated)
    x = np.concatenate([batch.obs, batch.action], axis=-1)
    y, yc = batch.reward + go_on * (next_q - alpha * next_logp[0]), batch.cost + go_on * next_qc
    q, opt_q, q_loss = fit_critics(s.q, s.opt["q"], x, y)
    qc, opt_qc, qc_loss = fit_critics(s.qc, s.opt["qc"], x, yc)

    action, logp, saved = sample(s.policy, batch.obs, noise[1])
    d_action, d_logp = np.zeros_like(action), np.zeros_like(logp)
    d_logp[0] = alpha / (size * c.unit)
    d_action[0] = -action_gradient(q, batch.obs, action[0], c.reward_twins)[1] / (size * c.unit)
    samples = [action_gradient(qc, batch.obs, a, c.cost_twins) for a in action]
    g = np.mean([value for value, _ in samples], axis=0) - c.threshold
    slope = c.penalty_slope(lam, g) / (size * len(action))
    d_action += slope[:, None] * np.stack([gradient for _, gradient in samples])
    grads = sample_backward(s.policy, action, saved, d_action, d_logp)
    policy, opt_policy = s.opt["policy"].step(s.policy, grads)
    alpha_grad = -np.mean(logp[0] + c.target_entropy)
    (log_alpha,), opt_alpha = s.opt["alpha"].step([s.log_alpha], [np.asarray(alpha_grad)])

    opt = {"policy": opt_policy, "q": opt_q, "qc": opt_qc, "alpha": opt_alpha}
    new = Learner(policy, q, qc, follow(s.q_target, q, c.tau), follow(s.qc_target, qc, c.tau), log_alpha, opt)
    return new, {"q_loss": q_loss, "qc_loss": qc_loss, "entropy": float(-np.mean(logp[0]))}


def follow(target: list[Net], nets: list[Net], tau: float) -> list[Net]:
    """Targets moved by τ towards their critics."""
    pairs = zip(target, nets, strict=True)
    return [[(1.0 - tau) * t + tau * p for t, p in zip(old, new, strict=True)] for old, new in pairs]


def dual_cycle(
    net: Net, opt: Optimizer, obs: Array, g: Array, rho: float, *, ascent: bool
) -> tuple[Net, Optimizer, float]:
    """One step on each minibatch (obs [M, B, obs], g [M, B]), the dual target frozen; the mean loss.

    Regression: (λ_w − relu(λ_k + ρG))²; ascent: −λ_w·ρG. λ = softplus(z), so ∂λ/∂z is its sigmoid.
    """
    frozen, losses = net, []
    for x, g_b in zip(obs, g, strict=True):
        target = np.maximum(multiplier(frozen, x) + rho * g_b, 0.0)
        z, inputs = mlp(net, x)
        lam = softplus(z[:, 0])
        d_lam = -rho * g_b if ascent else 2.0 * (lam - target)
        losses.append(np.mean(-lam * rho * g_b if ascent else (lam - target) ** 2))
        grads, _ = mlp_backward(net, inputs, (d_lam * sigmoid(z[:, 0]) / len(x))[:, None])
        net, opt = opt.step(net, grads)
    return net, opt, float(np.mean(losses))


def multiplier(net: Net, obs: Array) -> Array:
    """λ(x), [B, obs] -> [B]."""
    return softplus(mlp(net, obs)[0][:, 0])
