"""Configurations: one frozen dataclass per method, checked on construction, strict to and from JSON.

Defaults are Table I of the SAC-ALaM paper; where the paper is silent, the field's docstring says so. The preset `quick`
holds what to change for runs of some 10^5 gradient steps. Standard library only, so that `statewise --help` is instant.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints


@dataclass(frozen=True)
class Range:
    """Allowed values of a number: low <= x <= high; `above` makes the lower bound strict."""

    low: float | None = None
    high: float | None = None
    above: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            abs(value) < float("inf")
            and (self.low is None or value >= self.low)
            and (self.above is None or value > self.above)
            and (self.high is None or value <= self.high)
        )

    def __str__(self) -> str:
        parts = [f"> {self.above:g}"] if self.above is not None else []
        parts += [f">= {self.low:g}"] if self.low is not None else []
        parts += [f"<= {self.high:g}"] if self.high is not None else []
        return "a finite number " + " and ".join(parts) if parts else "a finite number"


Count = Annotated[int, Range(low=1)]
Whole = Annotated[int, Range(low=0)]
Fraction = Annotated[float, Range(low=0, high=1)]
Positive = Annotated[float, Range(above=0)]
NonNegative = Annotated[float, Range(low=0)]
Real = Annotated[float, Range()]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every training run has, whatever its method."""

    method: ClassVar[str] = ""

    seed: Annotated[int, Range(low=0, high=2**31 - 1)] = 0
    """All randomness of the run follows from this number."""
    total_steps: Count = 4_000_000
    """Environment steps of the whole run (Table I)."""
    num_envs: Count = 8
    """Worlds stepped side by side. The paper is silent."""
    threads: Whole = 0
    """Threads that step the worlds; 0 takes what the machine has, a larger number is capped to that."""
    warmup_steps: Whole = 10_000
    """Uniformly random environment steps before learning starts. The paper is silent."""
    eval_interval: Count = 20_000
    """Environment steps between evaluations."""
    eval_envs: Count = 5
    """Worlds of an evaluation; each has its own fixed seed."""
    eval_episodes: Count = 1
    """Episodes that each evaluation world plays with the deterministic policy."""
    checkpoint_interval: Count = 20_000
    """Environment steps between checkpoints."""
    checkpoints_kept: Count = 2
    """How many of the newest checkpoints stay on disk, beside the best one."""
    log_interval: Count = 2_000
    """Environment steps between rows of training metrics."""

    def __post_init__(self) -> None:
        for name, kind in _hints(type(self)).items():
            value: Any = getattr(self, name)
            value = tuple(value) if isinstance(value, list) else value
            _check(name, value, kind)
            # Equal configurations must have equal digests, so a float field holds a float even if given as 1.
            value = float(value) if _is_float(kind) and value is not None else value
            object.__setattr__(self, name, value)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; unknown names and bad values raise ValueError."""
        return type(self).from_dict({**self.to_dict(), **changes})

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values (tuples become lists)."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; fields that are not named take their defaults.

        Raises ValueError for an unknown field (naming the nearest known one) or a value outside its range.
        """
        known = [f.name for f in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{name}: {cls.method} has no such field{hint}")
        return cls(**values)

    def digest(self) -> str:
        """Eight hexadecimal digits that name this configuration, the seed left out."""
        values = {k: v for k, v in self.to_dict().items() if k != "seed"}
        text = json.dumps([self.method, values], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@dataclass(frozen=True, kw_only=True)
class SacConfig(RunConfig):
    """Plain soft actor-critic, and the backbone of every off-policy method (the isolation rule)."""

    method: ClassVar[str] = "sac"

    update_ratio: Positive = 0.5
    """Gradient steps per environment step. The paper is silent."""
    block_length: Count = 16
    """Steps of all worlds between two blocks of gradient steps; the policy is constant meanwhile."""
    replay_capacity: Count = 2_000_000
    """Transitions kept for replay (Table I)."""
    batch_size: Count = 256
    """Transitions per gradient step (Table I)."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer, ReLU (Table I)."""
    gamma: Fraction = 0.99
    """Discount factor of reward and cost values (Table I)."""
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
    binary_cost: bool = True
    """Train on 1[cost > 0] instead of the raw cost. The paper is silent."""
    cost_threshold: Real | None = None
    """The tolerance d in F ≤ d; None means 0.1 (the paper's), or 0 for `hjr`."""
    feasibility: Literal["cvf", "cdf", "hjr"] = "cvf"
    """Feasibility function F: cost value (the paper's), constraint decay, Hamilton–Jacobi reachability."""
    feasibility_gamma: Fraction = 0.97
    """Discount γ_c of `cdf`; `cvf` and `hjr` use gamma."""
    cost_floor: bool = False
    """Floor the target of `cvf` at 0."""
    n_cost_samples: Count = 5
    """Actions K that F̂(x) averages over (Table I)."""
    observation_normalization: bool = False
    """Standardise observations by running statistics, which belong to the policy. Beyond the paper."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for width in self.hidden:
            _check("hidden", width, Count)
        if not self.hidden:
            raise ValueError("hidden: () is empty; name at least one layer, such as (256, 256)")
        steps = self.block_length * self.num_envs * self.update_ratio
        if steps > 1e9 or abs(steps - round(steps)) > 1e-9 or round(steps) < 1:
            raise ValueError(
                f"update_ratio: {self.update_ratio:g} × block_length {self.block_length} × num_envs {self.num_envs}"
                f" is {steps:g} gradient steps a block; it must be a whole number from 1 to 10⁹"
            )
        if self.replay_capacity < self.batch_size:
            raise ValueError(f"replay_capacity: {self.replay_capacity} must be at least batch_size = {self.batch_size}")

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
    def tolerance(self) -> float:
        """The value of d: `cost_threshold`, or its default for the feasibility function."""
        if self.cost_threshold is not None:
            return self.cost_threshold
        return 0.0 if self.feasibility == "hjr" else 0.1


@dataclass(frozen=True, kw_only=True)
class DualConfig(SacConfig):
    """Fields of the methods with a multiplier: when it moves."""

    dual_interval: Count = 200
    """Gradient steps m_λ between two dual cycles (Table I)."""
    dual_steps: Count = 5
    """Optimiser steps of a dual cycle, each on a fresh minibatch (Table I)."""
    dual_pace: Positive | None = None
    """Dual optimiser steps per 1000 gradient steps, in place of dual_interval. Beyond the paper."""
    dual_start: Whole = 0
    """Gradient steps before the first dual cycle. Beyond the paper."""

    @property
    def dual_every(self) -> int:
        """Gradient steps between two dual cycles, `dual_pace` taken into account."""
        if self.dual_pace is None:
            return self.dual_interval
        return max(1, round(1000 * self.dual_steps / self.dual_pace))

    @property
    def total_dual_steps(self) -> int:
        """Optimiser steps of the multiplier over the whole run, its own N of RAD; at least 1."""
        cycles = self.total_updates // self.dual_every - self.dual_start // self.dual_every
        return max(1, cycles * self.dual_steps)


@dataclass(frozen=True, kw_only=True)
class MultiplierConfig(DualConfig):
    """Fields of the methods whose multiplier is a network λ(x)."""

    multiplier_learning_rate: Positive = 1e-5
    """Of the multiplier network (Table I)."""
    multiplier_bias: Real = -3.0
    """Initial output bias before the softplus: λ₀ ≈ 0.05. The paper is silent."""
    multiplier_grad_clip: Positive = 40.0
    """Largest gradient norm of the multiplier network. The paper is silent."""
    dual_states: Literal["all", "safe", "recent"] = "all"
    """States of the dual cycle: all replayed (the paper), those with cost 0, or the newest `recent_window`."""
    recent_window: Count = 100_000
    """Transitions that dual_states = "recent" draws from."""
    multiplier_max: Positive | None = None
    """Upper end of the dual target (an ascent step has no gradient there); None leaves it open (the paper)."""
    per_state_scale: bool = False
    """Divide the actor's loss at x by 1 + λ(x). Beyond the paper."""


def _check_penalty(rho_init: float, rho_max: float) -> None:
    if rho_max < rho_init:
        raise ValueError(f"rho_max: {rho_max:g} must be at least rho_init = {rho_init:g}")


@dataclass(frozen=True, kw_only=True)
class AlamConfig(MultiplierConfig):
    """SAC-ALaM: augmented penalty, multiplier network by regression towards the dual target."""

    method: ClassVar[str] = "sac-alam"

    rho_init: Positive = 1.0
    """Initial penalty factor ρ₀. The paper is silent."""
    rho_growth: Annotated[float, Range(low=1)] = 1.01
    """Penalty scaling factor σ (Table I)."""
    rho_max: Positive = 5.0
    """Largest penalty factor (Table I)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_penalty(self.rho_init, self.rho_max)


@dataclass(frozen=True, kw_only=True)
class AlamGaConfig(AlamConfig):
    """SAC-ALaM-GA: the ablation; gradient ascent in place of the regression."""

    method: ClassVar[str] = "sac-alam-ga"


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
class ScalarConfig(DualConfig):
    """Fields of the methods whose multiplier is one number λ."""

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
class AsacConfig(ScalarConfig):
    """ASAC: augmented Lagrangian, scalar multiplier."""

    method: ClassVar[str] = "asac"

    dual_interval: Count = 200
    """Gradient steps between two updates of λ and ρ. The paper is silent; as SAC-ALaM's."""
    rho_init: Positive = 1.0
    """Initial penalty factor ρ₀. The paper is silent; as SAC-ALaM's."""
    rho_growth: Annotated[float, Range(low=1)] = 1.01
    """Penalty scaling factor σ, as SAC-ALaM's."""
    rho_max: Positive = 5.0
    """Largest penalty factor, as SAC-ALaM's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_penalty(self.rho_init, self.rho_max)


Preset = Literal["paper", "quick", "demo"]

_QUICK: dict[str, Any] = {
    "learning_rate": 1e-3,
    "batch_size": 128,
    "alpha_init": 0.02,
    "tau": 0.01,
    "feasibility": "cdf",
    "zeta": 1e-12,
    "update_ratio": 0.25,
    "total_steps": 200_000,
    "warmup_steps": 5_000,
    "eval_interval": 10_000,
    "replay_capacity": 200_000,
    "multiplier_learning_rate": 3e-4,
    "dual_pace": 100.0,
    "dual_start": 8_000,
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "quick": _QUICK,
    "demo": {**_QUICK, "total_steps": 100_000, "eval_interval": 5_000},
}
"""Fields that each preset changes; a method takes those that it has."""


def preset_fields(preset: str, config: type[RunConfig]) -> dict[str, Any]:
    """What a preset changes of one method's configuration; ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"preset: {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    names = {f.name for f in dataclasses.fields(config)}
    return {name: value for name, value in PRESETS[preset].items() if name in names}


@functools.cache
def _hints(cls: type[RunConfig]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _is_float(kind: Any) -> bool:
    return any(get_origin(k) is Annotated and get_args(k)[0] is float for k in (kind, *get_args(kind)))


def _check(name: str, value: Any, kind: Any) -> None:
    problem = _problem(value, kind)
    if problem:
        raise ValueError(f"{name}: {value!r} is not allowed; it must be {problem}")


def _problem(value: Any, kind: Any) -> str | None:
    """What `value` must be to fit the annotation `kind`, or None where it fits."""
    if get_origin(kind) is Annotated:
        base, *extra = get_args(kind)
        limits = next((e for e in extra if isinstance(e, Range)), Range())
        wanted = "a whole number" if base is int else "a number"
        if isinstance(value, bool) or not isinstance(value, int if base is int else (int, float)):
            return wanted
        if base is float and abs(value) > 1e300:
            return "a number of at most 1e300 in size"
        return None if value in limits else str(limits)
    if get_origin(kind) is Literal:
        return None if value in get_args(kind) else "one of " + ", ".join(map(str, get_args(kind)))
    if kind is bool:
        return None if isinstance(value, bool) else "true or false"
    if get_origin(kind) is tuple:
        return None if isinstance(value, tuple) else "a list of whole numbers"
    options = get_args(kind)  # the remaining kind of field: "X | None"
    if type(None) in options:
        inner = next(o for o in options if o is not type(None))
        return None if value is None else _problem(value, inner)
    raise TypeError(f"no rule for a field of type {kind!r}")
