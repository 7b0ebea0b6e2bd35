"""What the paper claims of its experiments, beside what the recorded evaluation shows: with intervals, line by line.

    python benchmarks/claims.py                    # of results/evaluation; seconds
    python benchmarks/claims.py --runs FOLDER

Two methods are compared by the probability that a run of one beats a run of the other on the same task (tasks weigh
the same, ties halved, 95 % interval over seeds). A line is reproduced where the interval lies above one half and a
permutation test of no difference has p <= 0.05, corrected for all tests of its claim (Holm), not reproduced where it
lies below, likewise, and unclear in between; three seeds of both on one task can't say more than unclear. Shares of
runs are held against one half by their interval. Only finished runs count, and only tasks that both have. Writes
benchmarks/results/claims.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from statewise.experiments import intervals
from statewise.experiments.curves import read_runs
from statewise.experiments.guards import counting
from statewise.experiments.intervals import Estimate, Sample
from statewise.experiments.measures import measure_runs
from statewise.experiments.statistics import score_runs
from statewise.storage.files import write_text_atomic

RUNS = Path(__file__).parents[1] / "results" / "evaluation"
RESULTS = Path(__file__).parent / "results" / "claims.md"
OURS = "sac-alam"
SIGNIFICANT = 0.05
NETWORKS, NUMBERS = "a multiplier network", "one multiplier"
KINDS = {
    **dict.fromkeys(("sac-alam", "sac-alam-ga", "sac-lagnet"), NETWORKS),
    **dict.fromkeys(("sac-lag", "sac-pid", "asac"), NUMBERS),
}
"""Methods that do without either aren't compared by kind."""
BASELINES = ("sac-lagnet", "sac-lag", "sac-pid", "asac", "sac-fpi", "p3o", "crpo")
LESS_IS_BETTER = {"cost", "cost_swing", "return_swing", "violations", "lam_swing"}
WORDS = {
    "return": "final return",
    "cost": "final cost",
    "balance": "return less cost, both normalised",
    "cost_swing": "cost swing",
    "return_swing": "return swing",
    "violations": "violations in training",
}


class Line(NamedTuple):
    """What is measured, what came of it, and what the verdict is made of: nothing where nothing was measured."""

    what: str
    found: str
    estimate: Estimate | None = None
    p: float | None = None
    wanted: bool = True

    def verdict(self, p: float | None) -> str:
        """Whether the estimate lies on the wanted side of one half, p being that of no difference, if tested."""
        if self.estimate is None:
            return "–"
        above, below = self.estimate.low > 0.5, self.estimate.high < 0.5
        if not (above or below) or (p is not None and p > SIGNIFICANT):
            return "unclear"
        return "**reproduced**" if above == self.wanted else "**not reproduced**"


class Claim(NamedTuple):
    """A sentence of the paper, where it stands, and the lines that it comes to on the runs."""

    where: str
    says: str
    lines: Callable[[pl.DataFrame], list[Line]]

    def findings(self, runs: pl.DataFrame) -> list[tuple[str, str, str]]:
        """What is measured, what was found, the verdict: a row a line, p corrected for all tests of the claim."""
        lines = self.lines(runs)
        corrected = iter(intervals.holm([line.p for line in lines if line.p is not None]))
        rows: list[tuple[str, str, str]] = []
        for line in lines:
            p = None if line.p is None else next(corrected)
            found = line.found if p is None else line.found.format(p=f"p {p:.2g}")
            rows.append((line.what, found, line.verdict(p)))
        return rows


# --- lines -------------------------------------------------------------------------------------------------------


def better(
    measure: str, one: str, others: Sequence[str], tasks: Sequence[str] = ()
) -> Callable[[pl.DataFrame], list[Line]]:
    """That `one` is better than each of the others on a measure, on these tasks or all."""

    def lines(runs: pl.DataFrame) -> list[Line]:
        return [_comparison(_on(runs, tasks), measure, one, other) for other in others]

    return lines


def better_kind(measures: Sequence[str], one: str, other: str) -> Callable[[pl.DataFrame], list[Line]]:
    """That runs of one of `KINDS` of methods are better than those of another, all methods of a kind together."""

    def lines(runs: pl.DataFrame) -> list[Line]:
        by_kind = runs.with_columns(label=pl.col("label").replace_strict(KINDS, default=None)).drop_nulls("label")
        return [_comparison(by_kind, measure, one, other) for measure in measures]

    return lines


def ends_safe(label: str, wanted: bool = True, tasks: Sequence[str] = ()) -> Callable[[pl.DataFrame], list[Line]]:
    """That most runs of a method end within the cost limit, or that most don't."""

    def lines(runs: pl.DataFrame) -> list[Line]:
        here = _on(runs, tasks).filter(pl.col("label") == label)
        here = here.with_columns((pl.col("cost") <= pl.col("cost_limit")).cast(pl.Float64).alias("safe"))
        if here.is_empty():
            return [Line(f"`{label}` ends within its cost limit", "no runs yet")]
        sample = [part["safe"].to_numpy() for part in here.partition_by("task")]
        share = intervals.share_interval(sample)
        found = f"in {_interval(share)} of {len(here)} runs; final cost {_by_task(here, 'cost', [label])}"
        return [Line(f"`{label}` ends within its cost limit", found, share, wanted=wanted)]

    return lines


def together(*parts: Callable[[pl.DataFrame], list[Line]]) -> Callable[[pl.DataFrame], list[Line]]:
    """The lines of several."""
    return lambda runs: [line for part in parts for line in part(runs)]


def _on(runs: pl.DataFrame, tasks: Sequence[str]) -> pl.DataFrame:
    return runs.filter(pl.col("task").is_in(tasks)) if tasks else runs


def _comparison(runs: pl.DataFrame, measure: str, one: str, other: str) -> Line:
    what = f"`{one}` beats `{other}` in {WORDS[measure]}"
    known = runs.drop_nulls(measure)
    shared = [
        task
        for task, part in known.group_by("task", maintain_order=True)
        if {one, other} <= set(part["label"].unique())
    ]
    if not shared:
        return Line(what, "no runs of both yet")
    here = known.filter(pl.col("task").is_in([task for (task,) in shared]), pl.col("label").is_in([one, other]))
    sign = -1.0 if measure in LESS_IS_BETTER else 1.0
    x, y = (_sample(here, label, measure, sign) for label in (one, other))
    found, p = intervals.improvement(x, y), intervals.permutation_test(x, y, np.random.default_rng(0))
    means = _by_task(here, measure, [one, other])
    return Line(what, f"with probability {_interval(found)}, {{p}}, {len(here)} runs: {means}", found, p)


def _sample(runs: pl.DataFrame, label: str, measure: str, sign: float) -> Sample:
    parts = runs.filter(pl.col("label") == label).partition_by("task", maintain_order=True)
    ordered = sorted(parts, key=lambda part: part["task"][0])
    return [sign * part[measure].to_numpy() for part in ordered]


def _interval(found: Estimate) -> str:
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]"


def _by_task(runs: pl.DataFrame, measure: str, labels: Sequence[str]) -> str:
    """Means of the labels on every task: tasks' returns and costs have no common scale to be averaged in."""
    told: list[str] = []
    for task in runs["task"].unique(maintain_order=True):
        here = runs.filter(pl.col("task") == task)
        means = [here.filter(pl.col("label") == label)[measure].to_numpy().mean() for label in labels]
        name = task.removeprefix("Safety").rpartition("-")[0]
        told.append(f"{name} {' against '.join(_number(float(mean)) for mean in means)}")
    return ", ".join(told)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


# --- claims ------------------------------------------------------------------------------------------------------

GOALS = ("SafetyPointGoal1-v0", "SafetyCarGoal1-v0")
FIGURE_4 = ("SafetyPointCircle2-v0", "SafetySwimmerVelocity-v1")
BUTTON = ("SafetyPointButton1-v0",)

CLAIMS = (
    Claim(
        "I",
        "a uniform multiplier is too conservative in safe regions and remains unsafe in hazardous states",
        better_kind(("balance", "return", "cost"), NETWORKS, NUMBERS),
    ),
    Claim(
        "VI, Fig. 3",
        "SAC-ALaM demonstrates a distinct advantage in balancing reward maximization and constraint satisfaction",
        better("balance", OURS, BASELINES),
    ),
    Claim(
        "VI, Fig. 3",
        "SAC-Lag and SAC-LagNet suffer from pronounced training oscillations",
        together(
            better("cost_swing", OURS, ("sac-lag", "sac-lagnet")),
            better("return_swing", OURS, ("sac-lag", "sac-lagnet")),
        ),
    ),
    Claim(
        "VI, Fig. 3",
        "ASAC and SAC-PID partially mitigate these fluctuations",
        together(better("cost_swing", "asac", ("sac-lag",)), better("cost_swing", "sac-pid", ("sac-lag",))),
    ),
    Claim(
        "VI, Fig. 3",
        "this stability often comes at the expense of final returns",
        better("return", OURS, ("asac", "sac-pid")),
    ),
    Claim(
        "VI, Fig. 3",
        "the on-policy baselines struggle with constraint satisfaction, even in PointGoal1 and CarGoal1",
        together(
            ends_safe("p3o", False, GOALS),
            ends_safe("crpo", False, GOALS),
            better("cost", OURS, ("p3o", "crpo"), GOALS),
        ),
    ),
    Claim(
        "VI, Fig. 3",
        "in Button environments SAC-Lag, P3O and CRPO violate; SAC-FPI, SAC-PID and SAC-LagNet are too conservative",
        together(
            better("cost", OURS, ("sac-lag", "p3o", "crpo"), BUTTON),
            better("return", OURS, ("sac-fpi", "sac-pid", "sac-lagnet"), BUTTON),
        ),
    ),
    Claim("VI, Fig. 3", "SAC-ALaM consistently learns safe policies regardless of task difficulty", ends_safe(OURS)),
    Claim(
        "VI, Fig. 2",
        "SAC-ALaM has the highest normalised performance: low cost and high return",
        together(better("return", OURS, BASELINES), better("cost", OURS, BASELINES)),
    ),
    Claim(
        "VI, Fig. 4",
        "on PointCircle2 and SwimmerVelocity SAC-LagNet fluctuates, loses return by it, violates more in training",
        together(
            better("cost_swing", OURS, ("sac-lagnet",), FIGURE_4),
            better("return_swing", OURS, ("sac-lagnet",), FIGURE_4),
            better("return", OURS, ("sac-lagnet",), FIGURE_4),
            better("violations", OURS, ("sac-lagnet",), FIGURE_4),
        ),
    ),
    Claim(
        "VI, Fig. 5",
        "SAC-ALaM-GA oscillates more; SAC-ALaM outperforms it in task efficacy and safety",
        together(
            better("cost_swing", OURS, ("sac-alam-ga",)),
            better("return_swing", OURS, ("sac-alam-ga",)),
            better("return", OURS, ("sac-alam-ga",)),
            better("cost", OURS, ("sac-alam-ga",)),
        ),
    ),
)


def measured(folder: Path) -> pl.DataFrame:
    """The finished runs below a folder with their measures and scores."""
    runs = score_runs(counting(measure_runs(read_runs([folder]))))
    return runs.with_columns(balance=pl.col("return_score") - pl.col("cost_score"))


def report(runs: pl.DataFrame) -> str:
    """The table of all claims."""
    tasks = runs["task"].unique(maintain_order=True)
    lines = [
        "# The claims of the paper",
        "",
        f"`python benchmarks/claims.py`, of {len(runs)} finished runs on {len(tasks)} tasks. A swing is the mean"
        " absolute change between evaluations; p is corrected for the tests of its claim (Holm).",
        "",
        "| where | the paper | measured | found | |",
        "|---|---|---|---|---|",
    ]
    for claim in CLAIMS:
        for place, (what, found, verdict) in enumerate(claim.findings(runs)):
            says = f"| {claim.where} | {claim.says} " if place == 0 else "| | "
            lines.append(f"{says}| {what} | {found} | {verdict} |")
    return "\n".join(lines) + "\n"


def main(about: str | None, report: Callable[[pl.DataFrame], str], results: Path) -> None:
    """Read the runs that the command line names, print what is said of them, and write it to `results`."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=RUNS, help="folder of recorded runs")
    text = report(measured(parser.parse_args().runs))
    print(text, end="")
    write_text_atomic(results, text)


if __name__ == "__main__":
    main(__doc__, report, RESULTS)
