"""The double integrator as an environment: the motion of its model, and a crash as the end."""

from __future__ import annotations

import numpy as np

from benchmarks.corridor import EPISODE_STEPS, RESULTS, SYSTEM, Corridor, read_rows


def test_the_environment_is_the_model() -> None:
    env = Corridor()
    for seed in range(20):
        obs, _ = env.reset(seed=seed)
        assert SYSTEM.penetration(obs[:1])[0] <= 0.0
        for number in range(EPISODE_STEPS):
            action = np.array([np.sin(number + seed)], np.float32)
            saved = env.get_state()
            p, v, worst = SYSTEM.advance(obs[:1], obs[1:], action.astype(np.float64))
            answer = env.step(action)
            next_obs, reward, terminated, truncated, info = answer
            np.testing.assert_array_equal(next_obs, np.concatenate([p, v]))
            assert reward == abs(p[0] - obs[0])
            assert terminated == (info["cost"] == 1.0) == (worst[0] > 0.0)
            assert truncated == (number == EPISODE_STEPS - 1 and not terminated)
            env.set_state(saved)
            np.testing.assert_array_equal(env.step(action)[0], next_obs)
            obs = next_obs
            if terminated:
                break


def test_most_episodes_start_in_the_safe_set() -> None:
    env = Corridor()
    starts = np.array([env.reset(seed=seed)[0] for seed in range(400)])
    safe = SYSTEM.is_safe(starts[:, 0], starts[:, 1]).mean()
    # 70 % by choice, and of the others the share that the safe set has of all states, 32/3 of 24.
    assert abs(safe - (0.7 + 0.3 * (32.0 / 3.0) / 24.0)) < 0.07


def test_the_committed_table_has_three_seeds_of_both_methods() -> None:
    assert set(read_rows(RESULTS)) == {(method, seed) for method in ("sac-alam", "sac-lagnet") for seed in range(3)}
