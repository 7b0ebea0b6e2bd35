"""An exported policy answers as the original does: every method, every embedding, NumPy and ONNX, and one at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.exports import ACTION, OBS, observations, small_policy

from statewise.actions import rescale_action
from statewise.config import OnPolicyConfig
from statewise.errors import CheckpointError
from statewise.families import build_core
from statewise.methods import METHODS
from statewise.monitor import RiskMonitor
from statewise.monitor.export import Exported, export_policy, original, require_same_answers, write_numpy
from statewise.monitor.numpy_runner import NumpyPolicy
from statewise.monitor.onnx_graph import write_onnx
from statewise.monitor.onnx_runner import OnnxRisk
from statewise.policy import Policy
from statewise.sac.core import Sac

STATES = 10_000
TOLERANCE = 1e-5

VARIANTS: dict[str, dict[str, Any]] = {method: {"method": method} for method in METHODS} | {
    "paper": {"method": "sac-alam", "preset": "paper"},
    "quantiles": {"method": "sac-alam", "embedding": "quantiles"},
    "quantiles alone": {"method": "sac-alam", "embedding": "quantiles", "observation_normalization": False},
    "scalar form": {"method": "sac-alam", "multiplier_form": "scalar"},
    "greatest twin": {"method": "sac-lagnet", "cost_twins": "max", "n_cost_samples": 1},
}


class Original:
    """What JAX answers to `obs`, each state by itself: action, sampled action, λ and F̂."""

    def __init__(self, policy: Policy, obs: NDArray[np.float32], noise: NDArray[np.float32]) -> None:
        core = build_core(policy.about.config, policy.about.facts)
        action, self.lam, self.f = (np.asarray(x) for x in original(core, policy)(obs))
        self.action = rescale_action(action, policy.about.span)
        mean, log_std = policy.acting.moments(obs)
        z = mean + np.exp(log_std) * noise
        on_policy = isinstance(policy.about.config, OnPolicyConfig)
        self.sampled = rescale_action(z if on_policy else np.tanh(z), policy.about.span)


@pytest.fixture(scope="module")
def made() -> Any:
    """(policy, exported, original answers, observations, noise) by variant, each made once."""
    known: dict[str, Any] = {}

    def of(variant: str) -> tuple[Policy, Exported, Original, NDArray[np.float32], NDArray[np.float32]]:
        if variant not in known:
            policy = small_policy(**VARIANTS[variant])
            obs = observations(STATES)
            noise = np.random.default_rng(2).normal(size=(STATES, ACTION)).astype(np.float32)
            known[variant] = policy, export_policy(policy), Original(policy, obs, noise), obs, noise
        return known[variant]

    return of


def assert_close(found: Any, wanted: NDArray[Any]) -> None:
    """At most 1e-5 apart, relative to values beyond 1."""
    off = np.abs(np.asarray(found) - wanted) / np.maximum(np.abs(wanted), 1.0)
    assert float(off.max()) <= TOLERANCE


def assert_same_multiplier(exported: Exported, found: Any, wanted: Original) -> None:
    """λ agrees; where it jumps with F̂, in all states that aren't within rounding of a jump."""
    if exported.card["network"]["multiplier"] != "regions":
        assert_close(found, wanted.lam)
        return
    threshold = exported.card["cost_threshold"]
    borders = (threshold, threshold - float(exported.arrays["multiplier"][0]))
    clear = np.min([np.abs(wanted.f - border) for border in borders], axis=0) > TOLERANCE
    assert clear.mean() > 0.99
    assert len(np.unique(wanted.lam)) == 3
    assert_close(np.asarray(found)[clear], wanted.lam[clear])


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_numpy_answers_as_the_original_does(made: Any, variant: str) -> None:
    _, exported, wanted, obs, noise = made(variant)
    runner = exported.runner
    assert_close(runner.act(obs), wanted.action)
    assert_close(runner.act(obs, noise), wanted.sampled)
    lam, f = runner.risk(obs)
    assert_close(f, wanted.f)
    if lam is not None:
        assert_same_multiplier(exported, lam, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_onnx_answers_as_the_original_does(made: Any, variant: str, tmp_path: Path) -> None:
    _, exported, wanted, obs, noise = made(variant)
    path = tmp_path / "policy.onnx"
    write_onnx(path, exported)
    risk = OnnxRisk(path)
    assert risk.card == exported.card
    (action,) = risk.session.run(["action"], {"obs": obs})
    assert_close(action, wanted.action)
    (sampled, f, outside) = risk.session.run(["action", "f", "outside"], {"obs": obs, "noise": noise})
    assert_close(sampled, wanted.sampled)
    assert_close(f, wanted.f)
    assert not np.asarray(outside).any()
    outputs = [output.name for output in risk.session.get_outputs()]
    assert ("lam" in outputs) == (exported.card["network"]["multiplier"] is not None)
    if "lam" in outputs:
        assert_same_multiplier(exported, risk.session.run(["lam"], {"obs": obs})[0], wanted)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_one_at_a_time_answers_as_the_original_does(made: Any, variant: str) -> None:
    policy, exported, wanted, obs, _ = made(variant)
    monitor = RiskMonitor(exported.fused)
    readings = [monitor.step(row) for row in obs]
    assert_close([reading.f for reading in readings], wanted.f)
    assert not any(reading.outside or reading.fault for reading in readings)
    if "lam" in exported.card["absent"]:
        assert {reading.lam for reading in readings} == {None}
    else:
        assert_same_multiplier(exported, [reading.lam for reading in readings], wanted)
    assert_close(policy.risk(obs[3])[1], wanted.f[3])


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_entry_passes_that_is_no_number(made: Any, variant: str) -> None:
    _, exported, wanted, obs, _ = made(variant)
    fused = exported.fused
    for entry in range(OBS):
        for value in (np.nan, np.inf, -np.inf):
            bad = obs[0].copy()
            bad[entry] = value
            with pytest.raises(ValueError, match="obs: holds NaN or infinity"):
                fused.rate(bad)
        # And nothing of it is left for the next one.
        assert_close(fused.rate(obs[1])[1], wanted.f[1])


def test_methods_without_a_multiplier_say_so(made: Any) -> None:
    without = [name for name in METHODS if "lam" in made(name)[1].card["absent"]]
    assert without == ["sac", "ppo"]
    assert made("sac")[1].runner.risk(observations(3))[0] is None


def test_the_card(made: Any) -> None:
    policy, exported, *_ = made("sac-alam")
    card = exported.card
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert (card["task"], card["method"], card["observation"], card["action"]) == ("Test-v0", "sac-alam", OBS, ACTION)
    assert card["config_hash"] == policy.about.config.digest()
    assert card["cost_threshold"] == policy.about.config.threshold
    assert card["samples"] == len(exported.arrays["cost/noise"]) == 5
    assert "10 standard deviations" in card["range"]
    assert made("paper")[1].card["range"] is None
    assert "range" in made("paper")[1].card["absent"]
    assert len(card["limits"]) == 4


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_a_file_gives_the_same_answers_and_bytes(made: Any, kind: str, tmp_path: Path) -> None:
    _, exported, wanted, obs, _ = made("sac-alam")
    write = {"safetensors": write_numpy, "onnx": write_onnx}[kind]
    path, again = tmp_path / f"policy.{kind}", tmp_path / f"again.{kind}"
    write(path, exported)
    write(again, exported)
    assert path.read_bytes() == again.read_bytes()
    monitor = RiskMonitor.load(path)
    assert monitor.card == exported.card
    assert_close([monitor.step(row).f for row in obs[:100]], wanted.f[:100])


@pytest.mark.parametrize("kind", ["safetensors", "onnx"])
def test_a_damaged_file_is_refused(made: Any, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"policy.{kind}"
    {"safetensors": write_numpy, "onnx": write_onnx}[kind](path, made("sac-alam")[1])
    data = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"no such|cannot be read"):
        RiskMonitor.load(tmp_path / f"missing.{kind}")
    for place in np.random.default_rng(3).integers(0, len(data), 40):
        changed = bytearray(data)
        changed[place] ^= 4
        path.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"policy\."):
            RiskMonitor.load(path)
    path.write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match=r"policy\."):
        RiskMonitor.load(path)


def test_a_policy_is_not_yet_an_export(made: Any, tmp_path: Path) -> None:
    made("sac-alam")[0].write(tmp_path / "policy.safetensors")
    with pytest.raises(CheckpointError, match="statewise export RUN makes one"):
        NumpyPolicy.load(tmp_path / "policy.safetensors")


def test_networks_of_another_kind_are_refused() -> None:
    """A policy whose own answers aren't those of its arrays, as with another architecture."""
    policy = small_policy("sac-alam")
    core = build_core(policy.about.config, policy.about.facts)
    assert isinstance(core, Sac)

    class Halved(Sac):
        def act_greedily(self, policy: Any, embedding: Any, obs: Any) -> Any:
            return 0.5 * super().act_greedily(policy, embedding, obs)

    changed = Halved(core.config, core.dims, core.mechanism, core.reward_scale, core.proximity, core.networks)
    with pytest.raises(ValueError, match="action would be off by"):
        require_same_answers(export_policy(policy), changed, policy)


def test_states_of_a_batch_are_rated_by_themselves(made: Any) -> None:
    _, exported, _, obs, _ = made("sac-alam")
    lam, f = exported.runner.risk(obs[5])
    assert np.shape(lam) == np.shape(f) == ()
    np.testing.assert_allclose(f, exported.runner.risk(obs[:10])[1][5], rtol=1e-6, atol=1e-6)
    assert exported.runner.act(obs[5]).shape == (ACTION,)
