"""The report page: its numbers are the evaluation's, it needs no network, and a browser draws it."""

from __future__ import annotations

import base64
import hashlib
import html
import inspect
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from support.browser import opened
from support.many_runs import write_run

from statewise.cli.arguments import Evaluate, parse, parse_train
from statewise.experiments import guards, report_page
from statewise.experiments.commands import train_command
from statewise.experiments.curves import Curves, curves_of, read_runs
from statewise.experiments.evaluation import Evaluation, evaluate
from statewise.experiments.guards import Finding
from statewise.experiments.report_page import build_page
from statewise.identity import Identity
from statewise.report.page import json_script, page_html, write_page
from statewise.report.page.tables import Cell, estimate, number, table
from statewise.report.plotly import SHA256, plotly_js
from statewise.spec import RunSpec, make_config

HOSTILE = "</script><script>alert(1)</script>"


def some_curves(labels: tuple[str, ...] = ("sac-alam", "sac", HOSTILE), seeds: int = 3, tasks: int = 2) -> Curves:
    """Runs of 20 evaluations whose costs straddle the limit of 1; the last label's last seed stops half way."""
    rng = np.random.default_rng(0)
    runs: list[dict[str, Any]] = []
    rows: list[pl.DataFrame] = []
    for label in labels:
        for task in (f"SafetyTask{i}-v0" for i in range(tasks)):
            for seed in range(seeds):
                steps = np.arange(1, 21) * 100
                stopped = label == labels[-1] and seed == seeds - 1
                runs.append(
                    {"run": f"{label}/{task}/{seed}", "label": label, "task": task, "seed": seed, "source": "csv"}
                    | {"total_steps": 4000 if stopped else 2000, "cost_limit": 1.0, "threshold": 0.1}
                )
                values = {"return": rng.normal(10.0, 1.0, 20).cumsum(), "cost": rng.exponential(1.0, 20)}
                evals = pl.DataFrame({"phase": "eval", "step": steps, **values, "f_bias": rng.normal(0.0, 0.01, 20)})
                train = pl.DataFrame({"phase": "train", "step": steps, "lam": rng.random(20), "violations": steps / 10})
                rows.append(pl.concat([evals, train], how="diagonal_relaxed"))
    return curves_of(runs, rows)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluate(some_curves())


class Tables(HTMLParser):
    """Rows of every table by its name: the text of each cell, and the full numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, list[list[tuple[str, float | None]]]] = {}
        self._name, self._value, self._text = "", None, None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self._name = given["data-table"] or ""
            self.rows[self._name] = []
        elif tag == "tr":
            self.rows[self._name].append([])
        elif tag in ("td", "th"):
            value = given.get("data-value")
            self._value, self._text = None if value is None else float(value), ""

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._text is not None:
            self.rows[self._name][-1].append((self._text, self._value))
            self._text = None


def tables_of(text: str) -> dict[str, list[list[tuple[str, float | None]]]]:
    parser = Tables()
    parser.feed(text)
    return parser.rows


def test_numbers_on_the_page_are_those_of_the_evaluation(evaluation: Evaluation) -> None:
    tables = tables_of(page_html(build_page(evaluation)))
    header, *rows = tables["summary"]
    assert header[1][0] == "return, mean"
    means = evaluation.summary.filter((pl.col("measure") == "return") & (pl.col("statistic") == "mean"))
    assert {row[0][0]: row[1][1] for row in rows} == dict(means.select("label", "value").iter_rows())
    for task in ("SafetyTask0-v0", "SafetyTask1-v0"):
        header, *rows = tables[f"task:{task}"]
        costs = evaluation.tasks.filter((pl.col("measure") == "cost") & (pl.col("task") == task))
        column = [name for name, _ in header].index("cost")
        assert {row[0][0]: row[column][1] for row in rows} == dict(costs.select("label", "value").iter_rows())


def test_left_out_runs_and_findings_are_named(evaluation: Evaluation) -> None:
    text = page_html(build_page(evaluation))
    header, *rows = tables_of(text)["runs"]
    assert header[-1][0] == "left out because"
    assert [row[-1][0] for row in rows].count("it has not come to its end") == 2
    assert len(rows) == 18
    assert "seed 2" in text[text.index('class="findings"') : text.index('id="summary"')]


def test_many_findings_of_a_kind_are_folded_and_few_are_not(evaluation: Evaluation) -> None:
    few = [Finding("seeds", "", f"T{i}", "seeds are unequal") for i in range(3)]
    many = [Finding("bias", f"m<{i}", "", "F̂ is off") for i in range(4)]
    text = page_html(build_page(evaluation._replace(findings=[*few, *many])))
    told = text[text.index('class="findings"') : text.index('id="summary"')]
    unfolded, folded = told.split("<details>")
    assert [f"<li>T{i}: seeds are unequal</li>" in unfolded for i in range(3)] == [True] * 3
    assert folded.startswith("<summary>Runs whose F̂ is off by more than d")
    assert "(4 findings)</summary>" in folded
    assert [f"<li>m&lt;{i}: F̂ is off</li>" in folded for i in range(4)] == [True] * 4


def test_every_kind_of_finding_has_words_for_many() -> None:
    source = inspect.getsource(guards)
    assert set(re.findall(r'Finding\("(\w+)"', source)) == set(report_page._KINDS)


def test_page_holds_all_it_needs_and_no_text_of_a_run_ends_a_script(evaluation: Evaluation) -> None:
    text = page_html(build_page(evaluation))
    assert "default-src 'none'" in text
    own = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", own)
    assert "alert(1)</script>" not in text.replace(json_script("x", ""), "")
    details = re.findall(r'<script type="application/json" id="run-(\d+)">(.*?)</script>', text)
    assert [int(number) for number, _ in details] == list(range(18))
    first = json.loads(details[0][1])
    curve = evaluation.curves.evaluations.filter(pl.col("run") == evaluation.runs["run"][0])
    np.testing.assert_allclose(first["evaluations"]["cost"], curve["cost"], rtol=1e-4)
    assert first["training"]["step"] == list(range(100, 2001, 100))


def test_the_library_of_the_charts_is_the_file_that_was_published() -> None:
    assert hashlib.sha256(plotly_js().encode()).hexdigest() == SHA256
    assert plotly_js() in page_html(build_page(evaluate(some_curves(seeds=1, tasks=1))))
    assert "</script" not in plotly_js().lower()


def test_a_page_that_is_watched_loads_itself_again(evaluation: Evaluation, tmp_path: Path) -> None:
    write_page(build_page(evaluation, refresh=30), tmp_path / "report.html")
    assert '<meta http-equiv="refresh" content="30">' in (tmp_path / "report.html").read_text("utf-8")
    assert 'http-equiv="refresh"' not in page_html(build_page(evaluation))


def test_command_of_a_run_trains_the_same_configuration() -> None:
    config = make_config("sac-alam", seed=3, total_steps=5000, zeta=None, hidden=(32, 16), binary_cost=False)
    made = Identity(kwargs={"g": 0.1}, max_episode_steps=50, constraint="here:h")
    parsed = parse_train(shlex.split(train_command(RunSpec("SafetyPointGoal1-v0", config, made)))[2:])
    assert (parsed.config, parsed.task) == (config, "SafetyPointGoal1-v0")
    assert (parsed.env_kwargs, parsed.max_episode_steps, parsed.constraint) == ('{"g": 0.1}', 50, "here:h")


def test_a_run_that_has_just_begun_is_named_and_has_an_empty_detail(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [1.0, 2.0], [0.0, 0.0])
    write_run(tmp_path, "sac", 1, [], [], total_steps=200)
    page = build_page(evaluate(read_runs([tmp_path])))
    assert page.details[1]["evaluations"]["step"] == []
    assert "seed 1 has logged nothing of 200" in page.sections[0].content
    begun = build_page(evaluate(read_runs([tmp_path / "SafetyPointGoal1-v0" / "sac" / "seed-1-1"])))
    assert "No run came to its end yet" in begun.sections[2].content


MP4 = b"\0\0\0\x20ftypisom" + bytes(100)


def test_a_film_in_a_runs_folder_is_in_its_detail_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = {0: ("film.mp4", MP4), 1: ("b.gif", b"GIF89a" + bytes(9)), 2: ("film.mp4", MP4 + bytes(10**6))}
    films |= {3: ("film.mp4", b"<html>" * 9), 5: ("film.mp4", MP4)}
    for seed in range(6):
        run = write_run(tmp_path / "runs <b>", "sac", seed, [1.0, 2.0], [0.0, 0.0])
        if seed in films:
            name, content = films[seed]
            (run / name).write_bytes(content)
    curves = read_runs([tmp_path / "runs <b>"])
    monkeypatch.setattr("statewise.report.page.films.MOST_OF_A_PAGE", 150)
    seen = [detail["html"] for detail in build_page(evaluate(curves)).details.values()]
    assert f'src="data:video/mp4;base64,{base64.b64encode(MP4).decode()}"' in seen[0]
    assert 'aria-label="Film of sac on SafetyPointGoal1-v0, seed 0"' in seen[0]
    assert '<img class="film" src="data:image/gif;base64,R0lGODlh' in seen[1]
    assert "takes 1.0 MB, and a page takes in 1 MB of a run" in seen[2]
    assert "film.mp4 is no film" in seen[3]
    assert "It has no film." in seen[4]
    assert "this page carries as many as it can" in seen[5]
    advice = html.unescape(re.findall(r"<pre>(.*?)</pre>", seen[4])[-1])
    parsed = parse(Evaluate, shlex.split(advice)[2:], "evaluate")
    assert parsed.run == Path(curves.runs["run"][4])
    assert parsed.video == parsed.run / "film.mp4"
    assert not any("<b>" in text for text in seen)


def test_a_page_made_where_its_runs_lie_says_nothing_of_where_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path, "sac", 0, [1.0, 2.0], [0.0, 0.0])
    monkeypatch.chdir(tmp_path)
    (detail,) = build_page(evaluate(read_runs([Path()]))).details.values()
    assert "statewise evaluate SafetyPointGoal1-v0/sac/seed-0-" in html.unescape(detail["html"])
    assert str(tmp_path) not in detail["html"]


def test_cells() -> None:
    assert estimate(17.12, 14.2, 20.0) == Cell("17.1 [14.2, 20.0]", 17.12)
    assert estimate(0.0123, None, None) == Cell("0.012", 0.0123)
    assert estimate(None, None, None) == Cell("–")
    assert [number(x) for x in (0.0, 0.125, 3.14159, -12345.6)] == ["0", "0.12", "3.14", "-12,346"]
    text = table("a <caption>", ["name"], [["<b>"], [Cell("<i>x</i>", markup=True)]], name="t")
    assert "&lt;b&gt;" in text
    assert "<i>x</i>" in text
    assert "a &lt;caption&gt;" in text


@pytest.mark.slow
def test_browser_draws_every_chart_and_opens_a_run(evaluation: Evaluation, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_page(build_page(evaluation), page)
    seen = opened(page, "document.getElementById('seeds').click();", tmp_path, anchor="#open-0")
    assert seen.count('data-drawn="yes"') == 4, "two of all tasks, one each of two tasks"
    detail = seen[seen.index('id="detail"') :]
    assert "sac-alam on SafetyTask0-v0, seed 0" in detail
    assert detail.count('class="main-svg"') >= 2 * 4, "return, cost, multiplier and bias"


@pytest.mark.slow
def test_narrow_page_scrolls_in_its_tables_alone(evaluation: Evaluation, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    write_page(build_page(evaluation), page)
    measure = "document.title = document.documentElement.scrollWidth + ' of ' + window.innerWidth;"
    seen = opened(page, f"window.addEventListener('load', () => {{ {measure} }});", tmp_path, size=(500, 8000))
    scrolled, width = map(int, re.search(r"<title>(\d+) of (\d+)</title>", seen).groups())  # pyright: ignore[reportOptionalMemberAccess]
    assert scrolled <= width
