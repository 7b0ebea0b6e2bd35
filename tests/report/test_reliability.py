"""Chances, Brier scores and reliability bins on numbers worked by hand, and on risks that are known."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from statewise.report.calibration import Labelled, over_episodes
from statewise.report.calibration_picture import calibration_picture, parts_of
from statewise.report.calibration_report import calibration_report, part_report
from statewise.report.reliability import (
    brier,
    brier_of_rate,
    chances,
    isotonic,
    mean,
    reliability,
    value_edges,
)


def states(episode: list[int], score: list[float], violated: list[int]) -> Labelled:
    event = np.array(violated, bool)
    return Labelled(np.array(episode), np.array(score), np.array(score), event, event)


def test_brier_by_hand() -> None:
    chance, event = np.array([0.9, 0.2, 0.5]), np.array([True, False, True])
    assert brier(chance, event, np.ones(3)) == pytest.approx((0.01 + 0.04 + 0.25) / 3.0)
    assert brier(chance, event, np.array([2.0, 0.0, 1.0])) == pytest.approx((0.02 + 0.25) / 3.0)
    assert brier(np.array([1.0, 0.0, 1.0]), event, np.ones(3)) == 0.0
    assert brier_of_rate(event, np.ones(3)) == pytest.approx(2.0 / 9.0)
    assert math.isnan(mean(np.ones(3), np.zeros(3)))


def test_isotonic_pools_what_falls() -> None:
    """Rates 0, 1, 0, 1 at scores 1 to 4: the second and third fall, and are pooled to a half."""
    curve = isotonic(np.array([3.0, 1.0, 2.0, 4.0]), np.array([False, False, True, True]))
    assert curve.score.tolist() == [1.0, 2.0, 3.0, 4.0]
    assert curve.chance.tolist() == [0.0, 0.5, 0.5, 1.0]
    assert curve(np.array([-9.0, 1.5, 2.5, 3.5, 9.0])).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    # Equal scores are one point, which counts as often as it is there.
    tied = isotonic(np.array([1.0, 1.0, 1.0, 2.0]), np.array([True, True, False, False]))
    assert tied.chance.tolist() == [0.5, 0.5]


def test_no_episode_is_judged_by_itself() -> None:
    """Even episodes never end badly, odd ones always: each is foretold what came of the others."""
    both = states([0, 0, 1, 1, 2, 3], [1.0, 2.0, 1.0, 2.0, 1.5, 1.5], [0, 0, 1, 1, 0, 1])
    assert chances(both, both, same_episodes=True).tolist() == [1.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    assert np.isnan(chances(states([4], [1.0], [1]), states([4], [1.0], [1]), same_episodes=True)).all()
    assert chances(both, states([7], [1.5], [1]), same_episodes=False).tolist() == [0.5]


def test_bins_by_hand() -> None:
    foretold, came = np.array([0.0, 0.05, 0.1, 0.95, 1.0]), np.array([0.0, 1.0, 1.0, 1.0, 0.0])
    episode = np.array([0, 1, 2, 3, 3])
    bins = reliability(foretold, came, episode, np.linspace(0.0, 1.0, 11))
    assert [each.states for each in bins] == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert bins[0].foretold == pytest.approx(0.025)
    assert bins[0].came.value == 0.5
    assert (bins[0].came.low, bins[0].came.high) == (0.0, 1.0)  # two episodes, one of each kind
    assert bins[9].came.value == 0.5
    assert math.isnan(bins[9].came.low)  # one episode says nothing of others
    assert all(math.isnan(value) for value in (bins[4].foretold, *bins[4].came))
    assert sum(each.states for each in reliability(np.full(5, np.nan), came, episode, np.linspace(0, 1, 11))) == 0


def test_an_interval_of_a_bin_is_over_its_episodes() -> None:
    """Forty episodes with a value each, a hundred states in each: as wide as forty numbers make it."""
    values = np.repeat(np.random.default_rng(0).normal(size=40), 100)
    episode = np.repeat(np.arange(40), 100)
    (found,) = reliability(np.full(4000, 0.5), values, episode, np.array([0.0, 1.0]))
    assert found.came == over_episodes(lambda w: mean(values, w), episode)
    assert found.came.high - found.came.low == pytest.approx(2 * 1.96 * values[::100].std() / math.sqrt(40), rel=0.2)


def test_edges_are_quantiles_and_coincide_once() -> None:
    edges = value_edges(np.arange(101.0))
    assert edges.tolist() == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 100]
    assert value_edges(np.array([0.0] * 99 + [5.0])).tolist() == pytest.approx([0.0, 0.05, 5.0])
    assert reliability(np.ones(3), np.ones(3), np.arange(3), value_edges(np.ones(3)))[0].states == 3


def known_risk(episodes: int, seed: int) -> Labelled:
    """Ten states an episode, scored by x, with violations at the chance x²."""
    random = np.random.default_rng(seed)
    x = random.random(10 * episodes)
    violated = random.random(len(x)) < x**2
    return Labelled(np.repeat(np.arange(episodes), 10), x, x**2, violated, violated)


def test_chances_that_are_known_are_recovered() -> None:
    """The Brier score of the true chances is E[x²(1 − x²)] = 1/3 − 1/5; that of the rate, 1/3, is 2/9."""
    met = known_risk(1000, seed=0)
    report = calibration_report(met, 0.1, of_value=True)
    assert report["brier"]["value"] == pytest.approx(2.0 / 15.0, abs=0.01)
    assert report["brier"]["low"] < 2.0 / 15.0 < report["brier"]["high"]
    assert report["brier_of_rate"]["value"] == pytest.approx(2.0 / 9.0, abs=0.01)
    for each in report["reliability"]:
        assert each["came"]["low"] - 0.05 < each["foretold"] < each["came"]["high"] + 0.05
    assert sum(each["states"] for each in report["expected"]) == 10_000
    for each in report["expected"]:
        # x foretold where x² came: the mean square is that of the mean and the spread.
        assert each["came"]["value"] == pytest.approx(each["foretold"] ** 2, abs=0.002)


def test_the_picture_is_drawn_with_all_parts_and_with_one(tmp_path: Path) -> None:
    met = known_risk(40, seed=1)
    both = {signal: calibration_report(met, 0.1, signal == "f") for signal in ("f", "lam")}
    fast = {signal: part_report(met, met, signal == "f", same_episodes=True) for signal in ("f", "lam")}
    alone = {**both, "states": 400, "horizon": 25, "fast": {"absent": "no"}, "dense": {"absent": "no"}}
    whole = {**alone, "fast": {"above": 1.234, "states": 4, **fast}, "dense": {"crowding": 1.5, "states": 4, **fast}}
    assert list(parts_of(whole)) == ["states met", "faster than 1.23 m/s", "1.5 times as many hazards"]
    assert list(parts_of(alone)) == ["states met"]
    pictures = [
        matplotlib.image.imread(calibration_picture(report, "A run", "sac-alam", tmp_path / f"{number}.png"))
        for number, report in enumerate((alone, whole))
    ]
    assert pictures[0].shape == pictures[1].shape
    colours = [{tuple(pixel) for pixel in (255 * p[..., :3]).astype(int).reshape(-1, 3)} for p in pictures]
    assert (0xD5, 0x5E, 0x00) in colours[0] & colours[1]  # of SAC-ALaM
    assert (0xE6, 0x9F, 0x00) in colours[1] - colours[0]  # the next one
    with pytest.raises(ValueError, match=r"must end in \.png"):
        calibration_picture(alone, "A run", "sac-alam", tmp_path / "a.svg")
