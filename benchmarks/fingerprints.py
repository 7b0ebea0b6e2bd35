"""Fingerprints of a short run of every method: did a change of the code change a single bit of what it computes?

    python benchmarks/fingerprints.py > before.txt      # ... change the code ...
    python benchmarks/fingerprints.py | diff before.txt -

A fingerprint is a SHA-256 of the rows of metrics and of every array of the last checkpoint, its name included. It holds
on one machine with one version of JAX: other processors round otherwise.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from statewise import Agent
from statewise.config import OnPolicyConfig
from statewise.methods import METHODS

TASK = "SafetyPointGoal1-v0"
ANY: dict[str, Any] = {
    "total_steps": 2048,
    "num_envs": 4,
    "hidden": (32, 32),
    "log_interval": 512,
    "eval_interval": 2048,
    "eval_envs": 1,
    "checkpoint_interval": 1024,
    "threads": 1,
    "seed": 3,
}
OFF_POLICY: dict[str, Any] = {
    "warmup_steps": 512,
    "batch_size": 32,
    "replay_capacity": 4096,
    "block_length": 16,
    "update_ratio": 0.25,
}
ON_POLICY: dict[str, Any] = {"epoch_steps": 512}


def short_run(method: str, preset: str, root: Path) -> Path:
    """Train for 2,048 steps, several dual cycles among them; the run's folder."""
    on_policy = issubclass(METHODS[method].config, OnPolicyConfig)
    fields = ANY | (ON_POLICY if on_policy else OFF_POLICY)
    if hasattr(METHODS[method].config, "dual_interval"):
        fields |= {"dual_interval": 50}
    agent = Agent(method, TASK, preset=preset, root=root, **fields).learn()
    assert agent.run_path is not None
    return agent.run_path


def fingerprint(run: Path) -> str:
    """Hash of the rows and of the last checkpoint's arrays."""
    digest = hashlib.sha256((run / "metrics.csv").read_bytes())
    arrays = load_file(max((run / "checkpoints").glob("step-*.safetensors")))
    for name in sorted(arrays):
        digest.update(name.encode() + arrays[name].tobytes())
    return digest.hexdigest()[:16]


def main() -> None:
    for preset in ("paper", "standard"):
        for method in METHODS:
            with tempfile.TemporaryDirectory() as root:
                print(preset, method, fingerprint(short_run(method, preset, Path(root))), flush=True)


if __name__ == "__main__":
    main()
