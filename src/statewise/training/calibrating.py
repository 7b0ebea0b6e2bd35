"""How far a policy's λ(x) and F̂(x) can be trusted: where it goes, where it is fast, and in denser layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from statewise.envs import SafeVectorEnv
from statewise.envs.navigation.layout import LayoutError
from statewise.policy import Policy
from statewise.report.calibration_report import calibration_report, dense_report, part_report
from statewise.report.progress import Progress, Silent
from statewise.training.labelled import Fast, Rated, label_states, training_speed

ENVS = 20
"""Environments side by side, at most."""
FAST_SHARE = 0.99
"""Of training's states, which a fast one is faster than."""
CROWDING = 1.5
"""Times as many hazards as in training."""
_SIGNALS: tuple[Literal["lam"], Literal["f"]] = ("lam", "f")


class Wanted(NamedTuple):
    """What is played: episodes, of which whole rounds are made, and their seed; horizon and stride in steps.

    miss_rate: of the conformal bound. crowding: times as many hazards in denser layouts; 1 plays none.
    """

    episodes: int = 200
    seed: int = 5_000_003
    horizon: int = 25
    stride: int = 5
    miss_rate: float = 0.1
    crowding: float = CROWDING

    @property
    def num_envs(self) -> int:
        """Environments side by side."""
        return min(self.episodes, ENVS)

    @property
    def rounds(self) -> int:
        """Episodes in each environment."""
        return -(-self.episodes // self.num_envs)


def calibrate(
    policy: Policy,
    make: Callable[[], SafeVectorEnv],
    make_denser: Callable[[], SafeVectorEnv] | str,
    replay: Path | None,
    wanted: Wanted,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The calibration as JSON values: figures under "lam" and "f", and again under "fast" and "dense".

    make, make_denser: environments, `wanted.num_envs` each; a sentence in place of the second says why there are none.
    replay: the run's, whose states say what is fast. What can't be looked at has {"absent": why} in its place.
    """
    progress = Silent() if progress is None else progress
    env = make()
    total = wanted.rounds * env.num_envs * env.max_episode_steps
    progress.start(0, total if isinstance(make_denser, str) else 2 * total)
    try:
        fast = _fast(env, replay)
        rated = _play(policy, env, wanted, None if isinstance(fast, str) else fast, progress.advance)
        report: dict[str, Any] = {
            "gradient_steps": policy.acting.gradient_step,
            "episodes": wanted.rounds * wanted.num_envs,
            **{name: getattr(wanted, name) for name in ("seed", "horizon", "stride", "miss_rate")},
            "states": int(np.count_nonzero(rated.regular)),
        }
        for signal in _SIGNALS:
            report[signal] = calibration_report(rated.by(signal, rated.regular), wanted.miss_rate, signal == "f")
        report["fast"] = _fast_part(rated, fast)
        report["dense"] = _dense_part(policy, make_denser, rated, wanted, lambda step: progress.advance(total + step))
    finally:
        progress.close()
    return report


def _play(
    policy: Policy, env: SafeVectorEnv, wanted: Wanted, fast: Fast | None, advance: Callable[[int], None]
) -> Rated:
    """States of an environment, which is closed then."""
    try:
        return label_states(policy, env, wanted.rounds, wanted.seed, wanted.horizon, wanted.stride, fast, advance)
    finally:
        env.close()


def _fast(env: SafeVectorEnv, replay: Path | None) -> Fast | str:
    """What is fast, or why that can't be said."""
    if not env.velocity:
        return f"{env.task} doesn't declare which entries of its observation are a velocity"
    if replay is None or not replay.exists():
        return "there is no replay that would tell the speeds of training"
    above = training_speed(replay, env.velocity, FAST_SHARE)
    return "the run's replay is empty" if above is None else Fast(env.velocity, above)


def _fast_part(rated: Rated, fast: Fast | str) -> dict[str, Any]:
    if isinstance(fast, str):
        return {"absent": fast}
    count = int(np.count_nonzero(rated.fast))
    about = {"above": fast.above, "share": FAST_SHARE, "states": count}
    if not count:
        return {**about, "absent": f"no state of these episodes was faster than {fast.above:.3g} m/s"}
    return about | {
        signal: part_report(
            rated.by(signal, rated.fast), rated.by(signal, rated.regular), signal == "f", same_episodes=True
        )
        for signal in _SIGNALS
    }


def _dense_part(
    policy: Policy,
    make: Callable[[], SafeVectorEnv] | str,
    met: Rated,
    wanted: Wanted,
    advance: Callable[[int], None],
) -> dict[str, Any]:
    if isinstance(make, str):
        return {"absent": make}
    about = {"crowding": wanted.crowding}
    try:
        rated = _play(policy, make(), wanted, None, advance)
    except LayoutError as error:
        return {**about, "absent": str(error)}
    return {**about, "states": int(np.count_nonzero(rated.regular))} | {
        signal: dense_report(
            rated.by(signal, rated.regular), met.by(signal, met.regular), wanted.miss_rate, signal == "f"
        )
        for signal in _SIGNALS
    }
