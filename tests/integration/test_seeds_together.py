"""`learn_seeds(batched=True)`, what accelerators get: blocks of all seeds in one call, forced here on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.small_runs import TINY, TINY_ALAM, assert_alike, assert_same_files, folder_of

from statewise import Agent
from statewise.cli import main
from statewise.errors import DivergenceError
from statewise.sac.together import Together
from statewise.seeds import learn_seeds

SWIMMER = "SafetySwimmerVelocity-v1"
Groups = list[tuple[int, ...]]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    """Places of the learners of each call, as they are made."""
    made: Groups = []
    make = Together._make

    def watched(self: Together, step: int, places: list[int]) -> Any:
        made.append(tuple(places))
        return make(self, step, places)

    monkeypatch.setattr(Together, "_make", watched)
    return made


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Agent]:
    def make(seed: int, folder: str, **fields: Any) -> Agent:
        return Agent("sac-alam", SWIMMER, root=tmp_path / folder, seed=seed, **{**TINY_ALAM, **fields})

    return make


def test_each_seed_learns_what_it_learns_alone_to_rounding_also_resumed(
    make: Callable[..., Agent], groups: Groups
) -> None:
    alone = [make(seed, "alone").learn() for seed in range(3)]
    agents = [make(seed, "together") for seed in range(3)]
    assert set(learn_seeds(agents, batched=True, learn=lambda a: a.learn(80)).values()) == {None}
    assert set(groups) == {(0, 1, 2)}
    blocks = len(groups)
    again = [Agent.load(folder_of(agent)) for agent in agents]
    assert set(learn_seeds(again, batched=True).values()) == {None}
    assert set(groups) == {(0, 1, 2)}
    assert len(groups) > blocks
    for one, other in zip(again, alone, strict=True):
        assert_alike(one, other)
    assert not np.array_equal(again[0].learner.arrays()["q/w_obs"], again[1].learner.arrays()["q/w_obs"])


def test_seeds_at_other_steps_have_their_blocks_to_themselves(make: Callable[..., Agent], groups: Groups) -> None:
    """One begins behind the other's first blocks; the bits are those of runs alone."""
    alone = [make(seed, "alone").learn() for seed in range(2)]
    agents = [make(0, "together").learn(80), make(1, "together")]
    learn_seeds(agents, batched=True)
    assert set(groups) == {(0,), (1,)}
    assert_same_files(agents[1], alone[1])


def test_one_that_diverges_leaves_the_others_to_go_on(make: Callable[..., Agent], groups: Groups) -> None:
    agents = [make(seed, "together") for seed in range(2)]

    def learn(agent: Agent) -> None:
        agent.learn(80)
        if agent.config.seed == 0:
            raise DivergenceError("q_loss became nan at gradient step 7")
        agent.learn()

    errors = learn_seeds(agents, batched=True, learn=learn)
    assert {seed: str(error) for seed, error in errors.items() if error} == {0: "q_loss became nan at gradient step 7"}
    assert groups[0] == (0, 1)
    assert groups[-1] == (1,)
    assert_alike(agents[1], make(1, "alone").learn())


def test_a_call_that_fails_fails_every_seed_that_asked_for_it(
    make: Callable[..., Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Together, step: int, places: list[int]) -> Any:
        raise RuntimeError("RESOURCE_EXHAUSTED")

    monkeypatch.setattr(Together, "_make", refuse)
    errors = learn_seeds([make(seed, "together") for seed in range(2)], batched=True)
    assert [str(error) for error in errors.values()] == ["RESOURCE_EXHAUSTED"] * 2


def test_what_cannot_be_batched_is_said(make: Callable[..., Agent], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="batched: True is not allowed, as seed 1 differs from seed 0 in more than its"
    ):
        learn_seeds([make(0, "x"), make(1, "x", tau=0.1)], batched=True)
    on_policy = {name: value for name, value in TINY.items() if name not in ("block_length", "warmup_steps")}
    for name in ("batch_size", "replay_capacity", "learning_rate"):
        del on_policy[name]
    agents = [Agent("ppo", SWIMMER, root=tmp_path, seed=seed, **on_policy) for seed in range(2)]
    with pytest.raises(ValueError, match="batched: True is not allowed with ppo"):
        learn_seeds(agents, batched=True)


def test_the_command_line_asks_for_it(tmp_path: Path, groups: Groups) -> None:
    fields = [word for name, value in TINY_ALAM.items() for word in _flag(name, value)]
    command = ["train", "sac-alam", SWIMMER, "--root", str(tmp_path), "--quiet", "--seeds", "0", "1", *fields]
    assert main([*command, "--batch-seeds", "True"]) == 0
    assert set(groups) == {(0, 1)}


def _flag(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name.replace('_', '-')}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{name.replace('_', '-')}", *map(str, values)]
