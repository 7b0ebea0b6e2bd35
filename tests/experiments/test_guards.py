"""What must be named: each guard speaks where it should and is silent elsewhere; what it names is left out."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
from support.many_runs import curves_by_hand, write_run

from statewise.experiments.curves import Curves, read_runs
from statewise.experiments.evaluation import Evaluation, evaluate

SEEDS = [(1.0, 0.0), (2.0, 0.5)]
WHOLE = {"a": {"T": SEEDS, "U": SEEDS}, "b": {"T": [(3.0, 5.0), (4.0, 6.0)], "U": [(5.0, 2.0), (6.0, 3.0)]}}


def found(curves: Curves, kind: str) -> tuple[Evaluation, list[tuple[str, str, str]]]:
    """The evaluation, and label, tasks and text of its findings of a kind."""
    evaluation = evaluate(curves)
    return evaluation, [finding[1:] for finding in evaluation.findings if finding.kind == kind]


def test_nothing_is_amiss() -> None:
    assert evaluate(curves_by_hand(WHOLE)).findings == []


def test_unequal_seeds_are_counted_by_label_and_named_once_for_all_tasks() -> None:
    _, said = found(curves_by_hand(WHOLE | {"c": {"T": SEEDS[:1], "U": SEEDS[:1]}}), "seeds")
    assert said == [
        ("", "T, U", "seeds are unequal: 2 of a, b; 1 of c"),
        ("", "T, U", "a single seed, so no interval: c"),
    ]


def test_label_without_a_task_has_no_aggregate() -> None:
    evaluation, said = found(curves_by_hand(WHOLE | {"c": {"T": SEEDS}}), "missing")
    assert said == [("c", "", "no finished run on U: it has no aggregate over tasks and is compared with nobody")]
    assert set(evaluation.summary["label"]) == {"a", "b"}
    assert "c" not in set(evaluation.comparisons["label"])
    assert "c" in set(evaluation.tasks["label"])


def test_task_without_a_range_is_in_no_aggregate_of_that_measure() -> None:
    flat = {"a": {"T": SEEDS, "U": [(1.0, 0.0)] * 2}, "b": {"T": SEEDS, "U": [(2.0, 0.0)] * 2}}
    evaluation, said = found(curves_by_hand(flat), "range")
    assert said == [("", "U", "all runs have a cost of 0: it is in no aggregate of that measure")]
    costs = evaluation.summary.filter((pl.col("measure") == "cost") & (pl.col("statistic") == "mean"))
    returns = evaluation.summary.filter((pl.col("measure") == "return") & (pl.col("statistic") == "mean"))
    assert costs["tasks"].to_list() == [1, 1]
    assert returns["tasks"].to_list() == [2, 2]


def test_unfinished_and_diverged_runs_are_left_out_by_name(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [1.0, 2.0], [0.0, 0.0])
    write_run(tmp_path, "sac", 1, [3.0], [0.0], total_steps=200)
    broken = write_run(tmp_path, "sac", 2, [9.0], [0.0], total_steps=200)
    (broken / "failure.json").write_text(json.dumps({"error": "q_loss became nan"}))
    write_run(tmp_path, "sac", 3, [], [], total_steps=200)
    evaluation, said = found(read_runs([tmp_path]), "unfinished")
    assert [text for _, _, text in said] == [
        "seed 1 stopped at step 100 of 200: it is left out of all final figures",
        "seed 2 stopped at step 100 of 200 (q_loss became nan): it is left out of all final figures",
        "seed 3 has logged nothing of 200: it is left out of all final figures",
    ]
    assert evaluation.runs["counts"].to_list() == [True, False, False, False]
    assert evaluation.tasks.filter(pl.col("measure") == "return")["value"].to_list() == [2.0]
    assert evaluation.bands["seeds"].unique().to_list() == [1]


def test_curves_are_shown_while_no_run_has_come_to_its_end(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, "sac", seed, [1.0 + seed, 2.0], [0.0, 0.0], total_steps=5000)
    evaluation = evaluate(read_runs([tmp_path]))
    assert len(evaluation.tasks) == len(evaluation.summary) == len(evaluation.comparisons) == 0
    assert evaluation.bands.filter(pl.col("column") == "return")["value"].to_list() == [1.5, 2.0]


def test_seed_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [1.0], [0.0])
    again = write_run(tmp_path, "sac", 0, [3.0], [0.0], threads=2)
    evaluation, said = found(read_runs([tmp_path]), "twice")
    assert [text for _, _, text in said] == [
        f"seed 0 is there more than once: {again.resolve()} is left out of all final figures"
    ]
    assert evaluation.tasks.filter(pl.col("measure") == "return")["value"].to_list() == [1.0]


def test_finished_copy_of_a_seed_counts_where_the_first_is_unfinished(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [1.0], [0.0], total_steps=200)
    write_run(tmp_path, "sac", 0, [1.0, 3.0], [0.0, 0.0])
    evaluation = evaluate(read_runs([tmp_path]))
    assert evaluation.runs.filter(pl.col("counts"))["return"].to_list() == [3.0]


def test_biased_runs_are_named_seed_by_seed(tmp_path: Path) -> None:
    for seed, bias in enumerate((0.05, -0.4, 0.11)):
        write_run(tmp_path, "sac-alam", seed, [1.0 + seed], [0.0], columns={"f_bias": [bias]})
    evaluation, said = found(read_runs([tmp_path]), "bias")
    assert said == [
        (
            "sac-alam",
            "",
            "F̂ is off by more than d = 0.1 at the end, so F̂ and λ say little:"
            " SafetyPointGoal1-v0: seed 1 -0.40, seed 2 +0.11",
        )
    ]
    assert evaluation.runs["counts"].all()


def test_budgets_that_differ(tmp_path: Path) -> None:
    write_run(tmp_path, "sac", 0, [1.0] * 2, [0.0] * 2)
    write_run(tmp_path, "ppo", 0, [1.0] * 5, [0.0] * 5)
    _, said = found(read_runs([tmp_path]), "budget")
    assert [text for _, _, text in said] == ["steps of training differ: 500 of ppo; 200 of sac"]


def test_limits_that_are_unknown_or_differ() -> None:
    _, unknown = found(curves_by_hand(WHOLE, cost_limit=None), "limit")
    assert unknown == [("", "T, U", "no cost limit is known of a, b: give one with --cost-limit")]
    curves = curves_by_hand(WHOLE)
    limit = pl.when(pl.col("label") == "a").then(1.0).otherwise(25.0)
    _, differing = found(curves._replace(runs=curves.runs.with_columns(cost_limit=limit)), "limit")
    assert differing == [("", "T, U", "cost limits differ: 1, 25; each run is held to its own")]


def test_curves_of_training_episodes() -> None:
    _, said = found(curves_by_hand({"SACLag": {"T": SEEDS}}, source="omnisafe, training episodes"), "training")
    assert said == [("SACLag", "", "return and cost are of training episodes, as there are no evaluations")]
