"""The double integrator: its motion by hand, its safe set in closed form and by dynamic programming, the comparison."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.theory.reachability import DoubleIntegrator, agreement, compare, make_grid, reach_value

SYSTEM = DoubleIntegrator()


def state(p: float, v: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p]), np.array([v])


def test_one_step_by_hand() -> None:
    p, v, worst = SYSTEM.advance(*state(1.0, 0.5), np.array([1.0]))
    assert (p[0], v[0]) == pytest.approx((1.0 + 0.5 * 0.1 + 0.5 * 0.01, 0.6))
    assert worst[0] == pytest.approx(p[0] - 2.0)
    # Top speed is held.
    p, v, _ = SYSTEM.advance(*state(0.5, 3.0), np.array([1.0]))
    assert (p[0], v[0]) == pytest.approx((0.8, 3.0))
    # An action beyond [−1, 1] is full braking: the point turns at v²/2 = 0.00125 m, 0.05 s into the step.
    p, v, worst = SYSTEM.advance(*state(1.999, 0.05), np.array([-7.0]))
    assert (p[0], v[0]) == pytest.approx((1.999, -0.05))
    assert worst[0] == pytest.approx(1.999 + 0.00125 - 2.0)


def test_penetration() -> None:
    np.testing.assert_allclose(
        SYSTEM.penetration(np.array([-0.1, 0.5, 1.9, 2.25, 2.6, 5.0])), [0.1, -0.5, -0.1, 0.25, -0.1, 0.5]
    )


@pytest.mark.parametrize(
    ("p", "v", "safe"),
    [
        (1.0, 0.0, True),
        (1.0, 1.41, True),  # v²/2 = 0.994 m to the obstacle at 2
        (1.0, 1.42, False),
        (1.0, -1.41, True),
        (1.0, -1.42, False),
        (2.25, 0.0, False),
        (2.25, -1.0, False),  # inside an obstacle, on its way out
        (2.6, -0.44, True),
        (2.6, -0.46, False),
        (4.5, 0.0, True),
        (4.5, 0.1, False),
    ],
)
def test_closed_form_by_hand(p: float, v: float, safe: bool) -> None:
    assert SYSTEM.is_safe(*state(p, v))[0] == safe


def test_full_braking_from_the_edge_stops_at_the_obstacle() -> None:
    p = np.linspace(0.05, 1.95, 20)
    for sign in (1.0, -1.0):
        distance = 2.0 - p if sign > 0 else p
        for scale, crashes in ((1.0 - 1e-9, False), (1.01, True)):
            q, v = p, sign * scale * np.sqrt(2.0 * distance)
            worst = np.full_like(p, -np.inf)
            for _ in range(40):
                moving = v * sign > 0.0
                q, v, h = SYSTEM.advance(q, v, np.where(moving, -sign, 0.0))
                worst = np.where(moving, np.maximum(worst, h), worst)
            assert ((worst > 0.0) == crashes).all()


@pytest.mark.parametrize(
    "system",
    [SYSTEM, DoubleIntegrator(free=((0.0, 1.0),), acceleration=2.0, top_speed=2.4, time_step=0.05)],
)
def test_dynamic_programming_against_the_closed_form(system: DoubleIntegrator) -> None:
    grid = make_grid(system)
    p, v = grid.states()
    value = reach_value(system, grid)
    safe = system.is_safe(p, v)
    inside = system.penetration(p) <= 0.0
    found = agreement(safe[inside], value[inside], value[inside], 1e-9)
    assert found.iou > 0.99
    assert found.false_safe < 0.001
    # Where they differ it is by millimetres.
    differ = inside & (safe != (value <= 1e-9))
    assert (np.abs(value[differ]) < 0.01).all()
    # A point at rest in the middle has half of the stretch to each side.
    low, high = system.free[0]
    middle = np.abs(p - 0.5 * (low + high)) < 1e-9
    assert value[middle & (v == 0.0)] == pytest.approx(0.5 * (low - high))


def test_agreement_by_hand() -> None:
    safe = np.array([True, True, True, False, False])
    f = np.array([0.0, 0.1, 0.9, 0.05, 0.8])
    lam = np.array([0.0, 2.0, 1.0, 1.0, 3.0])
    found = agreement(safe, f, lam, 0.1)
    # Said safe: states 0, 1 and 3; safe: 0, 1 and 2.
    assert found.iou == 0.5
    assert found.false_safe == 0.5
    assert found.false_unsafe == pytest.approx(1.0 / 3.0)
    # Pairs (unsafe, safe): λ = 1 beats 0 and ties with 1, λ = 3 beats all three: 4.5 of 6.
    assert found.lam_auroc == 0.75


@pytest.mark.parametrize(
    ("safe", "f", "words"),
    [
        ([True, False], [0.0, np.nan], "NaN"),
        ([True, True], [0.0, 0.0], "one kind"),
        ([False, False], [0.0, 0.0], "one kind"),
    ],
)
def test_what_cannot_be_compared(safe: list[bool], f: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        agreement(np.array(safe), np.array(f), np.zeros(2), 0.1)


def test_a_policy_that_believes_in_better_brakes() -> None:
    """With twice the brakes every edge is √2 times as far out, and so is the area: IoU 1/√2."""
    brave = DoubleIntegrator(acceleration=2.0)
    seen = []

    def risk(obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(obs)
        unsafe = (~brave.is_safe(obs[:, 0], obs[:, 1])).astype(np.float32)
        return 5.0 * unsafe, unsafe

    found = compare(risk, SYSTEM, cost_threshold=0.3)
    assert found.iou == pytest.approx(2**-0.5, abs=0.005)
    assert found.false_unsafe == 0.0
    # Two stretches of 2 m, two directions each: the integral of √(2s) from 0 to 2 is 8/3; all states: 2 · 2 m · 6 m/s.
    area, total = 4.0 * 8.0 / 3.0, 24.0
    assert found.false_safe == pytest.approx(area * (2**0.5 - 1.0) / (total - area), abs=0.015)
    (obs,) = seen
    assert obs.shape[1] == 2
    assert (SYSTEM.penetration(obs[:, 0]) <= 0.0).all()
