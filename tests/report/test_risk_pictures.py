"""Pictures and pages of maps that are written by hand; the pages are opened in Chromium where there is one."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.browser import opened

from statewise.report.map_page import maps_page
from statewise.report.maps import Motion, Outline, RiskMaps, compass, maps_picture, scale

HAZARD = Outline("hazard", np.array([(0.2, 0.0), (0.0, 0.2), (-0.2, 0.0), (0.0, -0.2)]))
GOAL = Outline("goal", HAZARD.points + 0.5)


def made_maps(label: str = "sac-alam", directions: tuple[float, ...] = (0.0, math.pi / 2)) -> RiskMaps:
    """λ = speed + x and F̂ = x² + y², over four speeds and these directions; d = 0.25."""
    x = np.linspace(-1.0, 1.0, 9)
    motions = tuple(Motion(speed, way) for way in directions for speed in (0.0, 0.5, 1.0, 2.0))
    plane_x, plane_y = np.meshgrid(x, x)
    lam = np.array([motion.speed + plane_x for motion in motions], np.float32)
    f = np.array([plane_x**2 + plane_y**2] * len(motions), np.float32)
    axes = ("x, m", "y, m")
    return RiskMaps(label, "Task-v0", 0.25, axes, x, x, lam, f, motions, "layout of seed 3", (HAZARD, GOAL), 0.5)


def flat_maps() -> RiskMaps:
    """One map over two entries of an observation, λ the same everywhere."""
    x, y = np.linspace(0.0, 1.0, 5), np.linspace(10.0, 30.0, 7)
    lam, f = np.full((1, 7, 5), 0.5, np.float32), np.zeros((1, 7, 5), np.float32)
    return RiskMaps("ppo", "Task-v0", 0.1, ("observation 4", "observation 2"), x, y, lam, f, note="the rest as then")


# --- what maps say -----------------------------------------------------------------------------------------------


def test_one_direction_is_a_row_of_speeds() -> None:
    maps = made_maps()
    north = maps.heading(math.pi / 2)
    assert [north.title(case) for case in range(4)] == [
        "at rest, facing north",
        "0.5 m/s north\n1.0 × usual in training",
        "1 m/s north\n2.0 × usual in training",
        "2 m/s north\n4.0 × usual in training",
    ]
    np.testing.assert_array_equal(north.lam, maps.lam[4:])


@pytest.mark.parametrize(
    ("degrees", "word"), [(0, "east"), (90, "north"), (-90, "south"), (225, "south-west"), (30, "at 30°")]
)
def test_directions_in_words(degrees: float, word: str) -> None:
    assert compass(math.radians(degrees)) == word


def test_scale_is_shared_and_bears_extremes() -> None:
    one, other = made_maps(), made_maps()
    other.lam[:] = 7.0
    other.lam[0, 0, 0] = 1e6
    low, high = scale([one, other], "lam")
    assert (low, high) == (pytest.approx(-1.0, abs=0.3), 7.0)
    assert scale([flat_maps()], "lam") == (0.0, 0.5)
    assert scale([flat_maps()], "f") == (0.0, 1.0)


# --- pictures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_picture_in_every_format_is_the_same_twice(ending: str, start: bytes, tmp_path: Path) -> None:
    one, other = (maps_picture([made_maps(directions=EAST)], tmp_path / f"{name}{ending}") for name in "ab")
    assert one.read_bytes().startswith(start)
    assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"a{ending}", f"b{ending}"]


EAST = (0.0,)


def test_picture_names_what_it_shows(tmp_path: Path) -> None:
    both = [made_maps("sac-alam", EAST), made_maps("sac-lagnet", EAST)]
    text = maps_picture(both, tmp_path / "maps.svg").read_text(encoding="utf-8")
    for word in ("Task-v0, layout of seed 3", "sac-lagnet", "2 m/s east", "F̂(x) = d = 0.25", "hazard", "goal"):
        assert word in text, word
    text = maps_picture([flat_maps()], tmp_path / "flat.svg").read_text(encoding="utf-8")
    for word in ("the rest as then", "observation 4", "observation 2", "ppo"):
        assert word in text, word


def test_scale_of_colours_keeps_its_order_in_grey() -> None:
    from matplotlib import colormaps

    from statewise.report.maps import COLOURS

    red, green, blue, _ = colormaps[COLOURS](np.linspace(0.0, 1.0, 64)).T
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    assert (np.diff(grey) < 0.0).all()


@pytest.mark.parametrize("write", [maps_picture, maps_page])
def test_nothing_is_left_where_a_file_cannot_be(write: Callable[..., Path], tmp_path: Path) -> None:
    for output, said in ((tmp_path / "maps.txt", "must end in"), (tmp_path / "no" / "maps.html", "no folder|must end")):
        with pytest.raises(ValueError, match=said):
            write([made_maps(directions=EAST)], output)
    assert not list(tmp_path.iterdir())


# --- the page ----------------------------------------------------------------------------------------------------


def content_of(page: Path) -> dict:
    """The data in a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_page_holds_every_number_and_fetches_nothing(tmp_path: Path) -> None:
    maps = made_maps("</script><b>")
    page = maps_page([maps], tmp_path / "maps.html")
    content = content_of(page)
    (run,) = content["runs"]
    assert run["label"] == "</script><b>"
    lam = np.frombuffer(base64.b64decode(run["lam"]), "<f4").reshape(maps.lam.shape)
    np.testing.assert_array_equal(lam, maps.lam)
    assert content["speeds"] == [0.0, 0.5, 1.0, 2.0]
    assert content["directions"] == ["east", "north"]
    head = page.read_text("utf-8")[:2000]
    assert "default-src 'none'" in head
    assert "src=" not in head


MOVE = """
for (const [name, value] of [["network", "f"], ["speed", 3], ["direction", 1]]) {
  document.getElementById(name).value = value;
  document.getElementById(name).dispatchEvent(new Event("input", { bubbles: true }));
}
"""


def test_page_opens_on_the_first_map(tmp_path: Path) -> None:
    seen = opened(maps_page([made_maps()], tmp_path / "maps.html"), "", tmp_path)
    assert "sac-alam, at rest, facing east: mean λ 0.00, mean F̂ 0.833, F̂ &gt; d on 84 % of the map" in seen
    assert seen.count('class="heatmaplayer') == 1
    assert re.search(r"<image[^>]+data:image/png", seen)
    for word in ("x, m", "hazard", "goal", "F̂(x) = d = 0.25"):
        assert word in seen, word


def test_menu_and_sliders_change_the_maps_of_both_runs(tmp_path: Path) -> None:
    page = maps_page([made_maps("first"), made_maps("second")], tmp_path / "maps.html")
    before, after = (opened(page, script, tmp_path) for script in ("", MOVE))
    for label in ("first", "second"):
        assert f"{label}, at rest, facing east: mean λ" in before
        assert f"{label}, 2 m/s north, 4.0 × usual in training: mean λ 2.00" in after
    images = [re.findall(r"<image[^>]+(data:image/png[^\"]+)", seen) for seen in (before, after)]
    assert len(images[0]) == len(images[1]) == 2
    assert images[0][0] == images[0][1] != images[1][0]


def test_page_over_entries_has_no_sliders(tmp_path: Path) -> None:
    seen = opened(maps_page([flat_maps()], tmp_path / "maps.html"), "", tmp_path)
    assert "ppo: mean λ 0.500, mean F̂ 0.00, F̂ &gt; d on 0 % of the map" in seen
    assert seen.count('<label class="motion" hidden="">') == 2
    assert "observation 4" in seen
