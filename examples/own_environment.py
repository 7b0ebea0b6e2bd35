"""From one's own Gymnasium environment to a policy that is watched at work: train, calibrate, export, monitor.

    python examples/own_environment.py                   # some two minutes on one core
    python examples/own_environment.py --steps 4000      # a look at how it goes; the policy has learned next to nothing

All that Statewise needs of an environment is `info["cost"]`: 1 in a step that must not be, 0 else.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box

from statewise import Agent
from statewise.monitor import RiskMonitor
from statewise.monitor.export import export_policy, write_numpy
from statewise.monitor.guard import Guarded
from statewise.monitor.numpy_runner import NumpyPolicy
from statewise.report.progress import progress_for

SECONDS, CLOSE, BRAKE, ACCELERATE = 0.1, 5.0, 6.0, 3.0


class Following(gymnasium.Env[np.ndarray, np.ndarray]):
    """A lorry in the slipstream of another one, which brakes when it likes: the closer, the better, but not below 5 m.

    Observed are the gap, m, and both speeds, m/s. The action goes from full brakes, −1, to full throttle, 1.
    """

    observation_space = Box(np.zeros(3), np.array([1000.0, 30.0, 30.0]), dtype=np.float64)
    action_space = Box(-1.0, 1.0, (1,), np.float32)
    velocity = (1,)
    """By choice: the entry that is a speed, so that the calibration looks at fast states too."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self._gap, self._speed = self.np_random.uniform((20.0, 10.0), (50.0, 20.0))
        self._ahead = self._wanted = self._speed
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        if self.np_random.random() < 0.03:
            self._wanted = self.np_random.uniform(3.0, 25.0)
        change = np.clip(self._wanted - self._ahead, -BRAKE * SECONDS, ACCELERATE * SECONDS)
        self._ahead += change
        push = float(action[0]) * (ACCELERATE if action[0] > 0.0 else BRAKE)
        self._speed = float(np.clip(self._speed + push * SECONDS, 0.0, 30.0))
        self._gap = max(self._gap + (self._ahead - self._speed) * SECONDS, 0.0)
        cost = float(self._gap < CLOSE)
        return self._observe(), max(1.0 - self._gap / 50.0, 0.0), False, False, {"cost": cost}

    def _observe(self) -> np.ndarray:
        return np.array([self._gap, self._speed, self._ahead])


def make() -> gymnasium.Env:
    """What Statewise is given: a function that makes the environment anew at every call."""
    return gymnasium.wrappers.TimeLimit(Following(), 300)


def brake(obs: np.ndarray) -> np.ndarray:
    """The fallback: full brakes."""
    return np.array([-1.0], np.float32)


def play(policy: NumpyPolicy, monitor: RiskMonitor, fallback: Any, episodes: int, stream: Any = None) -> str:
    """What episodes of the policy under a monitor bring, in words; the same ones whatever the fallback."""
    env = Guarded(make(), monitor, fallback, stream)
    total = np.zeros(4)
    for seed in range(episodes):
        obs, info = env.reset(seed=seed)
        over = False
        while not over:
            obs, reward, terminated, truncated, info = env.step(policy.act(obs))
            total += (reward, info["cost"], info["risk"]["alarm"], info["fallback"])
            over = terminated or truncated
    env.close()
    reward, cost, alarm, braked = total / episodes
    return f"return {reward:.1f}, cost {cost:.2f}, steps with an alarm {alarm:.1f}, braked {braked:.1f} an episode"


def main(steps: int = 100_000, episodes: int = 100, root: Path = Path("runs/own-environment")) -> None:
    """All of it; the run, its export and readings.jsonl are under `root`."""
    agent = Agent("sac-alam", make, total_steps=steps, warmup_steps=min(10_000, steps // 2), root=root)
    agent.learn(overwrite=True, progress=progress_for(sys.stderr.isatty()))

    report = agent.calibrate(episodes, seed=5_000_003, miss_rate=0.1, progress=progress_for(sys.stderr.isatty()))
    auroc, bound = (
        "none" if x is None else f"{x:.3g}" for x in (report["f"]["auroc"]["value"], report["f"]["alarm_above"])
    )
    print(f"F tells states before a violation from others: AUROC {auroc}")
    print(f"alarm above F = {bound} for a miss rate of 0.1, from {report['f']['violating_episodes']} episodes with one")

    path = root / "following.safetensors"
    write_numpy(path, export_policy(agent.policy, calibration=report))

    # From here on neither JAX nor the run is needed.
    policy = NumpyPolicy.load(path)
    # With too few violations the calibration promises nothing, and None stands for the policy's own threshold on F.
    monitor = RiskMonitor.load(path, alarm_above=policy.card["calibration"]["f"]["alarm_above"])
    print("watched  ", play(policy, monitor, None, episodes))
    with open(root / "readings.jsonl", "w") as stream:
        print("guarded  ", play(policy, monitor, brake, episodes, stream))
    print(f"readings  {stream.name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000, help="of training")
    parser.add_argument("--episodes", type=int, default=100, help="of the calibration, and as many watched ones")
    parser.add_argument("--root", type=Path, default=Path("runs/own-environment"), help="folder for what it writes")
    options = parser.parse_args()
    main(options.steps, options.episodes, options.root)
