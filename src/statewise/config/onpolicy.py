"""On-policy methods: PPO, and P3O and CRPO on its environments, networks and estimates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from statewise.config.run import Count, Fraction, NonNegative, Positive, Range, Real, RunConfig


@dataclass(frozen=True, kw_only=True)
class OnPolicyConfig(RunConfig):
    """What the on-policy methods share. The paper gives none of their settings; these are common public practice."""

    epoch_steps: Count = 20_000
    """Environment steps of a rollout, over all environments, that one policy plays; a multiple of num_envs."""
    hidden: tuple[int, ...] = (64, 64)
    """Units of each hidden layer, tanh."""
    gae_lambda: Fraction = 0.95
    """λ of the generalised advantage estimates of reward and cost (Schulman et al. 2016)."""
    learning_rate: Positive = 3e-4
    """Of policy and critics, by Adam, falling linearly to 0 over the run."""
    update_epochs: Count = 10
    """Passes over a rollout's steps in learning from them."""
    minibatch_size: Count = 64
    """Steps per gradient step; what is left over in a pass is left out."""
    grad_clip: Positive = 40.0
    """Largest gradient norm of each network."""
    log_std_init: Real = 0.0
    """Initial log-standard deviation of the actions, the same at all states."""
    observation_normalization: bool = True
    """Standardise the embedded observation by running statistics, which belong to the policy."""
    episode_cost_limit: NonNegative | None = None
    """The limit d_ep on an episode's cost; None takes what d means undiscounted, d(1 − γ)H for episodes of H steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epoch_steps % self.num_envs:
            raise ValueError(f"epoch_steps: {self.epoch_steps} must be a multiple of num_envs = {self.num_envs}")
        if self.minibatch_size > self.epoch_steps:
            raise ValueError(f"minibatch_size: {self.minibatch_size} must be at most epoch_steps = {self.epoch_steps}")

    @property
    def block_env_steps(self) -> int:
        """Environment steps of a rollout."""
        return self.epoch_steps

    @property
    def examples_per_step(self) -> float:
        """Transitions that the gradient steps take in for each environment step."""
        return float(self.update_epochs)

    @property
    def minibatches(self) -> int:
        """Gradient steps of one pass."""
        return self.epoch_steps // self.minibatch_size

    @property
    def total_epochs(self) -> int:
        """Epochs of the whole run; total_steps is rounded up to whole rollouts."""
        return -(-self.total_steps // self.epoch_steps)

    def cost_limit(self, episode_steps: int) -> float:
        """The value of d_ep for episodes of that length."""
        return super().cost_limit(episode_steps) if self.episode_cost_limit is None else self.episode_cost_limit


@dataclass(frozen=True, kw_only=True)
class PpoConfig(OnPolicyConfig):
    """PPO: clipped surrogate, unconstrained (Schulman et al. 2017)."""

    method: ClassVar[str] = "ppo"

    clip: Annotated[float, Range(above=0, high=1)] = 0.2
    """Largest change of the probability ratio that the surrogate rewards."""
    target_kl: Positive = 0.02
    """Passes end once the policy is this far from the one that played."""


@dataclass(frozen=True, kw_only=True)
class P3oConfig(PpoConfig):
    """P3O: PPO with an exact penalty on the cost surrogate (Zhang et al. 2022)."""

    method: ClassVar[str] = "p3o"

    kappa: NonNegative = 20.0
    """Penalty factor κ (Zhang et al. 2022)."""


@dataclass(frozen=True, kw_only=True)
class CrpoConfig(OnPolicyConfig):
    """CRPO: a trust-region step on reward where the cost is within its limit, else on cost (Xu et al. 2021)."""

    method: ClassVar[str] = "crpo"

    learning_rate: Positive = 1e-3
    """Of the critics, by Adam, falling linearly to 0 over the run; the policy has no rate."""
    minibatch_size: Count = 128
    """Steps per gradient step of the critics."""
    slack: NonNegative = 0.08
    """Tolerance η of the switch, as a share of the episode cost limit."""
    target_kl: Positive = 0.01
    """Radius of the trust region."""
    cg_iterations: Count = 15
    """Steps of the conjugate gradients (Schulman et al. 2015)."""
    cg_damping: NonNegative = 0.1
    """Multiple of the identity that is added to the Fisher matrix."""
    line_search_steps: Count = 15
    """Step lengths that are tried, the longest first."""
    line_search_decay: Annotated[float, Range(above=0, high=0.99)] = 0.8
    """Ratio of one step length to the one tried before."""
