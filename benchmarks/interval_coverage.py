"""How often the 95 % intervals hold the truth with few seeds, beside Student's and the percentile bootstrap's.

    python benchmarks/interval_coverage.py        # some minutes; writes benchmarks/results/coverage.md

Experiments are simulated whose truth is known: seeds of one task or of eight, whose spreads differ five-fold.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from statewise.experiments.intervals import bootstrap_interval, improvement, interquartile_mean, mean_interval
from statewise.storage.files import write_text_atomic

Floats = NDArray[np.float64]
Interval = tuple[float, float]

RESULTS = Path(__file__).parent / "results" / "coverage.md"
EXPERIMENTS, RESAMPLES = 1000, 1000
SHAPES: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Floats]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "uniform": lambda random, shape: random.uniform(-1, 1, shape),
    "Student, 3 degrees": lambda random, shape: random.standard_t(3, shape),
    "exponential (a cost)": lambda random, shape: random.exponential(size=shape) - 1,
    "lognormal, σ = 1": lambda random, shape: random.lognormal(0, 1, shape) - np.exp(0.5),
    "one seed in five fails": lambda random, shape: (
        (random.random(shape) < 0.2) - 0.2 + 0.1 * random.normal(size=shape)
    ),
}


def student(sample: Floats) -> Interval:
    """Student's interval of the mean over tasks, Welch's degrees of freedom."""
    variances = sample.var(axis=1, ddof=1) / sample.shape[1]
    freedom = variances.sum() ** 2 / (variances**2 / (sample.shape[1] - 1)).sum()
    arm = scipy.stats.t.ppf(0.975, freedom) * np.sqrt(variances.sum()) / len(sample)
    return sample.mean() - arm, sample.mean() + arm


def percentile(samples: list[Floats], statistic: Callable[..., Floats], random: np.random.Generator) -> Interval:
    """The percentile interval of the stratified bootstrap, as rliable's."""
    drawn = []
    for sample in samples:
        index = random.integers(0, sample.shape[1], (RESAMPLES, *sample.shape))
        drawn.append(np.take_along_axis(np.broadcast_to(sample, index.shape), index, axis=-1))
    low, high = np.quantile(statistic(*drawn), (0.025, 0.975))
    return float(low), float(high)


def share(intervals: list[Interval], truth: float) -> str:
    """How many of the intervals hold the truth."""
    return f"{100 * np.mean([low <= truth <= high for low, high in intervals]):.1f} %"


def means(random: np.random.Generator) -> list[str]:
    """Coverage of a mean's interval, by the shape of what seeds come to."""
    lines = ["| seeds | tasks | what seeds come to | ours | Student's | percentile bootstrap |", "|---" * 6 + "|"]
    for seeds in (3, 5, 10):
        for tasks in (1, 8):
            scales = np.linspace(0.2, 1.0, tasks)[:, None]
            for name, draw in SHAPES.items():
                samples = draw(random, (EXPERIMENTS, tasks, seeds)) * scales
                found = [
                    [mean_interval(list(x))[1:] for x in samples],
                    [student(x) for x in samples],
                    [percentile([x], lambda drawn: drawn.mean(axis=(-1, -2)), random) for x in samples[::2]],
                ]
                lines.append(f"| {seeds} | {tasks} | {name} | {' | '.join(share(each, 0.0) for each in found)} |")
    return lines


def interquartile_means(random: np.random.Generator) -> list[str]:
    """Coverage of the IQM's interval; means of the tasks from 0.3 to 0.9, deviations from 0.05 to 0.3."""
    lines = ["| seeds | tasks | ours | percentile bootstrap |", "|---" * 4 + "|"]

    def pooled(drawn: Floats) -> Floats:
        return interquartile_mean(drawn.reshape(*drawn.shape[:-2], -1))

    for seeds, tasks in ((3, 8), (5, 4), (5, 8), (10, 8)):
        centres, scales = np.linspace(0.3, 0.9, tasks)[:, None], np.linspace(0.05, 0.3, tasks)[:, None]
        truth = float(pooled(centres + scales * random.normal(size=(20_000, tasks, seeds))).mean())
        samples = centres + scales * random.normal(size=(EXPERIMENTS, tasks, seeds))
        ours = [bootstrap_interval(list(x), interquartile_mean, random, resamples=RESAMPLES)[1:] for x in samples]
        theirs = [percentile([x], pooled, random) for x in samples]
        lines.append(f"| {seeds} | {tasks} | {share(ours, truth)} | {share(theirs, truth)} |")
    return lines


def improvements(random: np.random.Generator) -> list[str]:
    """Coverage of the interval of the probability of improvement, normal seeds."""
    lines = ["| seeds | tasks | P | ours | percentile bootstrap |", "|---" * 5 + "|"]

    def wins(x: Floats, y: Floats) -> Floats:
        return (x[..., :, None] > y[..., None, :]).mean(axis=(-1, -2, -3))

    for tasks in (1, 8):
        for shift in (0.0, 1.0, 2.0, 3.0):
            truth = float(scipy.stats.norm.cdf(shift / 2**0.5))
            x, y = random.normal(shift, 1, (EXPERIMENTS, tasks, 5)), random.normal(0, 1, (EXPERIMENTS, tasks, 5))
            ours = [improvement(list(a), list(b))[1:] for a, b in zip(x, y, strict=True)]
            theirs = [percentile([a, b], wins, random) for a, b in zip(x[::2], y[::2], strict=True)]
            lines.append(f"| 5 | {tasks} | {truth:.2f} | {share(ours, truth)} | {share(theirs, truth)} |")
    return lines


def main() -> None:
    """Simulate, and write the tables."""
    random = np.random.default_rng(0)
    text = [
        "# Coverage of the 95 % intervals",
        "",
        f"`python benchmarks/interval_coverage.py`: {EXPERIMENTS:,} simulated experiments a row; ± 1.4 points (2"
        " standard errors).",
    ]
    tables = {"Means": means, "Interquartile means": interquartile_means, "P(improvement)": improvements}
    for name, table in tables.items():
        text += ["", f"## {name}", "", *table(random)]
        print("\n".join(text[-40:]), flush=True)
    write_text_atomic(RESULTS, "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
