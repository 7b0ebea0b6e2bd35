"""Whole rollouts of learning against the independent NumPy reference."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from support.core_bridge import mlp_net, reference_batch, to_float64
from support.learners import key
from support.onpolicy_learners import STEPS, WORLDS, costly_epoch, jit_epoch, on_policy_core
from support.onpolicy_reference import Adam, Learner, Net, Settings, learn

from statewise.onpolicy.core import OnPolicy, OnPolicyState
from statewise.onpolicy.improvement import GaussianPolicy, shuffled

LOOSE = 1e9

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ppo, clipped gradients": ("ppo", {"grad_clip": 0.02, "clip": 0.05, "target_kl": LOOSE, "binary_cost": False}),
    "p3o, hinge open": ("p3o", {"clip": 0.05, "target_kl": LOOSE, "kappa": 2, "gamma": 0.5, "episode_cost_limit": 0}),
    "p3o, ended early": ("p3o", {"target_kl": 1e-4, "update_epochs": 4}),
    "crpo on cost": ("crpo", {"cg_iterations": 60}),
    "crpo on reward": ("crpo", {"cg_iterations": 60, "episode_cost_limit": 50}),
}

REACHED: dict[str, Any] = {
    "ppo, clipped gradients": lambda f: f["lam"] == 0.0 and f["bounded"] > 0.1 and f["steps"] == 6,
    "p3o, hinge open": lambda f: f["lam"] == 2.0 and f["bounded"] > 0.1,
    "p3o, ended early": lambda f: 0.0 < f["lam"] < 20.0 and f["steps"] < 12 and f["update_kl"] > 1e-4,
    "crpo on cost": lambda f: f["lam"] == 1.0,
    "crpo on reward": lambda f: f["lam"] == 0.0,
}
"""What sets a case apart, in one of its rollouts at least, by the reference's figures."""


def settings(core: OnPolicy) -> Settings:
    c: Any = core.config
    return Settings(
        gamma=c.gamma,
        gae_lambda=c.gae_lambda,
        cost_limit=core.cost_limit,
        rate=c.learning_rate,
        total_epochs=c.total_epochs,
        target_kl=c.target_kl,
        binary_cost=c.binary_cost,
        clip=getattr(c, "clip", 0.0),
        kappa=getattr(c, "kappa", None),
        slack=getattr(c, "slack", 0.0),
        damping=getattr(c, "cg_damping", 0.0),
    )


def policy_net(policy: GaussianPolicy) -> Net:
    return [*mlp_net(policy.mean), to_float64(policy.log_std)]


def reference_learner(core: OnPolicy, state: OnPolicyState) -> Learner:
    nets = policy_net(state.policy), mlp_net(state.value), mlp_net(state.cost_value)
    names = ("policy", "value", "cost_value")
    opt = {name: Adam.start(net, core.config.grad_clip) for name, net in zip(names, nets, strict=True)}
    return Learner(*nets, opt, [], [], [])


def passes(core: OnPolicy, run_key: Any, rollout: int) -> dict[str, list[Any]]:
    """The minibatches that an update draws, by network."""
    c, count = core.config, WORLDS * STEPS
    key_value, key_cost, key_policy = jax.random.split(jax.random.fold_in(run_key, rollout), 3)
    keys = {
        "value": list(jax.random.split(key_value, c.update_epochs)),
        "cost_value": list(jax.random.split(key_cost, c.update_epochs)),
        "policy": [jax.random.fold_in(key_policy, number) for number in range(c.update_epochs)],
    }
    return {name: [np.asarray(shuffled(k, count, c.minibatch_size)) for k in each] for name, each in keys.items()}


@pytest.mark.parametrize("case", CASES)
def test_three_epochs_equal_the_reference(case: str) -> None:
    method, changes = CASES[case]
    core = on_policy_core(method, **{"learning_rate": 3e-3, **changes})
    state, run_key = core.init(key(1)), key(2)
    expected, figures_by_epoch = reference_learner(core, state), []
    for rollout in range(3):
        batch = costly_epoch(rollout)
        state, figures = jit_epoch(core)(state, batch, run_key)
        expected, wanted = learn(expected, reference_batch(batch), passes(core, run_key, rollout), settings(core))
        figures_by_epoch.append(wanted)
        for name in wanted.keys() - {"steps", "bounded"}:
            np.testing.assert_allclose(figures[name], wanted[name], rtol=1e-3, atol=1e-4, err_msg=name)
        pairs = {
            "policy": (policy_net(state.policy), expected.policy),
            "value": (mlp_net(state.value), expected.value),
            "cost_value": (mlp_net(state.cost_value), expected.cost_value),
        }
        for name, nets in pairs.items():
            for actual, array in zip(*nets, strict=True):
                np.testing.assert_allclose(actual, array, rtol=1e-4, atol=5e-5, err_msg=f"{name} in rollout {rollout}")
    assert any(REACHED[case](f) for f in figures_by_epoch)
    assert int(state.step) == sum(f["steps"] for f in figures_by_epoch)
    assert int(state.epoch) == 3
