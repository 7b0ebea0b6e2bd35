"""The columns of a run's metrics and timings: their names, what they mean, and their order in the file."""

from __future__ import annotations

from typing import NamedTuple


class Column(NamedTuple):
    """One column: its name, what it means, and the type of its values."""

    name: str
    meaning: str
    kind: type = float


LEARNING: tuple[Column, ...] = (
    Column("step", "environment steps taken, over all environments", int),
    Column("gradient_step", "updates made", int),
    Column("phase", "train: since the last such row; eval: the deterministic policy on fresh episodes", str),
    Column("episodes", "episodes the row's episode metrics are taken over", int),
    Column("return", "mean undiscounted return of an episode"),
    Column("return_std", "standard deviation of that return over episodes"),
    Column("cost", "mean cost of an episode: its steps in violation"),
    Column("cost_rate", "share of all steps so far that were in violation"),
    Column("length", "mean steps of an episode"),
    Column("violations", "steps in violation since training began", int),
    Column("q_loss", "loss of the reward critics"),
    Column("qc_loss", "loss of the cost or feasibility critic"),
    Column("actor_loss", "loss of the policy"),
    Column("alpha", "temperature of the entropy"),
    Column("entropy", "entropy of the policy, minus its mean log-density"),
    Column("q", "mean reward critic on the batch"),
    Column("qc", "mean cost critic on the batch"),
    Column("f", "mean feasibility f on the batch"),
    Column("f_q90", "90 % quantile of f on the batch"),
    Column("unsafe_fraction", "share of states with f above the threshold d"),
    Column("lam", "mean multiplier on the batch"),
    Column("lam_q10", "10 % quantile of the multiplier"),
    Column("lam_q50", "median multiplier"),
    Column("lam_q90", "90 % quantile of the multiplier"),
    Column("lam_max", "largest multiplier on the batch"),
    Column("lam_boundary", "mean multiplier, weighted towards states with f near d"),
    Column("unit", "what lam, rho and their cap are multiples of, in training reward (penalty_unit)"),
    Column("rho", "penalty factor of the augmented Lagrangian"),
    Column("violation", "measure v that decides whether rho grows"),
    Column("dual_loss", "loss of the multiplier network"),
    Column("target_error_before", "multiplier's distance to its dual target before the fit"),
    Column("target_error_after", "multiplier's distance to its dual target after the fit"),
    Column("lam_change", "mean absolute change of the multiplier by its update"),
    Column("lam_g", "complementarity E|lam G|"),
    Column("slackness", "complementarity E|max(G, -lam/rho)|"),
    Column("cosine", "cosine between the multiplier's change in a dual cycle and max(rho G, -lam)"),
    Column("leakage", "mean change of the multiplier in a dual cycle where G < 0"),
)
"""Of every method: counters, episodes, losses, critics, multiplier, dual cycle."""

EVALUATION: tuple[Column, ...] = (
    Column("probe_lam", "mean multiplier on the task's fixed probe states"),
    Column("probe_lam_q10", "10 % quantile of the multiplier there"),
    Column("probe_lam_q50", "median multiplier there"),
    Column("probe_lam_q90", "90 % quantile of the multiplier there"),
    Column("probe_lam_max", "largest multiplier there"),
    Column("probe_lam_change", "mean absolute change of the multiplier there since the evaluation before"),
    Column("policy_kl", "KL there between the policy of the evaluation before and this one"),
    Column("q_bias", "reward critic minus Monte Carlo over the evaluation; SAC's critic adds its entropy bonus"),
    Column("f_bias", "cost critic minus Monte Carlo of its own target over the evaluation"),
    Column("episode_cost", "J_c, mean training cost of the episodes that ended in the last rollout with any"),
    Column("update_kl", "KL between the policy that played a rollout and the one learned from it"),
)
"""Of every method: what evaluations add, and what on-policy rollouts do."""

TIMING_COLUMNS: tuple[Column, ...] = (
    Column("step", "environment steps taken, over all environments", int),
    Column("seconds", "wall-clock seconds since the last row"),
    Column("sample_seconds", "seconds of the environments since the last row"),
    Column("update_seconds", "seconds of the updates since the last row"),
    Column("evaluate_seconds", "seconds of evaluation since the last row"),
    Column("checkpoint_seconds", "seconds of checkpoints since the last row"),
    Column("steps_per_second", "environment steps a second since the last row"),
    Column("cpu_seconds", "processor seconds of all threads since the last row"),
)
