"""The example of a method of one's own: trained, loaded and resumed like a native one, from the command line too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from support.small_runs import TINY, folder_of
from support.toys import ExactPoint

from statewise import Agent
from statewise.cli import main
from statewise.config import SacConfig
from statewise.errors import RunError
from statewise.methods import METHODS, build_method, find_method
from statewise.sac.mechanism import ActorTerms
from statewise.spec import RunSpec, make_config
from statewise.storage.metrics import read
from statewise.storage.run_folder import RunFolder

MODULE = "custom_mechanism"
NAME = f"{MODULE}:sac-penalty"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples can be imported; afterwards the method is forgotten, as other tests go through all."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    yield
    sys.modules.pop(MODULE, None)
    METHODS.pop("sac-penalty", None)


def test_its_loss_by_hand() -> None:
    """α log π − Q + 10·relu(F̂ − 0.1)²/2 with α log π = 0.5, Q = 2: at F̂ = 0.05 and 0.6."""
    config = make_config(NAME)
    assert isinstance(config, SacConfig)
    mechanism = build_method(config)
    obs, half, f = jnp.zeros((2, 3)), jnp.full(2, 0.5), jnp.array([0.05, 0.6])
    terms = ActorTerms(obs, jnp.zeros((2, 1)), half, 4.0 * half, f, jnp.zeros(2))
    np.testing.assert_allclose(mechanism.actor_loss((), terms), [-1.5, -0.25], rtol=1e-6)
    np.testing.assert_allclose(mechanism.lam((), obs, f), [0.0, 5.0], rtol=1e-6)


def test_a_run_says_where_its_method_is_from_and_another_process_finds_it(tmp_path: Path) -> None:
    agent = Agent(NAME, ExactPoint, root=tmp_path, stiffness=20.0, **TINY).learn(80)
    run = folder_of(agent)
    assert run.parent.name == "sac-penalty"
    assert set(read(run / "metrics.csv").drop_nulls("stiffness")["stiffness"]) == {20.0}
    # What another process knows: nothing but the folder.
    sys.modules.pop(MODULE)
    METHODS.pop("sac-penalty")
    with pytest.raises(RunError, match=f"--allow-module {MODULE}"):
        RunSpec.read(RunFolder.open(run).config_path)
    loaded = Agent.load(run, ExactPoint, allow_modules=(MODULE,))
    assert RunSpec.read(RunFolder.open(run).config_path).config.to_dict()["stiffness"] == 20.0
    obs = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(loaded.predict(obs), agent.predict(obs))
    loaded.learn(160)
    assert int(loaded.policy.acting.state.step) > int(agent.policy.acting.state.step)


def test_its_fields_are_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", NAME]) == 0
    assert '"stiffness": 10.0' in capsys.readouterr().out
    assert main(["train", NAME, "SafetySwimmerVelocity-v1", "--stiffness", "-1"]) == 2
    assert "stiffness: -1.0 is not allowed" in capsys.readouterr().err


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="method: module 'nowhere' of 'nowhere:sac-x' can't be imported"):
        find_method("nowhere:sac-x")
    with pytest.raises(ValueError, match="method: 'sac-x' is unknown"):
        find_method(f"{MODULE}:sac-x")
