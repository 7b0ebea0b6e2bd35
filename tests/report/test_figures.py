"""Figures for print: which there are, what they show, their sizes and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure
from support.many_runs import curves_by_hand

from statewise.experiments.curves import Curves, curves_of
from statewise.experiments.drawing import figures_of
from statewise.experiments.evaluation import evaluate
from statewise.report.figures import WIDTHS, Columns, short, write_figure
from statewise.report.styles import STYLES, styles_of


def curves(*labels: str, tasks: tuple[str, ...] = ("SafetyPointGoal1-v0", "B"), seeds: int = 3) -> Curves:
    """Learning curves of three evaluations."""
    runs, rows = [], []
    for i, label in enumerate(labels):
        for task in tasks:
            for seed in range(seeds):
                run = {"run": f"{label}{task}{seed}", "label": label, "task": task, "seed": seed}
                runs.append({**run, "source": "csv", "total_steps": 300, "cost_limit": 2.0})
                gain = [float(i), i + seed + 1.0, i + seed + 2.0]
                rows.append(
                    pl.DataFrame({"phase": "eval", "step": [100, 200, 300], "return": gain, "cost": [30.0, 3.0, seed]})
                )
    return curves_of(runs, rows)


def panels(figure: Figure) -> list[Any]:
    """The axes of a figure, whose data have no narrower type."""
    return list(figure.axes)


def lines(axes: Any) -> list[Any]:
    """The lines with data, the limit left out."""
    return [line for line in axes.get_lines() if len(line.get_xdata()) > 2]


def test_which_figures_there_are() -> None:
    always = {"learning-curves", "trade-off", "performance-profile"}
    assert set(figures_of(evaluate(curves("sac", "ppo")))) == always
    assert set(figures_of(evaluate(curves("sac-alam", "sac-alam-ga")))) == always | {"ablation"}
    assert set(figures_of(evaluate(curves("sac-alam", "sac-lagnet")))) == always | {"stability"}
    unfinished = curves("sac")
    unfinished = unfinished._replace(runs=unfinished.runs.with_columns(total_steps=pl.lit(9999)))
    assert set(figures_of(evaluate(unfinished))) == {"learning-curves"}


def test_learning_curves_show_means_intervals_and_the_limit() -> None:
    evaluation = evaluate(curves("sac-alam", "sac"))
    figure = figures_of(evaluation)["learning-curves"](2)
    cost, other, gain, _ = panels(figure)
    assert [axes.get_title() for axes in panels(figure)] == ["PointGoal1", "B", "", ""]
    assert (cost.get_ylabel(), gain.get_ylabel(), other.get_ylabel()) == ("episode cost", "episode return", "")
    first, second = lines(gain)
    assert first.get_xdata().tolist() == [100, 200, 300]
    assert first.get_ydata().tolist() == [0.0, 2.0, 3.0]
    assert second.get_ydata().tolist() == [1.0, 3.0, 4.0]
    for line, name in ((first, "sac-alam"), (second, "sac")):
        style = STYLES[name]
        assert (line.get_color(), line.get_marker()) == (style.colour, style.marker)
    band = evaluation.bands.filter((pl.col("column") == "return") & (pl.col("label") == "sac-alam"))
    corners = np.asarray(gain.collections[0].get_paths()[0].vertices)
    assert corners[:, 1].min() == pytest.approx(band["low"].min())
    assert [line.get_ydata()[0] for line in cost.get_lines() if len(line.get_xdata()) == 2] == [2.0]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["sac-alam", "sac", "cost limit"]


def test_of_many_labels_the_first_is_shaded_and_all_have_bars_beside_the_curves() -> None:
    many = ("sac-alam", "sac", "sac-lag", "sac-pid", "asac")
    evaluation = evaluate(curves(*many, tasks=("B",)))
    figure = figures_of(evaluation)["learning-curves"](2)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert sorted(legend) == sorted([*many, "cost limit"])
    for axes, column in zip(panels(figure), ("cost", "return"), strict=True):
        shade, *bars = axes.collections
        ours = evaluation.bands.filter(pl.col("label") == "sac-alam", pl.col("column") == column)
        assert np.asarray(shade.get_paths()[0].vertices)[:, 1].min() == pytest.approx(ours["low"].min())
        assert len(bars) == len(many)
        for bar, label in zip(bars, legend[:-1], strict=True):
            last = evaluation.bands.filter(pl.col("label") == label, pl.col("column") == column).tail(1)
            assert np.asarray(bar.get_paths()[0].vertices)[:, 1] == pytest.approx([last["low"][0], last["high"][0]])
        places = [float(np.asarray(bar.get_paths()[0].vertices)[0, 0]) for bar in bars]
        assert places == sorted(places)
        assert axes.get_xlim()[1] > places[-1] > places[0] > 300
        assert max(axes.get_xticks()) <= 300


def test_intervals_of_two_seeds_are_not_drawn() -> None:
    figure = figures_of(evaluate(curves("sac", seeds=2)))["learning-curves"](1)
    assert [len(axes.collections) for axes in panels(figure)] == [0, 0, 0, 0]


def test_stability_draws_every_seed_in_place_of_intervals() -> None:
    figure = figures_of(evaluate(curves("sac-alam", "sac-lagnet", "sac", tasks=("B",))))["stability"](2)
    gain = panels(figure)[1]
    assert len(gain.collections) == 0
    assert len(lines(gain)) == 2 * (3 + 1)
    assert {line.get_color() for line in lines(gain)} == {STYLES[name].colour for name in ("sac-alam", "sac-lagnet")}


def test_trade_off_has_a_point_for_each_label_and_the_lowest_cost_to_the_right() -> None:
    runs = curves_by_hand(
        {
            "a": {"T": [(0.0, 0.0), (1.0, 0.2)]},
            "b": {"T": [(2.0, 1.0), (4.0, 0.8)]},
            "c": {"U": [(0.0, 1.0), (1.0, 2.0)], "T": [(1.0, 0.5)]},
        }
    )
    evaluation = evaluate(runs.where(pl.col("label") != "c"))
    (axes,) = panels(figures_of(evaluation)["trade-off"](1))
    assert axes.xaxis_inverted()
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.get_lines()]
    assert points == [pytest.approx((0.1, 0.125)), pytest.approx((0.9, 0.75))]
    (axes,) = panels(figures_of(evaluate(runs))["trade-off"](1))
    assert axes.get_lines()[0].get_color() == styles_of(["a", "b", "c"])["c"].colour
    assert len(axes.get_lines()) == 1  # a and b lack a task


def test_profile_falls_from_all_runs_to_none() -> None:
    figure = figures_of(evaluate(curves("sac-alam", "sac")))["performance-profile"](1)
    for line in panels(figure)[0].get_lines():
        heights = line.get_ydata()
        assert heights[0] <= 1.0
        assert heights[-1] == 0.0
        assert np.all(np.diff(heights) <= 0)


def test_files_in_both_sizes_and_three_formats_that_the_same_data_give_again(tmp_path: Path) -> None:
    draw = figures_of(evaluate(curves("sac", tasks=("B",))))["trade-off"]
    settings = dict(matplotlib.rcParams)
    written = write_figure(draw, tmp_path / "one", "trade-off")
    assert settings == dict(matplotlib.rcParams)
    again = write_figure(draw, tmp_path / "two", "trade-off")
    assert [path.name for path in written] == [
        f"trade-off{size}.{form}" for size in ("-column", "") for form in ("svg", "pdf", "png")
    ]
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
    sizes: dict[Columns, str] = {1: "trade-off-column.png", 2: "trade-off.png"}
    for columns, name in sizes.items():
        assert int.from_bytes((tmp_path / "one" / name).read_bytes()[16:20]) == int(WIDTHS[columns] * 300)
    assert b"<svg" in written[0].read_bytes()
    assert written[1].read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("SafetyPointGoal1-v0", "PointGoal1"),
        ("mine:Maze-v12", "Maze"),
        ("plain", "plain"),
        ("A-very-old", "A-very-old"),
    ],
)
def test_names_of_tasks(task: str, name: str) -> None:
    assert short(task) == name
