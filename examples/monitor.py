"""Watch a trained policy, and brake where it is at risk.

statewise train sac-alam SafetyPointGoal1-v0 --preset demo
statewise export runs/SafetyPointGoal1-v0/sac-alam/seed-0-... -o policy.safetensors
python examples/monitor.py policy.safetensors
"""

import sys
from contextlib import ExitStack

import gymnasium
import numpy as np

import statewise.envs  # noqa: F401  # makes the native tasks known to Gymnasium
from statewise.monitor import RiskMonitor
from statewise.monitor.guard import Guarded
from statewise.monitor.numpy_runner import NumpyPolicy


def brake(obs: np.ndarray) -> np.ndarray:
    """Force against the Point robot's forward speed (entry 3), within its 0.05 N."""
    return np.array([-np.clip(obs[3], -0.05, 0.05), 0.0], np.float32)


def main(path: str, steps: int = 1000) -> None:
    """Play one episode; every reading goes to readings.jsonl."""
    policy, monitor = NumpyPolicy.load(path), RiskMonitor.load(path)
    with ExitStack() as stack:
        stream = stack.enter_context(open("readings.jsonl", "w"))
        env = Guarded(gymnasium.make(policy.card["task"]), monitor, fallback=brake, stream=stream)
        stack.callback(env.close)
        obs, info = env.reset(seed=0)
        cost = braked = 0.0
        for _ in range(steps):
            obs, _, terminated, truncated, info = env.step(policy.act(obs))
            cost, braked = cost + info["cost"], braked + info["fallback"]
            if terminated or truncated:
                break
    print(f"cost {cost:g}, braked in {braked:g} steps, last F {info['risk']['f']:.3f}; readings.jsonl has them all")


if __name__ == "__main__":
    main(sys.argv[1])
