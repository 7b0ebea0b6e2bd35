"""Soft actor-critic and the methods on its backbone; a default that isn't in the paper's Table I says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from statewise.config.run import Count, Fraction, NonNegative, Part, Positive, Range, Real, RunConfig, Whole


@dataclass(frozen=True, kw_only=True)
class SacConfig(RunConfig):
    """Plain soft actor-critic, and the backbone of every off-policy method (the isolation rule)."""

    method: ClassVar[str] = "sac"

    warmup_steps: Whole = 10_000
    """Uniformly random environment steps before learning starts. The paper is silent."""
    update_ratio: Positive = 0.5
    """Gradient steps per environment step. The paper is silent."""
    block_length: Count = 16
    """Steps of all environments between two blocks of gradient steps; the policy is constant meanwhile."""
    replay_capacity: Count = 2_000_000
    """Transitions kept for replay (Table I)."""
    batch_size: Count = 256
    """Transitions per gradient step (Table I)."""
    tau: Annotated[float, Range(above=0, high=1)] = 0.005
    """Step of the target networks towards the critics. The paper is silent."""
    learning_rate: Positive = 1e-4
    """Of policy, critics and temperature (Table I)."""
    optimizer: Literal["rad", "adam"] = "rad"
    """RAD (Table I), or Adam as its control."""
    zeta: Annotated[float, Range(above=0, high=1)] | None = None
    """RAD's ζ: None anneals it over the run, a number fixes it."""
    grad_clip: Positive = 40.0
    """Largest gradient norm of each network. The paper is silent."""
    alpha_init: Positive = 1.0
    """Initial temperature. The paper is silent."""
    target_entropy: Real | None = None
    """Entropy that the temperature steers to; None means −dim(A) (Table I)."""
    reward_scale: Positive | None = None
    """Factor on training rewards; None: the task's own (0.01 on Velocity tasks but Swimmer). The paper is silent."""
    feasibility: Literal["cvf", "cdf", "hjr"] = "cvf"
    """Feasibility function F: cost value (the paper's), constraint decay, Hamilton–Jacobi reachability."""
    feasibility_gamma: Fraction = 0.97
    """Discount γ_c of `cdf`; `cvf` and `hjr` use gamma."""
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    """Matrix products of gradient steps (not of acting): auto is bfloat16 on processors with AMX, else float32."""
    n_cost_samples: Count = 5
    """Actions K that F̂(x) averages over (Table I)."""
    reward_twins: Literal["min", "mean"] = "min"
    """How twin reward critics become one value, in targets and in the actor's loss (the paper: min)."""
    cost_twins: Literal["max", "mean"] = "max"
    """How twin cost critics become one value, in targets and in F̂ (the paper: max)."""
    penalty_unit: Literal["one", "q_range"] = "one"
    """What λ, ρ and multiplier_max are multiples of: 1 (the paper), or the running range of the reward critic."""

    def __post_init__(self) -> None:
        super().__post_init__()
        steps = self.block_length * self.num_envs * self.update_ratio
        if steps > 1e9 or abs(steps - round(steps)) > 1e-9 or round(steps) < 1:
            raise ValueError(
                f"update_ratio: {self.update_ratio:g} × block_length {self.block_length} × num_envs {self.num_envs}"
                f" is {steps:g} gradient steps a block; it must be a whole number from 1 to 10⁹"
            )
        if self.replay_capacity < self.batch_size:
            raise ValueError(f"replay_capacity: {self.replay_capacity} must be at least batch_size = {self.batch_size}")
        if self.feasibility == "cdf" and not self.binary_cost:
            raise ValueError(
                "binary_cost: False is not allowed with feasibility = cdf, which discounts the steps to a violation"
                " and so needs a cost of 0 or 1"
            )

    @property
    def block_env_steps(self) -> int:
        """Environment steps between two blocks of gradient steps."""
        return self.block_length * self.num_envs

    @property
    def block_updates(self) -> int:
        """Gradient steps of one block."""
        return round(self.block_env_steps * self.update_ratio)

    @property
    def learning_starts(self) -> int:
        """Environment steps after which the first block of gradient steps runs: whole blocks, never none."""
        blocks = -(-max(self.warmup_steps, 1) // self.block_env_steps)
        return blocks * self.block_env_steps

    @property
    def total_blocks(self) -> int:
        """Blocks of the whole run; total_steps is rounded up to whole blocks."""
        return -(-self.total_steps // self.block_env_steps)

    @property
    def total_updates(self) -> int:
        """Gradient steps of the whole run, RAD's N; at least 1."""
        learning = self.total_blocks - self.learning_starts // self.block_env_steps + 1
        return max(1, learning * self.block_updates)

    @property
    def threshold(self) -> float:
        """The value of d: `cost_threshold`, or its default for the feasibility function."""
        if self.cost_threshold is None and self.feasibility == "hjr":
            return 0.0
        return super().threshold

    @property
    def examples_per_step(self) -> float:
        """Transitions that the gradient steps take in for each environment step."""
        return self.update_ratio * self.batch_size


# Parts of a configuration: each is one thing that several methods have, and a method's configuration is the backbone
# with its parts. A part's defaults are what most of its methods have; a method names those of its own.


@dataclass(frozen=True, kw_only=True)
class DualPart(Part):
    """When a multiplier moves."""

    dual_interval: Count = 200
    """Gradient steps m_λ between two dual cycles (Table I)."""
    dual_steps: Count = 5
    """Optimiser steps of a dual cycle, each on a fresh minibatch (Table I)."""
    dual_start: Whole = 0
    """Gradient steps before the first dual cycle. Beyond the paper."""


@dataclass(frozen=True, kw_only=True)
class NetworkPart(Part):
    """A multiplier that is a network λ(x)."""

    multiplier_learning_rate: Positive = 1e-5
    """Of the multiplier network (Table I)."""
    multiplier_bias: Real = -3.0
    """Initial output bias before the softplus: λ₀ ≈ 0.05. The paper is silent."""
    multiplier_grad_clip: Positive = 40.0
    """Largest gradient norm of the multiplier network. The paper is silent."""
    multiplier_max: Positive | None = None
    """Upper end of the dual target (an ascent step goes no further up there); None leaves it open (the paper)."""


@dataclass(frozen=True, kw_only=True)
class PenaltyPart(Part):
    """The quadratic penalty's factor ρ."""

    rho_init: Positive = 1.0
    """Initial penalty factor ρ₀. The paper is silent."""
    rho_growth: Annotated[float, Range(low=1)] = 1.01
    """Penalty scaling factor σ (Table I)."""
    rho_max: Positive = 5.0
    """Largest penalty factor (Table I)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho_max < self.rho_init:
            raise ValueError(f"rho_max: {self.rho_max:g} must be at least rho_init = {self.rho_init:g}")


@dataclass(frozen=True, kw_only=True)
class MultiplierConfig(NetworkPart, DualPart, SacConfig):
    """What the methods have whose multiplier is a network."""

    @property
    def total_dual_steps(self) -> int:
        """Optimiser steps of the multiplier over the whole run, its own N of RAD; at least 1."""
        cycles = self.total_updates // self.dual_interval - self.dual_start // self.dual_interval
        return max(1, cycles * self.dual_steps)


@dataclass(frozen=True, kw_only=True)
class AlamConfig(PenaltyPart, MultiplierConfig):
    """SAC-ALaM: augmented penalty, multiplier network by regression towards the dual target.

    Its own fields span its ablations; ρ is fixed by rho_growth = 1.
    """

    method: ClassVar[str] = "sac-alam"

    penalty: Literal["augmented", "linear"] = "augmented"
    """Penalty on the actor's loss: λu + ρu²/2 (the paper's), or λG."""
    multiplier_update: Literal["regression", "ascent"] = "regression"
    """Inner step of a dual cycle: towards the dual target (the paper's), or up the gradient of the Lagrangian."""
    multiplier_form: Literal["network", "scalar"] = "network"
    """The multiplier: λ(x) (the paper's), or one number for all states, which moves by the same inner steps."""


@dataclass(frozen=True, kw_only=True)
class AlamGaConfig(AlamConfig):
    """SAC-ALaM-GA: the ablation; gradient ascent in place of the regression."""

    method: ClassVar[str] = "sac-alam-ga"

    multiplier_update: Literal["regression", "ascent"] = "ascent"
    """Inner step of a dual cycle: what sets the ablation apart."""


@dataclass(frozen=True, kw_only=True)
class LagNetConfig(MultiplierConfig):
    """SAC-LagNet (FAC): linear penalty, multiplier network by gradient ascent."""

    method: ClassVar[str] = "sac-lagnet"

    dual_interval: Count = 10
    """Gradient steps between two ascent steps (FAC's public practice)."""
    dual_steps: Count = 1
    """Ascent steps of a dual cycle."""
    multiplier_grad_clip: Positive = 3.0
    """Largest gradient norm of the multiplier network (FAC's public practice)."""


@dataclass(frozen=True, kw_only=True)
class ScalarConfig(DualPart, SacConfig):
    """What the methods have whose multiplier is one number λ."""

    dual_interval: Count = 10
    """Gradient steps between two updates of λ. The paper is silent."""
    dual_steps: Count = 1
    """Minibatches that an update of λ takes the mean of G over."""


@dataclass(frozen=True, kw_only=True)
class LagConfig(ScalarConfig):
    """SAC-Lag: linear penalty, scalar multiplier by gradient ascent."""

    method: ClassVar[str] = "sac-lag"

    lambda_learning_rate: Positive = 1e-4
    """Of λ, by Adam. The paper is silent; as the other networks (Table I)."""
    lambda_init: Annotated[float, Range(low=0)] = 0.0
    """Initial multiplier. The paper is silent."""


@dataclass(frozen=True, kw_only=True)
class PidConfig(ScalarConfig):
    """SAC-PID: linear penalty, scalar multiplier by a PID controller."""

    method: ClassVar[str] = "sac-pid"

    pid_kp: Annotated[float, Range(low=0)] = 0.5
    """Proportional gain. Published gains (Stooke et al. 2020) are on episode cost; this one is on mean G."""
    pid_ki: Annotated[float, Range(low=0)] = 1e-4
    """Integral gain, on mean G."""
    pid_kd: Annotated[float, Range(low=0)] = 0.1
    """Derivative gain, on mean F̂."""
    pid_smoothing: Fraction = 0.95
    """Decay of the exponential means that the proportional and the derivative part read (Stooke et al. 2020)."""
    pid_delay: Count = 10
    """Updates between the two values whose difference is the derivative (Stooke et al. 2020)."""


@dataclass(frozen=True, kw_only=True)
class AsacConfig(PenaltyPart, ScalarConfig):
    """ASAC: augmented Lagrangian, scalar multiplier; λ and ρ move as often as SAC-ALaM's, the paper being silent."""

    method: ClassVar[str] = "asac"

    dual_interval: Count = 200
    """Gradient steps between two updates of λ and ρ. The paper is silent; as SAC-ALaM's."""


@dataclass(frozen=True, kw_only=True)
class FpiConfig(SacConfig):
    """SAC-FPI: region-wise policy iteration on a feasibility function and a recovery value (Yang et al. 2023)."""

    method: ClassVar[str] = "sac-fpi"

    feasibility: Literal["cdf"] = "cdf"
    """The method is defined on the constraint decay function alone; its threshold p is cost_threshold."""
    log_margin_init: Real = -4.605170185988091
    """Initial ℓ: states with g ≥ p − e^ℓ are critical; ln 0.01."""
    region_multiplier_init: NonNegative = 0.0
    """Initial multipliers λ₁ of the critical and λ₂ of the infeasible region."""
    leak: Fraction = 0.01
    """Slope of φ, the leaky ReLU of the multipliers' objectives, below 0."""
