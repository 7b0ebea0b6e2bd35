"""The evaluations of a run: fresh episodes, what the critics made of them, and the best policy so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from statewise.config import RunConfig, SacConfig
from statewise.envs import SafeVectorEnv
from statewise.policy import Policy
from statewise.storage.checkpoint import prefixed, unprefixed
from statewise.training.diagnostics import Experience, Probe, probe_states
from statewise.training.evaluate import evaluation_metrics, play_episodes

BIASED_EVALUATIONS = 3
"""Evaluations in a row at the end of a run whose F̂ is off by more than d before it warns of that."""


class Evaluator:
    """Evaluates a policy that is being trained and remembers what came of it."""

    def __init__(self, env: SafeVectorEnv, policy: Policy) -> None:
        self.env = env
        self.policy = policy
        self.config: RunConfig = policy.about.config
        self.probe = Probe(policy.acting, probe_states(env))
        self.best: tuple[bool, float] | None = None
        """Rank of the best evaluation so far: whether it was safe, and its return, or minus its cost."""
        self.best_step = -1
        self._biased = 0

    def evaluate(self, step: int) -> tuple[dict[str, float], bool]:
        """Columns of an "eval" row, and whether this policy is the best so far: a safe one with the highest return.

        Safe is a mean episode cost within the limit that d discounted means; with none safe, the lowest cost is best.
        """
        c, experience = self.config, Experience()
        played = play_episodes(
            self.env,
            self.policy.acting.greedy,
            c.eval_episodes,
            experience=experience,
            span=self.policy.about.span,
        )
        metrics = evaluation_metrics(played)
        seen = {**self.probe.metrics(), **experience.metrics(self.policy.acting)}
        off = step >= c.learning_starts and abs(seen["f_bias"]) > c.threshold
        self._biased = self._biased + 1 if off else 0
        safe = metrics["cost"] <= c.cost_limit(self.env.max_episode_steps)
        rank = (safe, metrics["return"] if safe else -metrics["cost"])
        improved = self.best is None or rank > self.best
        if improved:
            self.best, self.best_step = rank, step
        return {**metrics, **seen}, improved

    def warning(self) -> str | None:
        """What to say at the end of a run where F̂ was off by more than d in its last evaluations."""
        if self._biased < BIASED_EVALUATIONS or not isinstance(self.config, SacConfig):
            return None
        return (
            f"F̂ is off by more than d = {self.config.threshold:g} against Monte Carlo in the last {self._biased}"
            " evaluations (f_bias in the metrics): it and λ say little about where this policy is at risk"
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What the next evaluation is compared to, by name."""
        return prefixed("probe", self.probe.arrays())

    def metadata(self) -> dict[str, Any]:
        """What a checkpoint says besides."""
        best = None if self.best is None else list(self.best)
        return {"best": best, "best_step": self.best_step, "biased": self._biased}

    def load(self, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, Any]) -> None:
        """Take over what `arrays` and `metadata` gave."""
        self.probe.load(unprefixed("probe", arrays))
        self.best = None if metadata["best"] is None else tuple(metadata["best"])
        self.best_step = metadata["best_step"]
        self._biased = metadata["biased"]
