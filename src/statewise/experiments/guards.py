"""What must be named and not averaged away: each finding is one sentence, and says what was done about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import polars as pl

from statewise.experiments.statistics import SCORED, scored_tasks


class Finding(NamedTuple):
    """What is amiss: its kind, whose it is and where (empty: everybody's, everywhere), and a sentence on it."""

    kind: str
    label: str
    tasks: str
    text: str


def counting(runs: pl.DataFrame) -> pl.DataFrame:
    """The runs of `measure_runs` that count towards final performance: finished, each seed once."""
    return runs.filter(_finished()).unique(["label", "task", "seed"], keep="first", maintain_order=True)


def findings(runs: pl.DataFrame, scored: pl.DataFrame) -> list[Finding]:
    """All findings, in the order of their weight; what is the same on several tasks is said once.

    runs: all, as measured; scored: those that count.
    """
    checks = (_unfinished(runs), _twice(runs), _missing(runs, scored), _seeds(scored), _budgets(scored))
    more = (_ranges(scored), _limits(scored), _training_episodes(scored), _biased(scored))
    merged: dict[tuple[str, str, str], list[str]] = {}
    for finding in (finding for check in (*checks, *more) for finding in check):
        merged.setdefault((finding.kind, finding.label, finding.text), []).append(finding.tasks)
    return [Finding(kind, label, ", ".join(filter(None, tasks)), text) for (kind, label, text), tasks in merged.items()]


def _finished() -> pl.Expr:
    return pl.col("finished").fill_null(False)


def _unfinished(runs: pl.DataFrame) -> Iterator[Finding]:
    for run in runs.filter(~_finished()).iter_rows(named=True):
        last = f"stopped at step {run['last_step']:,}" if run["last_step"] else "has logged nothing"
        of = f" of {run['total_steps']:,}" if run["total_steps"] else ""
        why = f" ({run['failure']})" if run["failure"] else ""
        text = f"seed {run['seed']} {last}{of}{why}: it is left out of all final figures"
        yield Finding("unfinished", run["label"], run["task"], text)


def _twice(runs: pl.DataFrame) -> Iterator[Finding]:
    finished = runs.filter(_finished())
    for run in finished.join(counting(runs), on="run", how="anti").iter_rows(named=True):
        text = f"seed {run['seed']} is there more than once: {run['run']} is left out of all final figures"
        yield Finding("twice", run["label"], run["task"], text)


def _missing(runs: pl.DataFrame, scored: pl.DataFrame) -> Iterator[Finding]:
    tasks = runs["task"].unique(maintain_order=True).to_list()
    for label in runs["label"].unique(maintain_order=True):
        has = set(scored.filter(pl.col("label") == label)["task"])
        lacking = [task for task in tasks if task not in has]
        if lacking:
            text = f"no finished run on {_few(lacking)}: it has no aggregate over tasks and is compared with nobody"
            yield Finding("missing", label, "", text)


def _seeds(scored: pl.DataFrame) -> Iterator[Finding]:
    for task, part in _parts(scored, "task"):
        counts = {label: here["seed"].n_unique() for label, here in _parts(part, "label")}
        if len(set(counts.values())) > 1:
            yield Finding("seeds", "", task, f"seeds are unequal: {_by_value(counts)}")
        single = [label for label, count in counts.items() if count == 1]
        if single:
            yield Finding("seeds", "", task, f"a single seed, so no interval: {_few(single)}")


def _budgets(scored: pl.DataFrame) -> Iterator[Finding]:
    for task, part in _parts(scored, "task"):
        budgets = {label: max(here["last_step"].to_list()) for label, here in _parts(part, "label")}
        if max(budgets.values()) > 1.1 * min(budgets.values()):
            yield Finding("budget", "", task, f"steps of training differ: {_by_value(budgets)}")


def _ranges(scored: pl.DataFrame) -> Iterator[Finding]:
    for measure in SCORED:
        apart = scored_tasks(scored, measure)
        for task, part in _parts(scored.filter(~pl.col("task").is_in(apart)), "task"):
            values = part[measure].drop_nulls()
            if len(values):
                text = f"all runs have a {measure} of {values[0]:g}: it is in no aggregate of that measure"
                yield Finding("range", "", task, text)


def _limits(scored: pl.DataFrame) -> Iterator[Finding]:
    for task, part in _parts(scored, "task"):
        known, unknown = part.drop_nulls("cost_limit"), part.filter(pl.col("cost_limit").is_null())
        if len(unknown):
            labels = _few(unknown["label"].unique(maintain_order=True).to_list())
            yield Finding("limit", "", task, f"no cost limit is known of {labels}: give one with --cost-limit")
        limits = known["cost_limit"].unique().sort().to_list()
        if len(limits) > 1:
            text = f"cost limits differ: {', '.join(f'{x:g}' for x in limits)}; each run is held to its own"
            yield Finding("limit", "", task, text)


def _training_episodes(scored: pl.DataFrame) -> Iterator[Finding]:
    for run in scored.filter(pl.col("source").str.ends_with("training episodes")).unique("label").iter_rows(named=True):
        text = "return and cost are of training episodes, as there are no evaluations"
        yield Finding("training", run["label"], "", text)


def _biased(scored: pl.DataFrame) -> Iterator[Finding]:
    for label, off in _parts(scored.filter(pl.col("f_bias").abs() > pl.col("threshold")), "label"):
        runs = [
            f"{task}: " + ", ".join(f"seed {r['seed']} {r['f_bias']:+.2f}" for r in part.iter_rows(named=True))
            for task, part in _parts(off, "task")
        ]
        text = f"F̂ is off by more than d = {off['threshold'][0]:g} at the end, so F̂ and λ say little: {'; '.join(runs)}"
        yield Finding("bias", label, "", text)


def _parts(frame: pl.DataFrame, by: str) -> list[tuple[str, pl.DataFrame]]:
    return [(str(key[0]), part) for key, part in frame.group_by(by, maintain_order=True)]


def _by_value(values: Mapping[str, int]) -> str:
    """Which labels have which value, the largest first."""
    groups = {value: [label for label, x in values.items() if x == value] for value in values.values()}
    return "; ".join(f"{value:,} of {_few(labels)}" for value, labels in sorted(groups.items(), reverse=True))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more"
