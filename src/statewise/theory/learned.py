"""The same problem with a network as multiplier, learning from samples: the mechanisms as they ship, λ* being known.

Of the theorem's assumptions one is dropped, that any function of the state can be had exactly. Policy steps stay exact,
so what differs between two methods is how the multiplier moves.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from statewise.config import AlamConfig, MultiplierConfig
from statewise.core.types import Dims
from statewise.methods import build_method
from statewise.sac.mechanism import DualInputs
from statewise.theory.problem import Floats, Problem
from statewise.theory.updates import policy_step

WAVES = 8


class Learned(NamedTuple):
    """What C dual cycles went through: lam [C + 1, N] and rho [C + 1] with their start, policy [C, N]."""

    lam: Floats
    policy: Floats
    rho: Floats

    def distances(self, lam: Floats) -> Floats:
        """‖λ_w − λ‖/‖λ‖ [C + 1]."""
        return np.sqrt(np.mean(np.square(self.lam - lam), axis=-1) / np.mean(np.square(lam)))


def observe(states: Floats) -> NDArray[np.float32]:
    """What a network sees of x [N]: cos πkx for k = 1 … 8, [N, 8]."""
    return np.cos(np.pi * np.outer(states, np.arange(1, WAVES + 1))).astype(np.float32)


def learn(problem: Problem, config: MultiplierConfig, cycles: int) -> Learned:
    """Dual cycles of the method of `config`, each behind an exact policy step, on minibatches of states.

    The policy minimises the augmented Lagrangian with the method's ρ or, where the method has none, the plain one. Of
    the configuration count the multiplier's fields, `hidden`, `batch_size`, `optimizer`, `dual_steps` and `seed`.
    """
    mechanism = build_method(config)
    assert mechanism.multiplier is not None
    assert mechanism.update is not None
    update, multiplier = jax.jit(mechanism.update), jax.jit(mechanism.multiplier)
    augmented = isinstance(config, AlamConfig) and config.penalty == "augmented"
    obs, rng = observe(problem.states), np.random.default_rng(config.seed)
    state = mechanism.init(jax.random.PRNGKey(config.seed), Dims(WAVES, 1))
    policy = np.zeros_like(problem.bound)

    def lam_now() -> Floats:
        return np.asarray(multiplier(state, obs, np.zeros(len(obs), np.float32)), np.float64)

    lams, policies, rhos = [lam_now()], [], [float(state.rho)]
    for _ in range(cycles):
        policy = policy_step(problem, lams[-1], rhos[-1] if augmented else 0.0, policy)
        f = problem.constraint(policy).astype(np.float32)
        drawn = rng.integers(len(obs), size=(config.dual_steps, config.batch_size))
        state, _ = update(state, DualInputs(jnp.asarray(obs[drawn]), jnp.asarray(f[drawn])))
        lams.append(lam_now())
        policies.append(policy)
        rhos.append(float(state.rho))
    return Learned(np.array(lams), np.array(policies), np.array(rhos))
