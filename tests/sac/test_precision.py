"""`precision` changes gradient steps alone, by no more than a rounding, and never networks that a user brings."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.learners import DIMS, dual_batch, jit_update, key, random_batch, small_config, small_sac, trees_equal

from statewise import runtime
from statewise.core.types import TaskFacts
from statewise.families import build_core
from statewise.runtime import compiler_options, product_precision
from statewise.sac.mechanism import DualInputs
from statewise.sac.networks import make_networks
from statewise.spec import make_config


@pytest.mark.parametrize("method", ["sac-alam", "sac-fpi"])
def test_acting_and_reading_are_in_float32_and_gradient_steps_are_not(method: str) -> None:
    exact, quick = small_sac(method), small_sac(method, precision="bfloat16")
    batch, state = random_batch(0), exact.init(key(1))
    assert trees_equal(state, quick.init(key(1)))
    same = [
        (sac.act(state.policy, state.embedding, batch.obs, key(2)), sac.risk(state, batch.obs, key(3)))
        for sac in (exact, quick)
    ]
    assert trees_equal(*same)
    after, figures = jit_update(exact)(state, batch, dual_batch(exact, 2), key(5))
    rounded, rounded_figures = jit_update(quick)(state, batch, dual_batch(quick, 2), key(5))
    assert not trees_equal(after.qc, rounded.qc)
    for name, value in figures.items():
        np.testing.assert_allclose(rounded_figures[name], value, rtol=0.05, atol=0.01, err_msg=name)


def test_rounding_does_not_turn_the_step_of_a_critic() -> None:
    """The cosine between the gradients of the first weights, exact and rounded."""
    exact, quick = small_sac("sac-alam"), small_sac("sac-alam", precision="bfloat16")
    batch, state = random_batch(0), exact.init(key(1))
    steps = []
    for sac in (exact, quick):
        nets = sac.training_nets
        gradient = jax.grad(lambda p, n=nets: n.q.at(p, batch.obs, batch.action).sum())(state.q)
        steps.append(np.asarray(gradient.w_obs, np.float64).ravel())
    a, b = steps
    assert not np.array_equal(a, b)
    assert a @ b / np.sqrt((a @ a) * (b @ b)) > 0.99


def test_networks_of_ones_own_are_taken_as_they_are() -> None:
    config = small_config("sac-alam", precision="bfloat16")
    networks = make_networks(config)
    assert build_core(config, TaskFacts(DIMS), networks).training_nets is networks
    assert build_core(config, TaskFacts(DIMS)).training_nets.q is not networks.q


def test_auto_is_bfloat16_where_the_processor_has_a_unit_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for unit, meant in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(runtime, "has_amx", lambda unit=unit: unit)
        assert product_precision("auto") == meant
        assert product_precision("float32") == "float32"
        assert product_precision("bfloat16") == "bfloat16"
        assert runtime.machine()["amx"] == ("yes" if unit else "no")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(runtime, "has_amx", lambda: True)
    assert product_precision("auto") == "float32"


def test_the_compiler_keeps_its_library_for_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    library = "xla_cpu_experimental_ynn_fusion_type"
    assert compiler_options("float32") == {**compiler_options("bfloat16"), library: ""}
    assert len(compiler_options("bfloat16")) == 2
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiler_options.cache_clear()
    assert compiler_options("float32") == {}
    compiler_options.cache_clear()


def test_an_option_that_this_xla_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_with = jax.jit

    def older(function: Any, *, compiler_options: dict[str, str]) -> Any:
        if "xla_cpu_scheduler_type" in compiler_options:
            compiler_options = {"xla_cpu_no_such_option": "1"}
        return compile_with(function, compiler_options=compiler_options)

    everything = compiler_options("bfloat16")
    monkeypatch.setattr(jax, "jit", older)
    compiler_options.cache_clear()
    left = compiler_options("bfloat16")
    compiler_options.cache_clear()
    assert set(everything) - set(left) == {"xla_cpu_scheduler_type"}


def test_the_multiplier_learns_in_bfloat16_and_is_read_in_float32() -> None:
    exact, quick = small_sac("sac-alam"), small_sac("sac-alam", precision="bfloat16")
    obs = random_batch(0).obs
    state, f = exact.init(key(1)), jnp.zeros(len(obs))
    read, read_quickly = (sac.mechanism.lam(state.mechanism, obs, f) for sac in (exact, quick))
    np.testing.assert_array_equal(read, read_quickly)
    inputs = DualInputs(obs[None], jnp.ones((1, len(obs))))
    learned = []
    for sac in (exact, quick):
        assert sac.mechanism.update is not None
        learned.append(sac.mechanism.update(state.mechanism, inputs)[0].params)
    assert not trees_equal(*learned)
    for a, b, start in zip(*map(jax.tree.leaves, (*learned, state.mechanism.params)), strict=True):
        assert np.abs(a - b).max() < 0.2 * np.abs(a - start).max() + 1e-7


def test_the_paper_s_preset_is_in_float32() -> None:
    assert make_config("sac-alam", "paper").to_dict()["precision"] == "float32"
    assert make_config("sac-alam", "standard").to_dict()["precision"] == "auto"
