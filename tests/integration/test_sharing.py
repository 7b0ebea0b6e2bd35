"""Threads share an agent; processes don't, and are told so instead of hanging."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box
from support.small_runs import TINY, MakeAgent, folder_of
from support.toys import ExactPoint

from statewise import Agent
from statewise.policy import Policy

ROOT = Path(__file__).parents[2]
TINY_PPO: dict[str, Any] = {
    "preset": "paper",
    "total_steps": 192,
    "num_envs": 2,
    "threads": 1,
    "epoch_steps": 64,
    "minibatch_size": 16,
    "update_epochs": 2,
    "hidden": (8, 8),
    "eval_interval": 128,
    "eval_envs": 2,
}


def checkpoints_of(agent: Agent) -> dict[str, bytes]:
    """The bytes of an agent's checkpoints, by their names."""
    return {path.name: path.read_bytes() for path in (folder_of(agent) / "checkpoints").iterdir()}


@pytest.mark.parametrize(("method", "fields"), [("sac", TINY), ("ppo", TINY_PPO)])
def test_a_policy_is_used_while_another_thread_trains_it(method: str, fields: dict[str, Any], tmp_path: Path) -> None:
    agent = Agent(method, ExactPoint, root=tmp_path / "shared", **fields)
    ended = threading.Event()
    raised: list[BaseException] = []
    answers = 0

    def use() -> None:
        nonlocal answers
        obs = np.zeros((3, 2))
        while not ended.is_set() and not raised:
            try:
                agent.predict(obs)
                agent.predict(obs, deterministic=False)
                agent.risk(obs)
                agent.save(tmp_path / "meanwhile.safetensors")
                answers += 1
            except BaseException as error:
                raised.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    try:
        agent.learn()
    finally:
        ended.set()
        thread.join()
    assert raised == []
    assert answers > 0
    Policy.read(tmp_path / "meanwhile.safetensors")
    alone = Agent(method, ExactPoint, root=tmp_path / "alone", **fields).learn()
    assert checkpoints_of(agent) == checkpoints_of(alone)


def test_an_agent_says_how_it_gets_to_another_process(tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint)
    with pytest.raises(TypeError, match=r"an Agent can't be pickled .* save\(path\) it, and Agent\.load\(path\)"):
        copy.deepcopy(agent)
    with pytest.raises(TypeError, match=r"a Policy can't be pickled .* write\(path\) it, and Policy\.read\(path\)"):
        copy.copy(agent.policy)


FORK = """
import multiprocessing, sys, warnings
warnings.simplefilter("ignore")
sys.path[:0] = sys.argv[1:]
from statewise import Agent
from support.small_runs import TINY
from support.toys import ExactPoint

agent = Agent("sac", ExactPoint, **TINY)
agent.predict([0.0, 0.0])

def tell(queue, attempt):
    try:
        queue.put(str(attempt()))
    except Exception as error:
        queue.put(f"{type(error).__name__}: {error}")

context = multiprocessing.get_context("fork")
for attempt in (lambda: agent.predict([0.0, 0.0]), lambda: Agent("sac", ExactPoint, **TINY)):
    queue = context.SimpleQueue()
    child = context.Process(target=tell, args=(queue, attempt))
    child.start()
    child.join(60)
    print("hangs" if child.is_alive() else queue.get())
    child.kill()
"""


def test_a_forked_process_is_told_instead_of_hanging() -> None:
    command = [sys.executable, "-c", FORK, str(ROOT / "tests")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    said = done.stdout.splitlines()
    assert len(said) == 2, done.stderr
    assert all(re.match(r"RuntimeError: this process was forked .*get_context\('spawn'\)", line) for line in said), said


def test_the_recipe_for_several_processes(tmp_path: Path) -> None:
    """The block of docs/runs.md, with runs that take a second."""
    section = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8").split("## Several processes", 1)[1]
    script = section.split("```python\n", 1)[1].split("```", 1)[0]
    assert "total_steps=100_000" in script
    tiny = "total_steps=16, num_envs=2, block_length=8, hidden=(8, 8), eval_envs=1"  # the warm-up alone
    (tmp_path / "recipe.py").write_text(script.replace("total_steps=100_000", tiny).replace("range(4)", "range(2)"))
    done = subprocess.run(
        [sys.executable, "recipe.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 2
    assert len(list(tmp_path.glob("runs/*/sac-alam/seed-*/checkpoints/best.safetensors"))) == 2


class Wide(ExactPoint):
    """A point that observes more."""

    observation_space = Box(-np.inf, np.inf, (3,), np.float64)

    def reset(self, **options: Any) -> Any:
        obs, info = super().reset(**options)
        return np.append(obs, 0.0), info

    def step(self, action: Any) -> Any:
        obs, *rest = super().step(action)
        return np.append(obs, 0.0), *rest


def test_an_environment_of_another_shape_is_refused(tiny_agent: MakeAgent, tmp_path: Path) -> None:
    tiny_agent(ExactPoint).save(tmp_path / "policy.safetensors")
    loaded = Agent.load(tmp_path / "policy.safetensors", Wide)
    with pytest.raises(ValueError, match=r"env: Wide has 3 observations and 1 actions; .* was trained on 2 and 1"):
        loaded.evaluate(1)
