"""What an export is made from: a run's checkpoint or a policy's file, and what the run's folder knows besides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.errors import CheckpointError, RunError
from statewise.monitor.export import Exported, export_policy
from statewise.policy import Policy
from statewise.storage import metrics
from statewise.storage.replay import stored_rows
from statewise.storage.run_files import checkpoint_in
from statewise.storage.run_folder import RunFolder

ROWS_AT_ONCE = 100_000
EVALUATION = ("step", "return", "return_std", "cost", "cost_rate", "length", "episodes", "f_bias")


def export_from(path: Path, which: str = "latest") -> Exported:
    """The exported form of a run folder's `which` checkpoint, or of a file that `Agent.save` wrote.

    RunError or CheckpointError where there is none; ValueError where its networks can't be exported.
    """
    if not path.is_dir():
        return export_policy(Policy.read(path))
    policy, run = Policy.read(checkpoint_in(path, which)), RunFolder.open(path)
    training = {"seed": policy.about.config.seed, "checkpoint": which, **_evaluation(run, policy.acting.gradient_step)}
    observations = observed_range(run.replay_path, policy.about.facts.dims.obs) if run.replay_path.exists() else None
    return export_policy(policy, training, observations, _calibration(run, policy.acting.gradient_step))


def observed_range(replay: Path, obs_dim: int) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Lowest and highest value of each entry [obs] over a replay's rows; None where it holds none."""
    layout, rows = stored_rows(replay)
    if layout.obs_dim != obs_dim:
        raise CheckpointError(f"{replay}: holds observations [{layout.obs_dim}], but the policy's are [{obs_dim}]")
    if not len(rows):
        return None
    low, high = np.full(obs_dim, np.inf, np.float32), np.full(obs_dim, -np.inf, np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        obs = layout.unpack(rows[start : start + ROWS_AT_ONCE]).obs
        low, high = np.minimum(low, obs.min(axis=0)), np.maximum(high, obs.max(axis=0))
    return low, high


def _evaluation(run: RunFolder, gradient_step: int) -> dict[str, Any]:
    """The run's evaluation of the policy with so many gradient steps, where there was one."""
    if not run.metrics_path.exists():
        return {}
    rows = metrics.read(run.metrics_path)
    found = rows.filter((rows["phase"] == "eval") & (rows["gradient_step"] == gradient_step))
    return {"evaluation": found.select(EVALUATION).row(-1, named=True)} if len(found) else {}


def _calibration(run: RunFolder, gradient_step: int) -> dict[str, Any] | None:
    """What `statewise calibrate` found of the policy with so many gradient steps, if that was its last one."""
    path = run.calibration_path
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if found["gradient_steps"] == gradient_step else None
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: isn't a calibration ({error!r}): remove it, or run statewise calibrate again"
        ) from error
