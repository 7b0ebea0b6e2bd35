"""What each method reaches on a tiny constrained problem with a known optimum: braking before a wall.

    python benchmarks/braking.py                          # every method, three seeds
    python benchmarks/braking.py --methods sac-alam --seeds 0

A car at distance d from a wall drives at speed v >= 0 and sets its acceleration a in [-a_max, a_max]. Reward is the
distance covered; a step is in violation when it ends behind the wall. The maximal safe set is v² <= 2·a_max·d, exactly,
and the best safe policy takes the largest acceleration that stays in it. Writes benchmarks/results/braking.md, where
rows of methods and seeds that weren't run again stay.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from numpy.typing import NDArray

from statewise import Agent
from statewise.config import (
    AlamConfig,
    AlamGaConfig,
    FpiConfig,
    LagConfig,
    MultiplierConfig,
    OnPolicyConfig,
    PidConfig,
    RunConfig,
    SacConfig,
    ScalarConfig,
)
from statewise.envs.vector import pack_generators, unpack_generators
from statewise.methods import METHODS

A_MAX = 1.0
V_MAX = 2.0
D_MAX = 6.0
TIME_STEP = 0.2
EPISODE_STEPS = 50
UNSAFE_STARTS = 0.1
"""Share of episodes that start anywhere; the others start in the safe set."""

SETTINGS: dict[type[RunConfig], dict[str, Any]] = {
    RunConfig: {
        "total_steps": 30_000,
        "num_envs": 8,
        "threads": 1,
        "hidden": (64, 64),
        "gamma": 0.95,
        "eval_interval": 15_000,
        "log_interval": 5_000,
        "checkpoint_interval": 15_000,
    },
    SacConfig: {
        "block_length": 16,
        "update_ratio": 1.0,
        "warmup_steps": 2_000,
        "batch_size": 128,
        "replay_capacity": 30_000,
        "tau": 0.02,
        "learning_rate": 5e-4,
        "optimizer": "adam",
        "alpha_init": 0.02,
        "feasibility": "cdf",
        "feasibility_gamma": 0.95,
        "cost_threshold": 0.3,  # 0.95^23: no speed needs more than 10 steps to stop, so all danger is nearer
    },
    MultiplierConfig: {"multiplier_learning_rate": 1e-3},
    # 100 inner steps in 1000 gradient steps, as LagNet has. Without a cap the regression follows its target on upwards
    # where nothing is safe any more, until the policy's loss is about those states alone; ascent needs the height.
    AlamConfig: {"dual_interval": 50, "multiplier_max": 50.0},
    AlamGaConfig: {"multiplier_max": None},
    ScalarConfig: {"cost_threshold": 0.1},  # of the mean over all states, most of which are in no danger
    LagConfig: {"lambda_learning_rate": 2e-2},
    PidConfig: {"pid_kp": 10.0, "pid_ki": 0.1, "pid_kd": 10.0},  # values of reward are some 20 times those of F
    FpiConfig: {"region_multiplier_init": 10.0},
    OnPolicyConfig: {"total_steps": 200_000, "epoch_steps": 4_000, "eval_interval": 100_000, "episode_cost_limit": 1.0},
}
"""Fields by family of methods; the narrower family comes later and has the last word."""

Floats = NDArray[np.float64]
RESULTS = Path(__file__).parent / "results" / "braking.md"


def advance(d: Floats, v: Floats, action: Floats) -> tuple[Floats, Floats, Floats]:
    """Distance, speed and distance covered after one time step; action in [-1, 1]. Braking to a stop is exact."""
    a = A_MAX * np.clip(action, -1.0, 1.0)
    v_next = np.clip(v + a * TIME_STEP, 0.0, V_MAX)
    stops = v + a * TIME_STEP < 0.0
    covered = np.where(stops, v**2 / (2.0 * np.maximum(-a, 1e-12)), 0.5 * (v + v_next) * TIME_STEP)
    return d - covered, v_next, covered


def is_safe(d: Floats, v: Floats) -> NDArray[np.bool_]:
    """Whether full braking still stops in front of the wall: v² <= 2·a_max·d."""
    return v**2 <= 2.0 * A_MAX * d


def is_violation(d: Floats) -> NDArray[np.bool_]:
    """Whether the car is behind the wall, by more than rounding."""
    return d < -1e-9


def observe(d: Floats, v: Floats) -> Floats:
    """[..., 2]; behind the wall the distance says no more than that."""
    return np.stack([np.maximum(d, -1.0) / (0.5 * D_MAX) - 1.0, v / (0.5 * V_MAX) - 1.0], axis=-1)


class Braking(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """The problem as a plain Gymnasium environment that can be saved and restored."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self) -> None:
        self._d = self._v = np.zeros(1)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        super().reset(seed=seed)
        anywhere = self.np_random.random() < UNSAFE_STARTS
        while True:
            self._d, self._v = self.np_random.uniform(0.0, [[D_MAX], [V_MAX]])
            if anywhere or is_safe(self._d, self._v).all():
                break
        self._steps = 0
        return observe(self._d, self._v)[0], {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        self._d, self._v, covered = advance(self._d, self._v, action.astype(np.float64))
        self._steps += 1
        info = {"cost": float(is_violation(self._d)[0])}
        return observe(self._d, self._v)[0], float(covered[0]), False, self._steps >= EPISODE_STEPS, info

    def get_state(self) -> dict[str, NDArray[Any]]:
        body, generator = np.array([self._d, self._v]), pack_generators([self.np_random])
        return {"body": body, "steps": np.array(self._steps), "generator": generator}

    def set_state(self, state: dict[str, NDArray[Any]]) -> None:
        self._d, self._v = state["body"]
        self._steps = int(state["steps"])
        (self.np_random,) = unpack_generators(state["generator"])


def safe_starts(count: int, seed: int) -> tuple[Floats, Floats]:
    """States [count] drawn uniformly from the maximal safe set."""
    rng = np.random.default_rng(seed)
    d, v = rng.uniform((0.0, 0.0), (D_MAX, V_MAX), (8 * count, 2)).T
    kept = np.flatnonzero(is_safe(d, v))[:count]
    return d[kept], v[kept]


def best_safe_action(d: Floats, v: Floats) -> Floats:
    """The largest action after which the state is still safe, by bisection; full braking where there is none."""
    low, high = np.full_like(d, -1.0), np.full_like(d, 1.0)
    for _ in range(40):
        middle = 0.5 * (low + high)
        d_next, v_next, _ = advance(d, v, middle)
        safe = is_safe(d_next, v_next)
        low, high = np.where(safe, middle, low), np.where(safe, high, middle)
    full_speed_is_safe = is_safe(*advance(d, v, np.ones_like(d))[:2])
    return np.where(full_speed_is_safe, 1.0, low)


def roll_out(policy: Any, d: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Return and steps in violation of one episode from each state: [B], [B]."""
    total, cost = np.zeros_like(d), np.zeros_like(d)
    for _ in range(EPISODE_STEPS):
        d, v, covered = advance(d, v, policy(d, v))
        total += covered
        cost += is_violation(d)
    return total, cost


def auroc(score: Floats, label: NDArray[np.bool_]) -> float:
    """Chance that a positive's score is above a negative's, ties counting half (Mann-Whitney)."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    positives, negatives = label.sum(), (~label).sum()
    return float((rank[label].sum() - 0.5 * positives * (positives + 1)) / (positives * negatives))


class Reached(NamedTuple):
    """What a policy reaches from safe starts, and how well λ and F̂ tell unsafe states in front of the wall."""

    return_share: float
    """Mean return over that of the best safe policy from the same states."""
    cost: float
    """Mean steps in violation an episode."""
    violating: float
    """Share of episodes with a violation."""
    lam_auroc: float
    f_auroc: float


def measure(agent: Agent, episodes: int = 1000) -> Reached:
    """Roll out the deterministic policy from safe states; rate λ and F̂ on a grid of 60 × 60 states."""

    def policy(d: Floats, v: Floats) -> Floats:
        return agent.predict(observe(d, v))[:, 0].astype(np.float64)

    starts = safe_starts(episodes, seed=12345)
    best, best_cost = roll_out(best_safe_action, *starts)
    assert not best_cost.any()
    reached, cost = roll_out(policy, *starts)
    d, v = (x.ravel() for x in np.meshgrid(np.linspace(0.05, D_MAX, 60), np.linspace(0.0, V_MAX, 60)))
    lam, f = agent.risk(observe(d, v))
    unsafe = ~is_safe(d, v)
    return Reached(
        float(reached.mean() / best.mean()),
        float(cost.mean()),
        float((cost > 0).mean()),
        auroc(lam.astype(np.float64), unsafe),
        auroc(f.astype(np.float64), unsafe),
    )


def train(
    method: str, seed: int, root: Path, env: Callable[[], gymnasium.Env[Any, Any]] = Braking, **changes: Any
) -> Agent:
    """An agent trained on the problem, or on another environment, with the settings of this file."""
    families = [fields for family, fields in SETTINGS.items() if issubclass(METHODS[method].config, family)]
    settings = {name: value for fields in families for name, value in fields.items()}
    return Agent(method, env, preset="paper", root=root, seed=seed, **{**settings, **changes}).learn()


HEADER = """# Braking before a wall

`python benchmarks/braking.py`: reward is the distance covered, the safe set is v² <= 2·a_max·d. From 1000
safe starts: return as a share of the best safe policy's, mean steps in violation (of 50), share of episodes
with one; over a grid of states: how well λ and F̂ tell unsafe from safe ones. One number for all states can't.
The settings are those of the script, a family of methods at a time, and not tuned to the last: this shows that
each method learns the problem, and is no comparison of their best.

| method | seed | return / optimum | violating steps | violating episodes | AUROC λ | AUROC F̂ | seconds |
|---|---|---|---|---|---|---|---|
"""

STATE_WISE = (MultiplierConfig, FpiConfig)

Rows = dict[tuple[str, int], str]


def row(method: str, seed: int, r: Reached, seconds: float) -> str:
    """A line of the table."""
    lam = f"{r.lam_auroc:.3f}" if issubclass(METHODS[method].config, STATE_WISE) else "–"
    return (
        f"| {method} | {seed} | {r.return_share:.3f} | {r.cost:.2f} | {r.violating:.1%} | {lam} "
        f"| {r.f_auroc:.3f} | {seconds:.0f} |"
    )


def read_rows(path: Path) -> Rows:
    """The lines of a table that is there already, by method and seed."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    cells = [(line, line.strip("| ").split(" | ")) for line in lines]
    return {(c[0], int(c[1])): line for line, c in cells if len(c) == 8 and c[1].isdigit()}


def write_rows(path: Path, rows: Rows) -> None:
    """The table in the order of the methods."""
    order = list(METHODS)
    lines = [rows[key] for key in sorted(rows, key=lambda key: (order.index(key[0]), key[1]))]
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Train, measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--output", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for method in args.methods:
            with tempfile.TemporaryDirectory() as root:
                began = time.monotonic()
                reached = measure(train(method, seed, Path(root)))
                line = row(method, seed, reached, time.monotonic() - began)
            print(line, flush=True)
            write_rows(args.output, {**read_rows(args.output), (method, seed): line})
    print(f"\n{args.output}")


if __name__ == "__main__":
    main()
