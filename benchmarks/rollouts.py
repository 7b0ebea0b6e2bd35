"""Episodes of a fixed policy, or random steps against the clock, in this package's environments or in the original.

    python rollouts.py --task SafetyPointGoal1-v0 --policy policies/seek.py --episodes 100
    python3.10 rollouts.py --original --task SafetyPointGoal1-v0 --policy policies/seek.py --episodes 100
    python rollouts.py --task SafetyPointGoal1-v0 --steps 2000 --repeats 5

Runs on Python 3.10 too, since the original (safety-gymnasium 1.0.0) does. Prints one line of JSON.
A policy file defines `act(obs, task)`, obs [obs_dim] to action [act_dim] in [-1, 1].
"""

import argparse
import contextlib
import json
import runpy
import sys
import time
import warnings

import numpy as np


def make_original(task):
    """The original, made to return five values as ours do."""
    import safety_gymnasium  # pyright: ignore[reportMissingImports]

    return safety_gymnasium.make(task), lambda env, action: _five(env.step(action))


def _five(answer):
    obs, reward, cost, terminated, truncated, info = answer
    return obs, reward, terminated, truncated, {**info, "cost": cost}


def make_ours(task):
    """This package's environment as `gymnasium.make` gives it."""
    import gymnasium

    import statewise.envs  # noqa: F401  # registers the tasks

    return gymnasium.make(task), lambda env, action: env.step(action)


def play(env, step, act, task, episodes, seed):
    """Return, cost, goals met and length of each episode, and its seconds of processor time."""
    rows = []
    for episode in range(episodes):
        start = time.process_time()
        obs, _ = env.reset(seed=seed + episode)
        total, cost, goals, length, done = 0.0, 0.0, 0, 0, False
        while not done:
            obs, reward, terminated, truncated, info = step(env, act(obs, task))
            total, cost, length = total + float(reward), cost + float(info["cost"]), length + 1
            goals += bool(info.get("goal_met", False))
            done = terminated or truncated
        rows.append([total, cost, goals, length, time.process_time() - start])
    return {"episodes": rows}


def clock(env, step, steps, repeats, seed):
    """Processor seconds of a step and of a reset, each the median over repeats."""
    random = np.random.default_rng(seed)
    actions = random.uniform(-1.0, 1.0, (steps, env.action_space.shape[0]))
    per_step, per_reset = [], []
    for repeat in range(repeats + 1):
        start = time.process_time()
        env.reset(seed=seed + repeat)
        reset = time.process_time() - start
        done, start = False, time.process_time()
        for action in actions:
            if done:
                break
            _, _, terminated, truncated, _ = step(env, action)
            done = terminated or truncated
        if repeat:  # the first round warms up
            per_step.append((time.process_time() - start) / len(actions))
            per_reset.append(reset)
    return {"step": float(np.median(per_step)), "reset": float(np.median(per_reset))}


def main():
    """Do what the arguments ask, and print the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--original", action="store_true", help="safety-gymnasium rather than this package")
    parser.add_argument("--task", required=True)
    parser.add_argument("--policy", help="a Python file; without it, time random steps")
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--steps", type=int, default=400, help="random steps in one measurement, at most an episode")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1000)
    options = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env, step = (make_original if options.original else make_ours)(options.task)
        if options.policy is None:
            result = clock(env, step, options.steps, options.repeats, options.seed)
        else:
            act = runpy.run_path(options.policy)["act"]
            result = play(env, step, act, options.task, options.episodes, options.seed)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
