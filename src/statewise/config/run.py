"""What every configuration is: a frozen dataclass, its fields checked on construction, strict to and from JSON."""

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

NOT_IDENTITY = ("seed", "threads", "checkpoint_interval", "checkpoints_kept")
"""Fields that change no result: another seed is another run of the same experiment, the others say how it is run."""


MOST_LAYERS = 64
"""Of `hidden`: some thousand of them overflow the stack of the compiler, which ends the process."""
MOST_UNITS = 65_536


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every training run has, whatever its method."""

    method: ClassVar[str] = ""

    seed: Annotated[int, Range(low=0, high=2**31 - 1)] = 0
    """All randomness of the run follows from this number."""
    total_steps: Count = 4_000_000
    """Environment steps of the whole run (Table I)."""
    num_envs: Count = 8
    """Environments stepped side by side. The paper is silent."""
    threads: Whole = 0
    """Threads that step the environments; 0 takes what the machine has, a larger number is capped to that."""
    eval_interval: Count = 20_000
    """Environment steps between evaluations."""
    eval_envs: Count = 5
    """Environments of an evaluation; each has its own fixed seed."""
    eval_episodes: Count = 1
    """Episodes that each evaluation environment plays with the deterministic policy."""
    checkpoint_interval: Count = 20_000
    """Environment steps between checkpoints."""
    checkpoints_kept: Count = 2
    """How many of the newest checkpoints stay on disk, beside the best one."""
    log_interval: Count = 2_000
    """Environment steps between rows of training metrics."""
    hidden: tuple[int, ...] = (256, 256)
    """Units of each hidden layer (Table I)."""
    embedding: Literal["none", "powers", "quantiles"] = "none"
    """What networks see beside the observation: nothing (the paper), powers of its proximity sensors, or every entry
    between its quantiles, for environments that declare no sensors."""
    proximity: tuple[int, ...] | None = None
    """Entries of the observation that sense nearness, 0 far to 1 touching; None: those that the task declares."""
    observation_normalization: bool = False
    """Standardise the embedded observation by running statistics, which belong to the policy. Beyond the paper."""
    action_span: Literal["space", "effective"] = "space"
    """What the policy's [−1, 1] spans: the bounds of the action space (the paper), or where actions have an effect."""
    episode_steps: Count | None = None
    """Steps after which training episodes are cut; None: as the task does, and as evaluations always do."""
    gamma: Fraction = 0.99
    """Discount factor of reward and cost values (Table I)."""
    binary_cost: bool = True
    """Train on 1[cost > 0] instead of the raw cost. The paper is silent."""
    cost_threshold: Real | None = None
    """The tolerance d in F ≤ d; None means 0.1 (the paper's), or 0 for feasibility `hjr`."""

    def __post_init__(self) -> None:
        for name, kind in _hints(type(self)).items():
            value: Any = getattr(self, name)
            value = tuple(value) if isinstance(value, list) else value
            check(name, value, kind)
            # Equal configurations must have equal digests, so a float field holds a float even if given as 1.
            value = float(value) if _is_float(kind) and value is not None else value
            object.__setattr__(self, name, value)
        for width in self.hidden:
            check("hidden", width, Annotated[int, Range(low=1, high=MOST_UNITS)])
        if len(self.hidden) > MOST_LAYERS:
            raise ValueError(f"hidden: {len(self.hidden)} layers are too many; at most {MOST_LAYERS} are allowed")
        for entry in self.proximity or ():
            check("proximity", entry, Whole)
        if not self.hidden:
            raise ValueError("hidden: () is empty; name at least one layer, such as (256, 256)")

    @property
    def threshold(self) -> float:
        """The value of d: `cost_threshold`, or its default."""
        return 0.1 if self.cost_threshold is None else self.cost_threshold

    def cost_limit(self, episode_steps: int) -> float:
        """What d, a discounted cost, allows an episode of that many steps to cost: d(1 − γ)H."""
        return max(self.threshold, 0.0) * (1.0 - self.gamma) * episode_steps

    @property
    def block_env_steps(self) -> int:
        """Environment steps between two rounds of learning; the policy is constant meanwhile."""
        return self.num_envs

    @property
    def learning_starts(self) -> int:
        """Environment steps after which the first round of learning runs."""
        return 0

    @property
    def examples_per_step(self) -> float:
        """Transitions that the gradient steps take in for each environment step, a measure of their work."""
        return 1.0

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

    def identity(self) -> dict[str, Any]:
        """The fields on which a run's results depend, but for its seed."""
        return {name: value for name, value in self.to_dict().items() if name not in NOT_IDENTITY}

    def digest(self) -> str:
        """Eight hexadecimal digits that name what this configuration computes, the seed left out."""
        text = json.dumps([self.method, self.identity()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


@functools.cache
def _hints(cls: type[RunConfig]) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _is_float(kind: Any) -> bool:
    return any(get_origin(k) is Annotated and get_args(k)[0] is float for k in (kind, *get_args(kind)))


def check(name: str, value: Any, kind: Any) -> None:
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
