"""From a policy to what runs without JAX: its networks as plain arrays, and a card that says what they are.

A file is written only after its answers have been held against the policy's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from statewise import __version__
from statewise.actions import rescale_action
from statewise.config import PpoConfig, SacConfig
from statewise.core.embedding import POWERS
from statewise.core.networks import LOG_STD_MAX, LOG_STD_MIN, Critic, Mlp
from statewise.core.normalizer import CLIP, Normalizer
from statewise.families import build_core
from statewise.methods import full_name
from statewise.monitor.card import FEASIBILITY, FORMAT, LIMITS
from statewise.monitor.fused import FusedRisk
from statewise.monitor.numpy_runner import NumpyPolicy
from statewise.onpolicy.core import OnPolicy, OnPolicyState
from statewise.policy import Policy
from statewise.sac.core import Sac, SacState
from statewise.sac.mechanisms.fpi import FpiState
from statewise.sac.mechanisms.multiplier import MultiplierState
from statewise.sac.mechanisms.scalar import Scalar
from statewise.sac.randomness import sample_noise
from statewise.storage import checkpoint

Arrays = dict[str, NDArray[Any]]

LARGEST = float(np.finfo(np.float32).max)
CHECKED_STATES = 64
TOLERANCE = 1e-4
"""Largest deviation from the policy's own answers, relative to them where they are beyond 1."""


@dataclass(frozen=True)
class Exported:
    """What both kinds of file hold: arrays by name, and the card."""

    arrays: Arrays
    card: dict[str, Any]

    @property
    def runner(self) -> NumpyPolicy:
        """The exported policy in plain NumPy."""
        return NumpyPolicy(self.arrays, self.card)

    @property
    def fused(self) -> FusedRisk:
        """Its risk, one observation at a time."""
        return FusedRisk(self.runner)


def write_numpy(path: Path, exported: Exported) -> None:
    """Write the file of `--format numpy`: safetensors, the card as its metadata, a digest over both."""
    checkpoint.save(path, exported.arrays, exported.card)


def export_policy(
    policy: Policy,
    training: Mapping[str, Any] | None = None,
    observations: tuple[NDArray[Any], NDArray[Any]] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> Exported:
    """A policy's exported form. ValueError where its networks can't be exported, or give other answers than its own.

    training: what the card says of the training. observations: lowest and highest of training, [obs] each; None takes
    what the policy's statistics give. calibration: what `statewise calibrate` found.
    """
    core = build_core(policy.about.config, policy.about.facts)
    state = jax.device_get(policy.acting.state)
    arrays, network = _embedding(core, state)
    if isinstance(core, Sac):
        _add_sac(arrays, network, core, state, policy.acting.keys.risk)
    else:
        _add_onpolicy(arrays, network, core, state)
    network["depth"] = len(policy.about.config.hidden)
    arrays["action/low"], arrays["action/high"] = policy.about.span.low, policy.about.span.high
    arrays["range/low"], arrays["range/high"], source = _range(core.dims.obs, arrays, observations)
    arrays = {name: np.asarray(array, np.float32) for name, array in arrays.items()}
    card = _card(policy, network, source)
    card["training"].update(training or {})
    card["calibration"] = calibration and dict(calibration)
    exported = Exported(arrays, card)
    require_same_answers(exported, core, policy)
    return exported


# --- arrays ----------------------------------------------------------------------------------------------------------


def _embedding(core: Sac | OnPolicy, state: Any) -> tuple[Arrays, dict[str, Any]]:
    embed, learned = core.embed, state.embedding
    powers = embed.kind == "powers" and bool(embed.proximity)
    network: dict[str, Any] = {"embedding": "none" if embed.kind == "powers" and not powers else embed.kind}
    arrays: Arrays = {}
    if powers:
        network.update(proximity=list(embed.proximity), powers=list(POWERS))
    if embed.kind == "quantiles":
        arrays["embedding/edges"] = learned.edges
    if embed.standardize:
        network["clip"] = CLIP
        arrays["embedding/mean"] = learned.statistics.mean
        arrays["embedding/std"] = _std(learned.statistics)
    return arrays, network


def _std(statistics: Normalizer) -> NDArray[Any]:
    """What `normalize` divides by."""
    variance = np.asarray(statistics.m2 / np.maximum(statistics.seen, 1.0))
    return np.where(variance > 1e-8, np.sqrt(variance), np.float32(1.0))


def _add_sac(arrays: Arrays, network: dict[str, Any], core: Sac, state: SacState, key: Any) -> None:
    if not isinstance(state.qc, Critic):
        raise ValueError(f"export: the cost critic of {core.config.method} is of an architecture that isn't exported")
    _add_mlp(arrays, "policy", state.policy)
    for member in range(len(state.qc.b)):
        _add_mlp(arrays, f"cost/{member}", _member(state.qc, member))
    # As the policy draws them for a single observation: `Policy.risk(obs)` of one state is what is exported.
    arrays["cost/noise"] = np.asarray(sample_noise(key, core.config.n_cost_samples, 1, core.dims.action)[:, 0])
    network.update(
        activation="relu",
        squash="tanh",
        log_std_range=[LOG_STD_MIN, LOG_STD_MAX],
        cost_critic="action",
        cost_critics=len(state.qc.b),
        cost_twins=core.config.cost_twins,
        multiplier=_add_multiplier(arrays, core, state.mechanism),
    )


def _member(critic: Critic, member: int) -> list[tuple[Any, Any]]:
    """One of an ensemble of action values as an MLP on inputs and action side by side: (w, b) of its layers."""
    first = np.concatenate([critic.w_obs[member], critic.w_action[member]])
    return [(first, critic.b[member]), *((layer.w[member], layer.b[member]) for layer in critic.rest)]


def _add_multiplier(arrays: Arrays, core: Sac, mechanism: Any) -> str | None:
    """λ(x) of the mechanism's state, and its kind; None where there is none, or none that can be exported."""
    if isinstance(mechanism, MultiplierState):
        if len(mechanism.params[0].w):
            _add_mlp(arrays, "multiplier", mechanism.params)
            return "network"
        arrays["multiplier"] = np.logaddexp(np.float32(0.0), np.asarray(mechanism.params[0].b[0]))
        return "number"
    if isinstance(mechanism, Scalar):
        arrays["multiplier"] = np.asarray(mechanism.lam)
        return "number"
    if isinstance(mechanism, FpiState):
        levels = mechanism.levels
        arrays["multiplier"] = np.stack([np.exp(levels.log_margin), levels.critical, levels.infeasible])
        return "regions"
    if core.mechanism.multiplier is not None:
        raise ValueError(f"export: the multiplier of {core.config.method} is of a kind that isn't exported")
    return None


def _add_onpolicy(arrays: Arrays, network: dict[str, Any], core: OnPolicy, state: OnPolicyState) -> None:
    *body, last = state.policy.mean
    log_std = np.asarray(state.policy.log_std)
    # Log-standard deviations that are the same everywhere are outputs without weights.
    w = np.concatenate([last.w, np.zeros((len(last.w), len(log_std)), np.float32)], axis=1)
    _add_mlp(arrays, "policy", [*body, (w, np.concatenate([last.b, log_std]))])
    _add_mlp(arrays, "cost/0", state.cost_value)
    constrained = type(core.config) is not PpoConfig
    if constrained:
        arrays["multiplier"] = np.asarray(state.lam)
    network.update(
        activation="tanh",
        squash="clip",
        log_std_range=[-LARGEST, LARGEST],
        cost_critic="state",
        cost_critics=1,
        multiplier="number" if constrained else None,
    )


def _add_mlp(arrays: Arrays, name: str, layers: Mlp | Sequence[Any]) -> None:
    for number, (w, b) in enumerate(layers):
        arrays[f"{name}/{number}/w"], arrays[f"{name}/{number}/b"] = np.asarray(w), np.asarray(b)


# --- card ------------------------------------------------------------------------------------------------------------


def _range(
    obs_dim: int, arrays: Arrays, observations: tuple[NDArray[Any], NDArray[Any]] | None
) -> tuple[NDArray[Any], NDArray[Any], str | None]:
    """Lowest and highest value of each entry, and where they are from; None where the policy knows nothing of them."""
    if observations is not None:
        return *observations, "lowest and highest of the observations in the run's replay"
    if "embedding/mean" in arrays:
        mean, reach = arrays["embedding/mean"][:obs_dim], CLIP * arrays["embedding/std"][:obs_dim]
        source = f"mean ± {CLIP:g} standard deviations of training, beyond which the policy's inputs are clipped"
        return mean - reach, mean + reach, source
    if "embedding/edges" in arrays:
        low, high = arrays["embedding/edges"][:, 0], arrays["embedding/edges"][:, -1]
        source = "mean lowest and highest quantile of training's batches, and their distance beyond each"
        return low - (high - low), high + (high - low), source
    return np.full(obs_dim, -LARGEST), np.full(obs_dim, LARGEST), None


def _card(policy: Policy, network: dict[str, Any], source: str | None) -> dict[str, Any]:
    about, config = policy.about, policy.about.config
    on_actions = isinstance(config, SacConfig)
    absent = {} if network["multiplier"] else {"lam": f"{config.method} has no multiplier"}
    if source is None:
        absent["range"] = "the policy holds no statistics of observations: no finite one counts as outside of training"
    return {
        "format": FORMAT,
        "statewise": __version__,
        "task": about.task,
        "method": full_name(config.method),
        "config": config.to_dict(),
        "config_hash": config.digest(),
        "observation": about.facts.dims.obs,
        "action": about.facts.dims.action,
        "cost_threshold": config.threshold,
        "feasibility": FEASIBILITY[config.feasibility if on_actions else "state"],
        "samples": config.n_cost_samples if on_actions else 0,
        "range": source,
        "absent": absent,
        "training": {"gradient_steps": policy.acting.gradient_step},
        "limits": list(LIMITS),
        "network": network,
    }


# --- check -----------------------------------------------------------------------------------------------------------


def original(core: Sac | OnPolicy, policy: Policy) -> Any:
    """A compiled function obs [B, obs] -> actions [B, action] in [−1, 1], λ [B], F̂ [B], each state by itself."""
    state, key = policy.acting.state, policy.acting.keys.risk

    def one(obs: Any) -> Any:
        lam, f = core.risk(state, obs[None], key)
        return core.act_greedily(state.policy, state.embedding, obs[None])[0], lam[0], f[0]

    return jax.jit(jax.vmap(one))


def require_same_answers(exported: Exported, core: Sac | OnPolicy, policy: Policy) -> None:
    """ValueError where the exported arrays don't answer as the policy does, as with networks of another kind."""
    runner, obs = exported.runner, _typical_states(exported)
    action, lam, f = (np.asarray(x) for x in original(core, policy)(obs))
    answers = {"action": (runner.act(obs), rescale_action(action, policy.about.span))}
    found_lam, found_f = runner.risk(obs)
    answers["F"] = found_f, f
    if found_lam is not None and exported.card["network"]["multiplier"] != "regions":  # there it jumps with F
        answers["lambda"] = found_lam, lam
    for name, (found, wanted) in answers.items():
        off = float(np.max(np.abs(found - wanted) / np.maximum(np.abs(wanted), 1.0)))
        if not off <= TOLERANCE:
            raise ValueError(f"export: {name} would be off by {off:.2g}; networks of this kind can't be exported")


def _typical_states(exported: Exported) -> NDArray[np.float32]:
    size, arrays = exported.card["observation"], exported.arrays
    normal = np.random.default_rng(0).normal(size=(CHECKED_STATES, size))
    if "embedding/mean" in arrays:
        normal = arrays["embedding/mean"][:size] + arrays["embedding/std"][:size] * normal
    return np.clip(normal, arrays["range/low"], arrays["range/high"]).astype(np.float32)
