"""OmniSafe's SACLag against the clock, on SafetyPointGoal1-v0: its gradient step, or its own training loop.

    python3.10 peer_omnisafe.py --seconds 5                 # gradient steps on a filled buffer
    python3.10 peer_omnisafe.py --epochs 1 --worlds 1       # epochs of 2000 environment steps, after a first one

Runs on Python 3.10, since OmniSafe 0.5.0 does; `peers.py` installs it and calls this. Prints one line of JSON, wall
clock and processor time in seconds. Two torch threads, batch 256, automatic temperature, no policy delay, the
multiplier moved at every update, no evaluation; the rest is OmniSafe's configuration of the task.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time

TASK = "SafetyPointGoal1-v0"
EPOCH = 2000
BATCH = 256


def make(worlds, epochs, start, multiplier_after):
    """The algorithm, ready to learn; random actions up to step `start`, the multiplier still up to an epoch."""
    import omnisafe  # pyright: ignore[reportMissingImports]

    algorithm = {
        "steps_per_epoch": EPOCH,
        "update_cycle": 2,  # steps of every world between two updates
        "update_iters": worlds,  # so that there is half a gradient step for every environment step
        "batch_size": BATCH // worlds,  # it takes as many transitions from every world
        "size": 100_000 // worlds,
        "start_learning_steps": start,
        "warmup_epochs": multiplier_after,
        "policy_delay": 1,
        "auto_alpha": True,
    }
    training = {"total_steps": epochs * EPOCH, "vector_env_nums": worlds, "torch_threads": 2, "eval_episodes": 0}
    logger = {"use_tensorboard": False, "use_wandb": False}
    custom = {"train_cfgs": training, "algo_cfgs": algorithm, "logger_cfgs": logger}
    return omnisafe.Agent("SACLag", TASK, custom_cfgs=custom).agent


def clocks():
    """Wall clock and processor time."""
    return time.perf_counter(), time.process_time()


def gradient_step(seconds):
    """Time of one gradient step, sampling included, as the median over blocks of 10."""
    algorithm = make(worlds=1, epochs=1, start=EPOCH, multiplier_after=-1)
    # A whole episode, as the multiplier moves by the cost of the episodes that ended.
    algorithm._env.rollout(1000, algorithm._actor_critic, algorithm._buf, algorithm.logger, use_rand_action=True)
    for _ in range(10):
        algorithm._update()
    blocks, end = [], time.perf_counter() + seconds
    while len(blocks) < 3 or time.perf_counter() < end:
        before = clocks()
        for _ in range(10):
            algorithm._update()
        blocks.append([(after - then) / 10 for then, after in zip(before, clocks(), strict=True)])
    wall, cpu = (sorted(times)[len(times) // 2] for times in zip(*blocks, strict=True))
    return {"wall": wall, "cpu": cpu}


def training(epochs, worlds):
    """Time of one environment step in its training loop; a first epoch warms up and isn't counted.

    The first epoch acts at random where there is one world. With more OmniSafe 0.5.0 hangs then, as it makes one random
    action for all of them, so they follow the policy and learn from the start.
    """
    algorithm = make(worlds, 1 + epochs, start=EPOCH - 1 if worlds == 1 else -1, multiplier_after=0)
    borders, log = [], algorithm.logger.dump_tabular

    def log_and_note():
        log()
        borders.append(clocks())

    algorithm.logger.dump_tabular = log_and_note  # what its loop calls at the end of every epoch
    algorithm.learn()
    first, last = borders[0], borders[-1]
    wall, cpu = ((after - then) / (epochs * EPOCH) for then, after in zip(first, last, strict=True))
    return {"wall": wall, "cpu": cpu if worlds == 1 else None}  # more worlds are processes of their own


def main():
    """Do what the arguments ask, in a temporary folder, and print the result as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to take gradient steps")
    parser.add_argument("--epochs", type=int, help="time this many epochs of training instead")
    parser.add_argument("--worlds", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        os.chdir(folder)  # OmniSafe writes its runs below the working directory
        result = training(options.epochs, options.worlds) if options.epochs else gradient_step(options.seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
