"""Every method is told apart in colour, by the colour-blind, and in grey."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from statewise.methods import METHODS
from statewise.report.styles import STYLES, Style, styles_of

VISION = {
    "all cones": np.eye(3),
    # Machado, Oliveira and Fernandes (2009), severity 1.
    "no red cones": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green cones": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue cones": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def lab(colour: str, vision: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIELAB of an sRGB colour as somebody sees it."""
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.clip(vision @ np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4), 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = to_xyz @ linear / np.array([0.95047, 1.0, 1.08883])
    fx, fy, fz = (np.cbrt(t) if t > 216 / 24389 else (24389 / 27 * t + 16) / 116 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def test_every_method_has_a_style_and_a_marker_of_its_own() -> None:
    assert set(STYLES) == set(METHODS)
    assert len({style.marker for style in STYLES.values()}) == len(STYLES)


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart(vision: str) -> None:
    seen = {name: lab(style.colour, VISION[vision]) for name, style in STYLES.items()}
    distances = {(a, b): np.linalg.norm(seen[a] - seen[b]) for a, b in itertools.combinations(seen, 2)}
    assert min(distances.values()) > 15, min(distances, key=lambda pair: distances[pair])


def test_lines_of_one_kind_differ_in_lightness() -> None:
    for (a, one), (b, other) in itertools.combinations(STYLES.items(), 2):
        if one.line == other.line:
            lightness = [lab(style.colour, np.eye(3))[0] for style in (one, other)]
            assert abs(lightness[0] - lightness[1]) >= 14, (a, b)


def test_labels_keep_their_methods_style_and_others_take_what_is_free() -> None:
    styles = styles_of(["TD3Lag", "sac-alam", "sac-alam (paper)", "TD3Lag"])
    assert list(styles) == ["TD3Lag", "sac-alam", "sac-alam (paper)"]
    assert styles["sac-alam"] == STYLES["sac-alam"]
    assert len(set(styles.values())) == 3
    assert styles_of(["sac-alam"])["sac-alam"] == styles["sac-alam"]


def test_more_labels_than_styles_repeat_them() -> None:
    styles = styles_of(f"x{i}" for i in range(25))
    assert len(styles) == 25
    assert all(isinstance(style, Style) for style in styles.values())
    assert styles["x0"] == styles["x11"]
