"""What a grid's spec takes, refuses, and becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from statewise.experiments.grid.plan import GridRun, check_tasks, plan
from statewise.experiments.grid.spec import BUILT_IN, PAPER_TASKS, GridSpec, find_spec
from statewise.methods import METHODS
from statewise.spec import make_config

SPEC = """
tasks = ["SafetyPointGoal1-v0", "SafetySwimmerVelocity-v1"]
methods = ["sac-alam", "ppo"]
seeds = [3, 1]
preset = "demo"

[fields]
total_steps = 50_000
update_ratio = 0.125

[overrides.ppo]
total_steps = 100_000

[labels."nothing embedded"]
method = "sac-alam"
embedding = "none"
total_steps = 25_000
"""
ROOT = Path("somewhere")


@pytest.fixture
def runs(tmp_path: Path) -> list[GridRun]:
    path = tmp_path / "mine.toml"
    path.write_text(SPEC, encoding="utf-8")
    return plan(find_spec(str(path)), ROOT, cores=2)


def test_all_runs_of_the_first_seed_come_first(runs: list[GridRun]) -> None:
    tasks, labels = ("SafetyPointGoal1-v0", "SafetySwimmerVelocity-v1"), ("sac-alam", "ppo", "nothing embedded")
    assert [run.name for run in runs] == [
        f"{label} {task} seed {seed}" for seed in (3, 1) for task in tasks for label in labels
    ]


def test_all_runs_of_the_first_task_may_come_first(runs: list[GridRun], tmp_path: Path) -> None:
    tasks, labels = ("SafetyPointGoal1-v0", "SafetySwimmerVelocity-v1"), ("sac-alam", "ppo", "nothing embedded")
    ordered = plan(find_spec(str(tmp_path / "mine.toml")).replace(order="task"), ROOT, cores=2)
    assert [run.name for run in ordered] == [
        f"{label} {task} seed {seed}" for task in tasks for seed in (3, 1) for label in labels
    ]
    assert {run.path for run in ordered} == {run.path for run in runs}


def test_the_papers_evaluation_is_every_method_on_its_tasks_with_as_many_evaluations() -> None:
    spec = find_spec(str(Path(__file__).parents[2] / "benchmarks" / "evaluation.toml"))
    assert spec.tasks == PAPER_TASKS
    assert set(spec.methods) == {name for name, method in METHODS.items() if isinstance(method.builder, str)}
    planned = plan(spec, ROOT)
    assert len(planned) == 8 * 11 * 3
    first = planned[: len(spec.methods)]
    assert {(run.spec.task, run.spec.config.seed) for run in first} == {("SafetyPointGoal1-v0", 0)}
    assert planned[11].name == "sac-alam SafetyPointGoal1-v0 seed 1"
    budgets = {run.label: run.total_steps for run in first}
    assert budgets.pop("ppo") == budgets.pop("p3o") == budgets.pop("crpo") == 1_000_000
    assert set(budgets.values()) == {400_000}
    assert {run.total_steps / run.spec.config.eval_interval for run in planned} == {20.0}


def test_later_tables_win_and_methods_take_the_fields_they_have(runs: list[GridRun]) -> None:
    alam, ppo, label = (run.spec.config for run in runs[:3])
    assert alam == make_config("sac-alam", "demo", total_steps=50_000, update_ratio=0.125, seed=3, threads=2)
    assert ppo == make_config("ppo", "demo", total_steps=100_000, seed=3, threads=2)
    assert label == alam.replace(embedding="none", total_steps=25_000)


def test_runs_lie_where_train_puts_them(runs: list[GridRun]) -> None:
    digest = runs[0].spec.config.digest()
    assert runs[0].path == ROOT / "SafetyPointGoal1-v0" / "sac-alam" / f"seed-3-{digest}"
    assert len({run.path for run in runs}) == len(runs)


def test_a_spec_is_what_it_says_as_json(tmp_path: Path) -> None:
    for spec in BUILT_IN.values():
        assert GridSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(("name", "count", "steps"), [("paper", 360, 4_000_000), ("standard", 360, 1_000_000)])
def test_the_papers_evaluation(name: str, count: int, steps: int) -> None:
    runs = plan(find_spec(name), ROOT)
    assert len(runs) == count
    assert {run.total_steps for run in runs} == {steps}
    check_tasks(runs)


def good(**changes: Any) -> dict[str, Any]:
    return {"tasks": ["SafetyPointGoal1-v0"], "methods": ["sac"], **changes}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"taks": []}, ["'taks'", "did you mean 'tasks'"]),
        ({"methods": ["sac"]}, ["tasks", "missing"]),
        (good(methods=["sac-alm"]), ["'sac-alm'", "'sac-alam'"]),
        (good(methods=[]), ["methods", "labels"]),
        (good(tasks="all"), ["tasks", "'all'", "a list of names"]),
        (good(seeds=[0, True]), ["seeds", "whole numbers"]),
        (good(seeds=[0, 0]), ["seeds", "0 is there twice"]),
        (good(seeds=[-1]), ["seed", "-1", ">= 0"]),
        (good(preset="slow"), ["preset", "'slow'", "standard"]),
        (good(order="method"), ["order", "'method'", "seed, task"]),
        (good(fields={"gama": 1}), ["fields", "'gama'", "'gamma'"]),
        (good(fields={"gamma": 2}), ["sac", "gamma", "<= 1"]),
        (good(fields={"seed": 2}), ["seed", "`seeds`"]),
        (good(fields={"threads": 2}), ["threads", "cores"]),
        (good(fields=3), ["fields", "3", "a table"]),
        (good(overrides={"sac-lag": {}}), ["overrides", "'sac-lag'", "sac"]),
        (good(overrides={"sac": {"rho_max": 1}}), ["rho_max", "sac has no such field"]),
        (good(labels={"a": {"gamma": 0.9}}), ["labels.a", "method"]),
        (good(labels={"sac": {"method": "sac"}}), ["labels.sac", "another label"]),
    ],
)
def test_bad_specs_are_refused_with_what_is_allowed(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValueError, match=words[0]) as refused:
        GridSpec.from_dict(values)
    assert all(word in str(refused.value) for word in words)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("tasks = [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.toml"):
        find_spec(str(path))
    with pytest.raises(ValueError, match=r"nowhere\.toml: can't be read"):
        find_spec("nowhere.toml")


def test_two_labels_of_one_configuration_are_refused() -> None:
    spec = GridSpec.from_dict(good(labels={"again": {"method": "sac"}}))
    with pytest.raises(ValueError, match="'sac' and 'again' have the same configuration"):
        plan(spec, ROOT)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (good(tasks=["SafetyPointGoal9-v0"]), "SafetyPointGoal9-v0.*did you mean"),
        (good(fields={"proximity": [999]}), "sac SafetyPointGoal1-v0 seed 0: proximity: 999"),
        (good(tasks=["nowhere:Id-v0"]), "module 'nowhere' of 'nowhere:Id-v0' can't be imported"),
    ],
)
def test_what_a_task_cannot_serve_is_found_before_anything_starts(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_tasks(plan(GridSpec.from_dict(values), ROOT))
