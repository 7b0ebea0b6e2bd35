"""What `recipe.py` runs: the tasks, the ingredients that are taken away, and the runs of each of its tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from statewise.config import OnPolicyConfig, SacConfig
from statewise.methods import METHODS

STEPS, ON_POLICY_STEPS = 400_000, 1_000_000
EVALUATIONS = 20
"""Evaluations in a run of these lengths, as many as evaluation.toml has, whose runs these are."""
FULL_STEPS = 1_000_000
"""Steps of `standard` where nobody names another number."""
STANDARD, FULL = "standard", "standard, whole"
THEN, FULL_THEN = "standard, then", "standard, whole, then"
"""`standard` as it was when its ingredients were taken away, and with as many steps as it has by itself."""
FIXED = "standard, ζ fixed"
"""`standard` with an optimizer that is Adam all along."""
EARLIER: dict[str, Any] = {"action_span": "effective", "zeta": 1e-12}
"""Fields that it had then; both went back to the paper's values by that table."""
EPISODES = 20
EPISODE_SEED = 5_000_003
"""Seed of the episodes behind the tables, far from those of the evaluations in training."""

GOAL, CHEETAH = "SafetyPointGoal1-v0", "SafetyHalfCheetahVelocity-v1"
TASKS = (
    GOAL,
    "SafetyPointGoal2-v0",
    "SafetyPointCircle1-v0",
    "SafetyPointCircle2-v0",
    "SafetyPointButton1-v0",
    "SafetyCarGoal1-v0",
    "SafetyCarCircle1-v0",
    CHEETAH,
    "SafetyHopperVelocity-v1",
    "SafetySwimmerVelocity-v1",
)
PUBLISHED: dict[str, tuple[str, str]] = {
    GOAL: ("25.3 / 28.0", "none"),
    "SafetyPointGoal2-v0": ("8.6 / 25.0", "none"),
    "SafetyPointCircle1-v0": ("83.7 / 12.8", "75.2 / 4.5"),
    "SafetyPointButton1-v0": ("9.5 / 25.0", "none above 0"),
    "SafetyCarGoal1-v0": ("27.3 / 9.5", "none"),
    "SafetyCarCircle1-v0": ("34.4 / 5.0", "34.4 / 2.3"),
    CHEETAH: ("2,965 / 2.4", "2,965 / 2.4"),
    "SafetyHopperVelocity-v1": ("1,716 / 7.5", "1,646 / 0.4"),
    "SafetySwimmerVelocity-v1": ("91 / 19", "77.5 / 1.0"),
}
"""Best return / cost in OmniSafe's own tables among the methods whose cost is at most 30, and at most 5."""

WITHOUT: dict[str, dict[str, Any]] = {
    "lidar powers": {"embedding": "none"},
    "mean of the cost twins (the maximum)": {"cost_twins": "max"},
    "mean of the reward twins (the minimum)": {"reward_twins": "min"},
    "a unit (λ, ρ in plain reward)": {"penalty_unit": "one"},
    "ρ in keeping with it (ρ₀ = 1, growing)": {"rho_init": 1.0, "rho_growth": 1.01},
    "a cap on λ": {"multiplier_max": None},
    "50 inner steps of rate 10⁻³ (5 of 10⁻⁵)": {"dual_steps": 5, "multiplier_learning_rate": 1e-5},
    "standardised observations": {"observation_normalization": False},
    "the effective span of actions": {"action_span": "space"},
    "τ = 0.03 (0.005)": {"tau": 0.005},
    "ζ fixed (annealed)": {"zeta": None},
    "powers (quantiles, nothing declared)": {"embedding": "quantiles"},
    "long training episodes (250 steps)": {"episode_steps": 250},
    "α₀ = 0.02 (1)": {"alpha_init": 1.0},
    "a rate of 5·10⁻⁴ (10⁻⁴)": {"learning_rate": 1e-4},
    "64 environments (8, half a gradient step each)": {"num_envs": 8, "update_ratio": 0.5, "total_steps": 50_000},
    "a small network (256 units)": {"hidden": (256, 256)},
}
"""Ingredients of the recipe, and what stands in their place: the paper's, or an alternative."""
IDLE_ON_CHEETAH = ("lidar powers", "the effective span of actions")
"""Ingredients that a task without sensors and without a declared span doesn't have: the same run, to the bit."""


PRECISIONS = ("float32", "bfloat16")
CONSTRAINED = tuple(name for name, method in METHODS.items() if issubclass(method.config, SacConfig) and name != "sac")
ZETA_METHODS = {
    GOAL: ("sac-alam",),
    "SafetyPointCircle2-v0": ("sac-alam",),
    "SafetySwimmerVelocity-v1": ("sac-alam",),
    CHEETAH: CONSTRAINED,
}
"""What ran with ζ fixed as well as annealed."""


class Job(NamedTuple):
    """A run: what distinguishes it from `standard`, the method, the task, the seed, the fields that are changed."""

    label: str
    method: str
    task: str
    seed: int
    fields: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.label, self.method, self.task, self.seed


def job(method: str, task: str, seed: int, label: str = STANDARD, **fields: Any) -> Job:
    """A run of `standard`, but for `fields`."""
    return Job(label, method, task, seed, {"total_steps": STEPS, **fields})


def job_then(method: str, task: str, seed: int, label: str = THEN, **fields: Any) -> Job:
    """A run with what `standard` had when it was taken apart, but for `fields`."""
    known = {name: value for name, value in EARLIER.items() if hasattr(METHODS[method].config, name)}
    return job(method, task, seed, label, **{**known, **fields})


def job_of_evaluation(method: str, task: str, seed: int) -> Job:
    """A run as evaluation.toml has it; on-policy methods take as many steps as the others' time buys."""
    steps = ON_POLICY_STEPS if issubclass(METHODS[method].config, OnPolicyConfig) else STEPS
    return job(method, task, seed, total_steps=steps, eval_interval=steps // EVALUATIONS)


def jobs_of_tasks() -> list[Job]:
    """SAC-ALaM with two seeds (three on Goal1) beside one of SAC."""
    methods = (("sac-alam", 0), ("sac", 0), ("sac-alam", 1))
    runs = [job_of_evaluation(method, task, seed) for method, seed in methods for task in TASKS]
    return [*runs, job_of_evaluation("sac-alam", GOAL, 2)]


def jobs_of_ablation() -> list[Job]:
    """Each ingredient taken away: two seeds on Goal1, one on HalfCheetah."""
    runs = [(GOAL, 0), (CHEETAH, 0), (GOAL, 1)]
    whole = [job_then("sac-alam", task, seed) for task, seed in runs]
    without = [
        job_then("sac-alam", task, seed, name, **fields)
        for task, seed in runs
        for name, fields in WITHOUT.items()
        if task != CHEETAH or name not in IDLE_ON_CHEETAH
    ]
    return [*whole, *without]


def jobs_of_methods() -> list[Job]:
    """All methods, two seeds on two tasks."""
    return [job_of_evaluation(method, task, seed) for seed in (0, 1) for task in (GOAL, CHEETAH) for method in METHODS]


def jobs_of_zeta() -> list[Job]:
    """ζ annealed, as it is in `standard`, and fixed: constrained methods on HalfCheetah, SAC-ALaM on other tasks."""
    runs = [(name, task) for task, names in ZETA_METHODS.items() for name in names]
    annealed = [job_of_evaluation(name, task, seed) for name, task in runs for seed in (0, 1)]
    return [other for work in annealed for other in (work, with_fixed_zeta(work))]


def with_fixed_zeta(work: Job) -> Job:
    """The same run with ζ as it would be all along."""
    return work._replace(label=FIXED, fields={**work.fields, "zeta": 1e-12})


def jobs_of_full() -> list[Job]:
    """As many steps as the preset has by itself: three seeds of SAC-ALaM on Goal1, then one on each other task."""
    goal = [(GOAL, seed) for seed in (0, 1, 2)]
    others = [(task, 0) for task in TASKS if task != GOAL]
    return [job("sac-alam", task, seed, FULL, total_steps=FULL_STEPS) for task, seed in (*goal, *others)]


def jobs_of_precision() -> list[Job]:
    """Products of gradient steps in float32 and in bfloat16: three seeds on Goal1, two on HalfCheetah."""
    return [
        job_then("sac-alam", task, seed, f"{precision} products", precision=precision)
        for task, seed in ((GOAL, 0), (GOAL, 1), (GOAL, 2), (CHEETAH, 0), (CHEETAH, 1))
        for precision in PRECISIONS
    ]


TABLES: dict[str, Callable[[], list[Job]]] = {
    "tasks": jobs_of_tasks,
    "full": jobs_of_full,
    "ablation": jobs_of_ablation,
    "methods": jobs_of_methods,
    "zeta": jobs_of_zeta,
    "precision": jobs_of_precision,
}
