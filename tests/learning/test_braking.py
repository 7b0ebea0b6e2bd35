"""The tiny constrained problem: its optimum, and that SAC-ALaM comes near it without violations."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import numpy as np
import pytest

from benchmarks.braking import (
    A_MAX,
    D_MAX,
    EPISODE_STEPS,
    Braking,
    advance,
    auroc,
    best_safe_action,
    is_safe,
    measure,
    observe,
    roll_out,
    safe_starts,
    train,
)
from benchmarks.braking_course import UNSAFE, course


def test_full_braking_stops_exactly_at_the_end_of_its_way() -> None:
    d, v = safe_starts(200, seed=0)
    stopped, speed, way = d, v, np.zeros_like(d)
    for _ in range(20):
        stopped, speed, covered = advance(stopped, speed, np.full_like(d, -1.0))
        way += covered
    assert (speed == 0.0).all()
    np.testing.assert_allclose(way, v**2 / (2.0 * A_MAX), atol=1e-12)
    np.testing.assert_allclose(stopped, d - way, atol=1e-12)


def test_the_best_safe_policy_against_dynamic_programming() -> None:
    """Backward induction over 121 × 81 states and 41 actions, the value interpolated between states."""
    d_grid, v_grid = np.linspace(0.0, D_MAX, 121), np.linspace(0.0, 2.0, 81)
    d, v = np.meshgrid(d_grid, v_grid, indexing="ij")
    actions = np.linspace(-1.0, 1.0, 41)[:, None, None]
    d_next, v_next, covered = advance(d, v, actions)
    allowed = is_safe(d_next, v_next)
    row, column = d_next.clip(0.0, D_MAX) / (d_grid[1] - d_grid[0]), v_next / (v_grid[1] - v_grid[0])
    i, j = np.minimum(row.astype(int), 119), np.minimum(column.astype(int), 79)
    di, dj = row - i, column - j
    value = np.zeros_like(d)
    for _ in range(EPISODE_STEPS):
        later = (1 - di) * ((1 - dj) * value[i, j] + dj * value[i, j + 1])
        later += di * ((1 - dj) * value[i + 1, j] + dj * value[i + 1, j + 1])
        value = np.where(allowed, covered + later, -np.inf).max(axis=0)
        value = np.where(np.isfinite(value), value, 0.0)
    safe = is_safe(d, v)
    best, cost = roll_out(best_safe_action, d[safe], v[safe])
    assert not cost.any()
    assert abs(best.mean() / value[safe].mean() - 1.0) < 0.02


def test_the_environment_is_the_vectorised_model() -> None:
    env = Braking()
    env.reset(seed=3)
    d, v = env.get_state()["body"]
    truncated = False
    for number in range(EPISODE_STEPS):
        action = np.array([np.sin(number)], np.float32)
        d, v, covered = advance(d, v, action.astype(np.float64))
        obs, reward, terminated, truncated, info = env.step(action)
        np.testing.assert_array_equal(obs, observe(d, v)[0])
        assert (reward, info["cost"]) == (covered[0], float(d[0] < -1e-9))
        assert not terminated
    assert truncated


def test_auroc() -> None:
    label = np.array([False, False, True, True])
    assert auroc(np.array([0.0, 1.0, 2.0, 3.0]), label) == 1.0
    assert auroc(np.array([0.0, 2.0, 1.0, 3.0]), label) == 0.75
    assert auroc(np.zeros(4), label) == 0.5


@pytest.mark.slow
def test_sac_alam_drives_fast_and_stops_where_sac_drives_on(tmp_path: Path) -> None:
    """Over the second half of a run, as its last moment says little: one checkpoint in sixteen is unsafe.

    Medians of seed 0 are 0.96 of the optimum and 0.7 % of episodes in violation; of seeds 1 to 4 0.87 to 0.89 and at
    most 0.7 %. Unsafe are 3, 2, 0, 0 and 0 of 16 (benchmarks/results/braking-course.md).
    """
    found = course(0, tmp_path)
    assert median(found.returns) > 0.8
    assert median(found.violating) < 0.02
    assert sum(share > UNSAFE for share in found.violating) <= len(found.violating) // 3
    assert min(reached.lam_auroc for reached in found.checkpoints) > 0.95
    unconstrained = measure(train("sac", 0, tmp_path))
    assert unconstrained.violating > 0.9


@pytest.mark.slow
def test_crpo_stops_too(tmp_path: Path) -> None:
    """Seed 0 reaches 0.80 of the optimum with no violation; it is given 200,000 steps."""
    reached = measure(train("crpo", 0, tmp_path))
    assert reached.return_share > 0.6
    assert reached.violating < 0.05
