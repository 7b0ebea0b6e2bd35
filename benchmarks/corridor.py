"""What F̂ and λ learn of a double integrator's maximal safe set, which is known exactly.

    python benchmarks/corridor.py                     # SAC-ALaM and SAC-LagNet, three seeds
    python benchmarks/corridor.py --methods sac-alam --seeds 0

A point drives along a line with obstacles (`statewise.theory.reachability`); reward is the way it makes, in either
direction, and the first obstacle ends the episode at a cost of 1. Writes benchmarks/results/corridor.md, where rows
that weren't run again stay, and a picture of SAC-ALaM's seed 0 to docs/images/theory-corridor.png.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from benchmarks.braking import train
from statewise import Agent
from statewise.envs.vector import pack_generators, unpack_generators
from statewise.policy import Policy
from statewise.report.theory_pictures import risk_picture
from statewise.theory.reachability import Agreement, DoubleIntegrator, agreement, compare, make_grid

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "corridor.md"
PICTURE = ROOT / "docs" / "images" / "theory-corridor.png"
SYSTEM = DoubleIntegrator()
EPISODE_STEPS = 50
SAFE_STARTS = 0.7
"""Share of episodes that start in the maximal safe set; the others start anywhere in free space."""
PICTURED = ("sac-alam", 0)
CHANGES: dict[str, Any] = {"observation_normalization": True}


class Corridor(gymnasium.Env[NDArray[np.float64], NDArray[np.float32]]):
    """The double integrator as a plain Gymnasium environment; it observes (p, v)."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self) -> None:
        self._state = np.zeros(2)
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        super().reset(seed=seed)
        safe = self.np_random.random() < SAFE_STARTS
        low, high = SYSTEM.free[0][0], SYSTEM.free[-1][1]
        while True:
            self._state = self.np_random.uniform((low, -SYSTEM.top_speed), (high, SYSTEM.top_speed))
            p, v = self._state[:1], self._state[1:]
            if SYSTEM.is_safe(p, v)[0] or (not safe and SYSTEM.penetration(p)[0] <= 0.0):
                break
        self._steps = 0
        return self._state.copy(), {}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float64], float, bool, bool, dict[str, Any]]:
        p, v = self._state[:1], self._state[1:]
        p_next, v_next, worst = SYSTEM.advance(p, v, action.astype(np.float64))
        self._state = np.concatenate([p_next, v_next])
        self._steps += 1
        crashed = bool(worst[0] > 0.0)
        truncated = self._steps >= EPISODE_STEPS and not crashed
        return self._state.copy(), float(abs(p_next - p)[0]), crashed, truncated, {"cost": float(crashed)}

    def get_state(self) -> dict[str, NDArray[Any]]:
        generator = pack_generators([self.np_random])
        return {"state": self._state.copy(), "steps": np.array(self._steps), "generator": generator}

    def set_state(self, state: dict[str, NDArray[Any]]) -> None:
        self._state = np.array(state["state"])
        self._steps = int(state["steps"])
        (self.np_random,) = unpack_generators(state["generator"])


def own_agreement(policy: Policy) -> Agreement:
    """F̂ and λ against the states from which this policy itself doesn't crash within an episode."""
    p, v = make_grid(SYSTEM).states()
    inside = SYSTEM.penetration(p) <= 0.0
    obs = np.stack([p[inside], v[inside]], axis=-1)
    p, v = p[inside], v[inside]
    crashed = np.zeros(len(p), bool)
    for _ in range(EPISODE_STEPS):
        p, v, worst = SYSTEM.advance(p, v, policy.act(np.stack([p, v], axis=-1))[:, 0].astype(np.float64))
        crashed |= worst > 0.0
    lam, f = policy.risk(obs)
    return agreement(~crashed, f, lam, policy.about.config.threshold)


HEADER = """# A double integrator between obstacles

`python benchmarks/corridor.py`: the learned region {F̂ <= d} and λ against the maximal safe set, exactly known, over a
grid of states in free space; IoU (own) is against the states from which the policy itself doesn't crash within an
episode. False-safe: share of the unsafe states that count as safe; false-unsafe: share of the safe ones that don't. The
settings are those of `benchmarks/braking.py`, with standardised observations.

| method | seed | IoU | false-safe | false-unsafe | AUROC λ | IoU (own) | false-safe (own) | seconds |
|---|---|---|---|---|---|---|---|---|
"""


def row(method: str, seed: int, agent: Agent, seconds: float) -> str:
    """A line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        agent.save(Path(folder) / "policy")
        policy = Policy.read(Path(folder) / "policy")
    true = compare(policy.risk, SYSTEM, policy.about.config.threshold)
    own = own_agreement(policy)
    return (
        f"| {method} | {seed} | {true.iou:.3f} | {true.false_safe:.1%} | {true.false_unsafe:.1%} "
        f"| {true.lam_auroc:.3f} | {own.iou:.3f} | {own.false_safe:.1%} | {seconds:.0f} |"
    )


def read_rows(path: Path) -> dict[tuple[str, int], str]:
    """The lines of a table that is there already, by method and seed."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    cells = [(line, line.strip("| ").split(" | ")) for line in lines]
    return {(c[0], int(c[1])): line for line, c in cells if len(c) == 9 and c[1].isdigit()}


def main() -> None:
    """Train, compare, print, and write table and picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["sac-alam", "sac-lagnet"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    rows = read_rows(args.output)
    for seed in args.seeds:
        for method in args.methods:
            with tempfile.TemporaryDirectory() as root:
                began = time.monotonic()
                agent = train(method, seed, Path(root), Corridor, **CHANGES)
                rows[method, seed] = row(method, seed, agent, time.monotonic() - began)
                if (method, seed) == PICTURED:
                    risk_picture(agent.risk, SYSTEM, agent.config.threshold, args.picture)
            print(rows[method, seed], flush=True)
            args.output.write_text(HEADER + "\n".join(rows[key] for key in sorted(rows)) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
