"""An exported file at work in a process that has no JAX, and the range of observations in its card."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from support.exports import OBS, observations, small_policy

from statewise.monitor.export import export_policy, write_numpy
from statewise.monitor.sources import observed_range
from statewise.storage.replay import Replay, RowLayout

ALONE = """
import json, sys
import numpy as np

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("jax", "jaxlib", "optax", "mujoco", "gymnasium", "polars", "tyro", "matplotlib"):
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Blocked())
from statewise.monitor import RiskMonitor
from statewise.monitor.numpy_runner import NumpyPolicy

monitor, policy = RiskMonitor.load(sys.argv[1]), NumpyPolicy.load(sys.argv[1])
obs = np.array(json.loads(sys.argv[2]))
reading = monitor.step(obs)
print(json.dumps([reading.lam, reading.f, *policy.act(obs).tolist()]))
"""


def test_a_file_is_used_without_jax(tmp_path: Path) -> None:
    policy, obs = small_policy("sac-alam"), observations(1)[0]
    write_numpy(tmp_path / "policy.safetensors", export_policy(policy))
    command = [sys.executable, "-W", "error", "-c", ALONE, str(tmp_path / "policy.safetensors")]
    command.append(json.dumps(obs.tolist()))
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    np.testing.assert_allclose(json.loads(said), [*policy.risk(obs), *policy.act(obs)], atol=1e-5)


def test_the_observed_range_of_a_replay(tmp_path: Path) -> None:
    layout = RowLayout(OBS, 1)
    replay = Replay(layout, 100, slack=10, path=tmp_path / "replay.bin")
    obs = observations(50)
    zeros = np.zeros(50)
    replay.add(layout.pack(obs, zeros[:, None], zeros, zeros, zeros, zeros, zeros, 9.0 * obs))
    replay.flush()
    found = observed_range(tmp_path / "replay.bin", OBS)
    assert found is not None
    np.testing.assert_array_equal(found[0], obs.min(axis=0))
    np.testing.assert_array_equal(found[1], obs.max(axis=0))
