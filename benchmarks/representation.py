"""What a network can know of the risk from an observation: a supervised fit of F, raw and embedded inputs side by side.

    python benchmarks/representation.py                              # eight tasks, some ten minutes on one core
    python benchmarks/representation.py --tasks SafetyPointGoal1-v0

A policy of plain SAC is trained briefly, then plays in 2,048 environments, each a layout of its own. The label of a
state is Monte Carlo, γ_c^(steps until the next violation) with γ_c = 0.9, of states that cost nothing themselves. A
network of 2×256 units learns it from 1,600 layouts and is judged on the others: R², bias, and how well it tells F > 0.3
(AUC). Writes benchmarks/results/representation.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpy.typing import NDArray
from scipy.stats import rankdata

from statewise import Agent
from statewise.core.networks import apply_mlp, init_mlp
from statewise.envs import make_vector, rescale_action
from statewise.storage.files import write_text_atomic

TASKS = tuple(
    f"Safety{robot}{task}-v0" for task in ("Goal1", "Goal2", "Button1", "Circle2") for robot in ("Point", "Car")
)
LAYOUTS, TRAINED_ON = 2048, 1600
STEPS, TAIL = 120, 40
"""Steps of every environment, and those at the end that have no label: 0.9^40 = 0.015."""
GAMMA = 0.9
POLICY_STEPS = 100_000
FIT_STEPS, BATCH = 3000, 256
RESULTS = Path(__file__).parent / "results" / "representation.md"

Floats = NDArray[np.float32]
Embed = Callable[[Any, Any], Any]
"""(learned parameters, obs [B, obs]) -> inputs [B, dim]."""


class Data(NamedTuple):
    """States [n, obs] and labels [n] that are learned from, and those of other layouts."""

    obs: Floats
    f: Floats
    other_obs: Floats
    other_f: Floats


class Encoding(NamedTuple):
    """An input encoding: its fitted or learned parameters, and the map."""

    params: Any
    embed: Embed
    dim: int


def collect(task: str, agent: Agent) -> tuple[Data, tuple[int, ...]]:
    """On-policy states of all layouts with their labels, and which entries are proximity sensors."""
    env = make_vector(task, LAYOUTS)
    obs, _ = env.reset(seed=7_000_003)
    seen, costs = [], []
    for tick in range(STEPS):
        seen.append(obs.astype(np.float32))
        action = agent.policy.acting.explore(obs, tick)
        obs, _, _, _, infos = env.step(rescale_action(action, agent.action_space))
        costs.append(infos["cost"] > 0.0)
    proximity = env.proximity
    env.close()
    violated, label, labels = np.array(costs), np.zeros(LAYOUTS, np.float32), []
    for now in violated[::-1]:
        label = np.where(now, 1.0, GAMMA * label).astype(np.float32)
        labels.append(label)
    f = np.array(labels[::-1])
    # The state before a step costs nothing if the step into it did not.
    outside = np.concatenate([np.zeros((1, LAYOUTS), bool), ~violated[:-1]])
    outside[STEPS - TAIL :] = False
    observations = np.array(seen)

    def states(layouts: slice) -> tuple[Floats, Floats]:
        kept = outside[:, layouts]
        return observations[:, layouts][kept], f[:, layouts][kept]

    return Data(*states(slice(TRAINED_ON)), *states(slice(TRAINED_ON, None))), proximity


# --- encodings -------------------------------------------------------------------------------------------------------


def raw(obs: Floats, proximity: tuple[int, ...]) -> Encoding:
    del proximity
    return Encoding((), lambda _, x: x, obs.shape[1])


def powers(obs: Floats, proximity: tuple[int, ...]) -> Encoding:
    near = np.asarray(proximity)

    def embed(_: Any, x: Any) -> Any:
        return jnp.concatenate([x, x[:, near] ** 4, x[:, near] ** 16], axis=1)

    return Encoding((), embed, obs.shape[1] + 2 * len(near))


def quantiles(bins: int) -> Callable[[Floats, tuple[int, ...]], Encoding]:
    """Piecewise-linear encoding between quantiles (Gorishniy et al. 2022), beside the raw observation."""

    def make(obs: Floats, proximity: tuple[int, ...]) -> Encoding:
        del proximity
        edges = jnp.asarray(np.quantile(obs[:50_000], np.linspace(0.0, 1.0, bins + 1), axis=0).T, jnp.float32)
        width = edges[:, 1:] - edges[:, :-1]

        def embed(_: Any, x: Any) -> Any:
            share = (x[:, :, None] - edges[:, :-1]) / jnp.where(width > 1e-6, width, jnp.inf)
            return jnp.concatenate([x, jnp.clip(share, 0.0, 1.0).reshape(len(x), -1)], axis=1)

        return Encoding((), embed, obs.shape[1] * (bins + 1))

    return make


def fourier(count: int) -> Callable[[Floats, tuple[int, ...]], Encoding]:
    """Sines and cosines of learned frequencies of each entry, standardised, beside the raw observation."""

    def make(obs: Floats, proximity: tuple[int, ...]) -> Encoding:
        del proximity
        mean, std = obs.mean(axis=0), obs.std(axis=0) + 1e-6
        frequencies = jax.random.normal(jax.random.key(5), (obs.shape[1], count))

        def embed(frequencies: Any, x: Any) -> Any:
            phase = (((x - mean) / std)[:, :, None] * frequencies).reshape(len(x), -1)
            return jnp.concatenate([x, jnp.sin(phase), jnp.cos(phase)], axis=1)

        return Encoding(frequencies, embed, obs.shape[1] * (1 + 2 * count))

    return make


ENCODINGS: dict[str, Callable[[Floats, tuple[int, ...]], Encoding]] = {
    "raw": raw,
    "powers": powers,
    "quantiles, 8 bins": quantiles(8),
    "learned Fourier, 4": fourier(4),
}


# --- the fit ---------------------------------------------------------------------------------------------------------


class Fit(NamedTuple):
    """How well F of the other layouts is known."""

    r2: float
    bias: float
    auc: float


def fit(data: Data, encoding: Encoding, seed: int = 0) -> Fit:
    """Train a network on the labels and judge it on the other layouts."""
    sample = encoding.embed(encoding.params, jnp.asarray(data.obs[:50_000]))
    mean, std = jnp.mean(sample, axis=0), jnp.std(sample, axis=0)
    std = jnp.where(std > 1e-4, std, 1.0)
    params = (encoding.params, init_mlp(jax.random.PRNGKey(seed), (encoding.dim, 256, 256, 1)))
    optimizer = optax.adam(5e-4)

    def predict(params: Any, obs: Any) -> Any:
        learned, net = params
        x = jnp.clip((encoding.embed(learned, obs) - mean) / std, -10.0, 10.0)
        return apply_mlp(net, x)[:, 0]

    @jax.jit
    def train(params: Any, opt: Any, obs: Any, f: Any) -> Any:
        def step(carry: Any, minibatch: Any) -> Any:
            params, opt = carry
            grads = jax.grad(lambda p: jnp.mean(jnp.square(predict(p, minibatch[0]) - minibatch[1])))(params)
            updates, opt = optimizer.update(grads, opt)
            return (optax.apply_updates(params, updates), opt), None

        return jax.lax.scan(step, (params, opt), (obs, f))[0]

    opt, random = optimizer.init(params), np.random.default_rng(seed)
    for _ in range(FIT_STEPS // 100):
        index = random.integers(len(data.obs), size=(100, BATCH))
        params, opt = train(params, opt, data.obs[index], data.f[index])
    guess = np.concatenate([np.asarray(jax.jit(predict)(params, x)) for x in np.array_split(data.other_obs, 8)])
    error = guess - data.other_f
    positive = data.other_f > 0.3
    ranks = rankdata(guess)[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    auc = ranks / max(positive.sum() * (~positive).sum(), 1)
    return Fit(float(1.0 - np.mean(error**2) / np.var(data.other_f)), float(error.mean()), float(auc))


def policy(task: str, root: Path) -> Agent:
    """Plain SAC of the preset `standard`, trained briefly where it isn't there yet."""
    agent = Agent("sac", task, total_steps=POLICY_STEPS, eval_interval=POLICY_STEPS, root=root)
    path = agent.run_path
    assert path is not None
    if (path / "checkpoints").is_dir() and list((path / "checkpoints").glob("step-*")):
        return Agent.load(path)
    return agent.learn(overwrite=True)


def main() -> None:
    """Fit all tasks and encodings, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--root", type=Path, default=Path("runs/representation"))
    options = parser.parse_args()
    names = list(ENCODINGS)
    lines = [
        "# What a network can know of F",
        "",
        "`python benchmarks/representation.py`: R² / bias / AUC of F > 0.3 on layouts that the fit has not seen.",
        "",
        f"| task | F, mean | {' | '.join(names)} |",
        "|---" * (len(names) + 2) + "|",
    ]
    for task in options.tasks:
        data, proximity = collect(task, policy(task, options.root))
        cells = []
        for name in names:
            found = fit(data, ENCODINGS[name](data.obs, proximity))
            cells.append(f"{found.r2:.2f} / {found.bias:+.3f} / {found.auc:.3f}")
            print(task, name, cells[-1], flush=True)
        lines.append(f"| {task.removeprefix('Safety')} | {data.other_f.mean():.2f} | {' | '.join(cells)} |")
        if options.tasks == list(TASKS):
            write_text_atomic(RESULTS, "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
