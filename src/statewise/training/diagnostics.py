"""What an evaluation adds to its metrics: λ and the policy on fixed states, critics against what came of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from statewise.acting import Acting
from statewise.actions import rescale_action
from statewise.core.ops.surrogates import gaussian_kl
from statewise.envs import SafeVectorEnv

PROBE_STATES = 128
PROBE_SEED = 2_000_003
STRIDE = 8
"""Steps between two states of one environment that are looked at, as neighbours say nearly the same."""

Floats = NDArray[Any]


def probe_states(env: SafeVectorEnv) -> Floats:
    """Observations [PROBE_STATES, obs] of uniformly random actions: the same for every method and seed of a task."""
    random = np.random.default_rng(PROBE_SEED)
    obs, _ = env.reset(seed=PROBE_SEED)
    kept = [obs]
    while len(kept) * env.num_envs < PROBE_STATES:
        for _ in range(STRIDE):
            action = random.uniform(-1.0, 1.0, (env.num_envs, env.single_action_space.shape[0]))
            obs, *_ = env.step(rescale_action(action, env.single_action_space))
        kept.append(obs)
    return np.concatenate(kept)[:PROBE_STATES]


class Probe:
    """λ and the policy on the fixed states now, and how far they have moved since the evaluation before."""

    def __init__(self, acting: Acting, obs: Floats) -> None:
        self._acting = acting
        self._obs = obs
        self._last: dict[str, Floats] = {}

    def metrics(self) -> dict[str, float]:
        """Columns of an "eval" row; changes are left out at the first evaluation."""
        lam, _ = self._acting.risk(self._obs)
        mean, log_std = self._acting.moments(self._obs)
        q10, q50, q90, most = np.quantile(lam, (0.1, 0.5, 0.9, 1.0))
        metrics = {"probe_lam": lam.mean(), "probe_lam_q10": q10, "probe_lam_q50": q50, "probe_lam_q90": q90}
        metrics["probe_lam_max"] = most
        if self._last:
            metrics["probe_lam_change"] = np.abs(lam - self._last["lam"]).mean()
            moments = (self._last["mean"], self._last["log_std"], mean, log_std)
            metrics["policy_kl"] = jnp.mean(gaussian_kl(*map(jnp.asarray, moments)))
        self._last = {"lam": lam, "mean": mean, "log_std": log_std}
        return {name: float(value) for name, value in metrics.items()}

    def arrays(self) -> dict[str, Floats]:
        """What the next evaluation is compared to, by name; nothing before the first."""
        return dict(self._last)

    def load(self, arrays: dict[str, Floats]) -> None:
        """Take over what `arrays` gave."""
        self._last = dict(arrays)


class Steps(NamedTuple):
    """Steps of N environments, [T, N] or [T, N, obs]; next_obs before any reset."""

    obs: Floats
    reward: Floats
    cost: Floats
    constraint: Floats
    terminated: Floats
    truncated: Floats
    next_obs: Floats


class Experience:
    """The steps of an evaluation, to be held against what the critics expected."""

    def __init__(self) -> None:
        self._steps: list[tuple[Floats, ...]] = []

    def add(
        self,
        obs: Floats,
        reward: Floats,
        terminated: Floats,
        truncated: Floats,
        infos: dict[str, Floats],
    ) -> None:
        """Take in one step of all environments."""
        self._steps.append((obs, reward, infos["cost"], infos["constraint"], terminated, truncated, infos["next_obs"]))

    def metrics(self, acting: Acting) -> dict[str, float]:
        """Mean of critic minus Monte Carlo over every STRIDE-th step: `q_bias` and `f_bias`.

        Monte Carlo is what the critics' own targets add up to along the episode, in the units of training; where it
        was cut off, the critics' value of the last state stands for the rest.
        """
        steps = self.steps()
        came = monte_carlo(acting, steps)
        looked_at = slice(0, None, STRIDE)
        flat = steps.obs[looked_at].reshape(-1, steps.obs.shape[-1])
        bias = _in_chunks(acting, flat) - came[:, looked_at].reshape(2, -1)
        return {"q_bias": float(bias[0].mean()), "f_bias": float(bias[1].mean())}

    def steps(self) -> Steps:
        """All steps so far."""
        return Steps(*(np.array(x) for x in zip(*self._steps, strict=True)))


def monte_carlo(acting: Acting, steps: Steps) -> Floats:
    """What came of every state, of reward and cost [2, T, N], as `Experience.metrics` has it."""
    ends = steps.terminated | steps.truncated
    ends[-1] = True
    at_end = np.zeros((2, *ends.shape))
    at_end[:, ends] = _in_chunks(acting, steps.next_obs[ends])
    came = np.empty_like(at_end)
    for t in reversed(range(len(ends))):
        after = at_end[:, t] if t + 1 == len(ends) else np.where(ends[t], at_end[:, t], came[:, t + 1])
        now = (steps.reward[t], steps.cost[t], steps.constraint[t], steps.terminated[t])
        came[:, t] = acting.backup(*now, *after)
    return came


def _in_chunks(acting: Acting, obs: Floats) -> Floats:
    """Both critics' values [2, B] of observations [B, obs], in chunks of one size, so that nothing is compiled anew."""
    size = PROBE_STATES
    padded = np.concatenate([obs, np.zeros((-len(obs) % size, obs.shape[-1]), obs.dtype)])
    chunks = [acting.values(padded[start : start + size]) for start in range(0, len(padded), size)]
    return np.concatenate(chunks, axis=1)[:, : len(obs)]
