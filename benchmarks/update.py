"""How long one gradient step takes, of every method, against the machine's own matrix product.

    python benchmarks/update.py                              # a few minutes on two quiet cores
    python benchmarks/update.py --repeats 15 --output DIR    # also writes DIR/update.json and DIR/update.md
    python benchmarks/update.py --preset standard            # in the recipe's shape; update-standard.* with --output

Sizes: observation 60, action 2, batch 256, K = 5; two hidden layers of 256 (`paper`) or of 128 behind 96 embedded
inputs more (`standard`, whose 48 lidar entries are those of PointGoal1). The yardstick is a 1280x256x256
float32 product, timed before and after every block of gradient steps, so that both see the same load; a ratio is that
of 200 gradient steps to the yardstick, and every figure is the median over the repeats.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

import jax
import numpy as np

from statewise.config import DualPart, FpiConfig, MultiplierConfig, SacConfig
from statewise.core.types import Batch, Dims, Key
from statewise.methods import METHODS, build_method
from statewise.runtime import compiler_options, product_precision
from statewise.sac.core import Sac, SacState
from statewise.sac.randomness import StepNoise
from statewise.spec import make_config

DIMS = Dims(obs=60, action=2)
PROXIMITY = tuple(range(12, 60))
BLOCK = 40
"""Gradient steps of one compiled block."""
BLOCKS = 5
"""Blocks of one repeat: together 200 gradient steps, so that the dual cycle of SAC-ALaM falls into each repeat once."""
REFERENCE_FLOP = 1.9e9
"""SAC-ALaM's operations per gradient step where the first layer is applied anew to each of the K actions."""
PRODUCT_FLOP = 2 * 1280 * 256 * 256
PRODUCTS = 20


class Row(NamedTuple):
    """One method: milliseconds per step and what they are a multiple of."""

    method: str
    milliseconds: float
    gflop: float
    ratio_to_reference: float
    ratio_to_own_count: float
    ratio_to_sac: float
    compile_seconds: float
    recompilations: int


# --- operations ------------------------------------------------------------------------------------------------------


def operations(config: SacConfig, samples: int, inputs: int) -> float:
    """Floating-point operations of one gradient step, matrix products only; a multiply-add counts as two.

    With B states, `inputs` = o behind the embedding, layers o -> h -> h -> out, and `samples` = K, 0 where the actor's
    loss has no F̂.
    """
    batch, (h1, h2) = config.batch_size, config.hidden
    o, a = inputs, DIMS.action
    inner = h1 * h2
    policy = o * h1 + inner + h2 * 2 * a
    # Backward needs the gradient of every weight, and that of the inputs of every layer but the first.
    policy_training = policy + policy + (inner + h2 * 2 * a)
    features = o * h1
    values = a * h1 + inner + h2
    critic_training = 2 * (features + values) + (inner + h2)
    # The actor's loss: critics are constant, so backward goes to the action alone and costs as much as `values`.
    through_q = 2 * (features + 2 * values)
    through_qc = 2 * (features + 2 * samples * values) if samples else 0
    targets = policy + 4 * (features + values)
    step = targets + 4 * critic_training + policy_training + through_q + through_qc
    f = policy + 2 * (features + samples * values)
    dual = 0.0
    if isinstance(config, DualPart):
        dual = config.dual_steps * f / config.dual_interval
    if isinstance(config, MultiplierConfig):
        multiplier = o * h1 + inner + h2
        step += multiplier
        # A minibatch of the cycle: λ before and after, and one training step of the multiplier network.
        training = 2 * multiplier + (inner + h2)
        dual += config.dual_steps * (2 * multiplier + training) / config.dual_interval
    if isinstance(config, FpiConfig):
        # Recovery critics: targets, training, and the actor's loss through them; then F̂ of the new policy.
        step += 2 * (features + values) + 2 * critic_training + 2 * (features + 2 * values) + f
    return 2.0 * batch * (step + dual)


# --- what is timed ---------------------------------------------------------------------------------------------------


def matrix_product() -> Callable[[], float]:
    """A function that measures seconds per floating-point operation of the 1280x256x256 product."""
    x = jax.random.normal(jax.random.key(0), (1280, 256))
    w = jax.random.normal(jax.random.key(1), (256, 256)) / 16.0
    chain = jax.jit(lambda x, w: jax.lax.scan(lambda c, _: (c @ w, None), x, None, length=PRODUCTS)[0])
    chain(x, w).block_until_ready()

    def measure() -> float:
        return seconds(lambda: chain(x, w)) / (PRODUCTS * PRODUCT_FLOP)

    return measure


def seconds(run: Callable[[], Any]) -> float:
    """Wall-clock time of a call, its device work included."""
    start = time.perf_counter()
    jax.block_until_ready(run())
    return time.perf_counter() - start


def random_batch(rng: np.random.Generator, *shape: int) -> Batch:
    """Transitions of standard normal observations; one in ten violates."""
    zeros = np.zeros(shape, np.float32)

    def normal(*sizes: int) -> Any:
        return rng.standard_normal(sizes, dtype=np.float32)

    return Batch(
        obs=normal(*shape, DIMS.obs),
        action=rng.uniform(-1.0, 1.0, (*shape, DIMS.action)).astype(np.float32),
        reward=normal(*shape),
        cost=(rng.random(shape) < 0.1).astype(np.float32),
        constraint=zeros,
        terminated=zeros,
        truncated=zeros,
        next_obs=normal(*shape, DIMS.obs),
    )


def sac_config(name: str, preset: str) -> SacConfig:
    """A method's configuration by a preset."""
    config = make_config(name, preset)
    assert isinstance(config, SacConfig)
    return config


class Learner:
    """One method's compiled block, its state, and how often it was traced."""

    def __init__(self, name: str, preset: str, config: SacConfig | None = None) -> None:
        """config: None takes that of the preset."""
        self.config = sac_config(name, preset) if config is None else config
        self.sac = Sac(self.config, DIMS, build_method(self.config), proximity=PROXIMITY)
        self.traces = 0
        mechanism, size = self.sac.mechanism, self.config.batch_size
        dual = mechanism.dual
        cycles, batches = (1, 1) if dual is None else (dual.most_cycles(BLOCK), dual.batches)
        rng = np.random.default_rng(0)
        self.batches = jax.device_put(random_batch(rng, BLOCK, size))
        self.dual = jax.device_put(random_batch(rng, cycles, batches, size))
        self.state = self.sac.init(jax.random.PRNGKey(0))
        options = compiler_options(self.config.precision)
        self._update = jax.jit(self._count_and_update, donate_argnums=0, compiler_options=options)
        self.first_block_seconds = seconds(self.block)
        self.ratios: list[float] = []
        self.times: list[float] = []

    @property
    def flop(self) -> float:
        """Operations of one gradient step."""
        return operations(self.config, self.sac.mechanism.n_cost_samples, self.sac.inputs.obs)

    def _count_and_update(self, state: SacState, batches: Batch, dual: Batch, key: Key) -> Any:
        self.traces += 1
        return self.sac.update_block(state, batches, dual, key)

    def block(self) -> Any:
        """One block of gradient steps."""
        self.state, metrics = self._update(self.state, self.batches, self.dual, jax.random.PRNGKey(1))
        return self.state.step, metrics

    def repeat(self, product: Callable[[], float]) -> None:
        """BLOCKS blocks, the yardstick before and after each of them."""
        product_times, block_times = [product()], []
        for _ in range(BLOCKS):
            block_times.append(seconds(self.block))
            product_times.append(product())
        self.times.append(sum(block_times) / (BLOCKS * BLOCK))
        self.ratios.append(self.times[-1] / (mean(product_times) * REFERENCE_FLOP))


def rows(learners: dict[str, Learner]) -> list[Row]:
    """The table of methods; ratios are medians of the ratios within each repeat."""
    result = []
    for name, learner in learners.items():
        ratio = median(learner.ratios)
        to_sac = [own / sac for own, sac in zip(learner.times, learners["sac"].times, strict=True)]
        result.append(
            Row(
                method=name,
                milliseconds=1e3 * median(learner.times),
                gflop=learner.flop / 1e9,
                ratio_to_reference=ratio,
                ratio_to_own_count=ratio * REFERENCE_FLOP / learner.flop,
                ratio_to_sac=median(to_sac),
                compile_seconds=learner.first_block_seconds - BLOCK * median(learner.times),
                recompilations=learner.traces - 1,
            )
        )
    return result


# --- where SAC-ALaM's time goes --------------------------------------------------------------------------------------

Part = Callable[[SacState, Batch, StepNoise], tuple[SacState, Any]]


def parts(sac: Sac) -> dict[str, Part]:
    """The parts of a gradient step, each (state, batch, noise) -> (state, what it computed)."""

    def optimizers(state: SacState, batch: Batch, noise: StepNoise) -> tuple[SacState, Any]:
        """All four, their clip included, with the parameters themselves in place of gradients."""
        del batch, noise
        opt = dict(state.opt)
        policy, opt["policy"] = sac.descend("policy", state, state.policy, state.policy)
        q, opt["q"] = sac.descend("q", state, state.q, state.q)
        qc, opt["qc"] = sac.descend("qc", state, state.qc, state.qc)
        log_alpha, opt["alpha"] = sac.descend("alpha", state, state.log_alpha, state.log_alpha)
        return state._replace(policy=policy, q=q, qc=qc, log_alpha=log_alpha, opt=opt), ()

    def actor_step(state: SacState, batch: Batch, noise: StepNoise) -> tuple[SacState, Any]:
        state, *figures = sac.actor_step(state, batch, noise.actor, state.step)
        return state, figures

    return {
        "critic targets": lambda state, batch, noise: (state, sac.critic_targets(state, batch, noise.next)),
        "critic step, targets included": lambda state, batch, noise: sac.critic_step(state, batch, noise.next),
        "actor step": actor_step,
        "target networks": lambda state, batch, noise: (sac.target_step(state), ()),
        "optimizers (in the critic and actor steps)": optimizers,
    }


def part_timers(learner: Learner) -> dict[str, Callable[[], float]]:
    """For each part a function that measures its seconds per gradient step, compiled alone."""
    sac, state = learner.sac, learner.sac.init(jax.random.PRNGKey(0))
    keys = jax.random.split(jax.random.PRNGKey(2), BLOCK)
    batches = jax.jit(sac.prepare)(state.embedding, learner.batches)
    options = compiler_options(learner.config.precision)
    draw = jax.jit(jax.vmap(partial(sac.step_noise, batch=learner.config.batch_size)))
    noise = draw(keys)

    def timer(part: Part) -> Callable[[], float]:
        def scan(state: SacState, batches: Batch, noise: StepNoise) -> Any:
            return jax.lax.scan(lambda s, xs: part(s, *xs), state, (batches, noise))

        run = jax.jit(scan, compiler_options=options).lower(state, batches, noise).compile()
        return lambda: seconds(lambda: run(state, batches, noise)) / BLOCK

    schedule, update = sac.mechanism.dual, sac.mechanism.update
    assert schedule is not None
    assert update is not None

    def cycle(state: SacState, dual: Batch, key: Key) -> Any:
        return update(state.mechanism, sac.dual_inputs(state, dual, key))

    minibatches = jax.tree.map(lambda x: x[0], learner.dual)
    run_cycle = jax.jit(cycle, compiler_options=options).lower(state, minibatches, keys[0]).compile()
    timers = {name: timer(part) for name, part in parts(sac).items()}
    timers["noise"] = lambda: seconds(lambda: draw(keys)) / BLOCK
    timers["dual cycle, per gradient step"] = lambda: (
        seconds(lambda: run_cycle(state, minibatches, keys[0])) / schedule.interval
    )
    return timers


def breakdown(learner: Learner, repeats: int) -> dict[str, float]:
    """Milliseconds of each part, medians over interleaved repeats; beside it that of a whole block's step."""
    timers = {"whole gradient step": lambda: seconds(learner.block) / BLOCK, **part_timers(learner)}
    samples: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(repeats + 1):
        for name, measure in timers.items():
            samples[name].append(measure())
    return {name: 1e3 * median(values[1:]) for name, values in samples.items()}


# --- output ----------------------------------------------------------------------------------------------------------


def report(table: list[Row], shares: dict[str, float], gflops: float, precision: str) -> str:
    """Both tables in Markdown; precision: of the products of gradient steps."""
    lines = [
        f"The 1280x256x256 float32 product ran at {gflops:.0f} GFLOP/s (median, same process); products of gradient"
        f" steps are in {precision}.",
        "",
        "| method | ms per step | GFLOP | to 1.9 GFLOP | to own count | to SAC | compile s | recompiled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.method} | {r.milliseconds:.2f} | {r.gflop:.2f} | {r.ratio_to_reference:.2f} "
        f"| {r.ratio_to_own_count:.2f} | {r.ratio_to_sac:.2f} | {r.compile_seconds:.1f} | {r.recompilations} |"
        for r in table
    ]
    lines += ["", "| part of SAC-ALaM, compiled alone | ms per gradient step |", "|---|---|"]
    lines += [f"| {name} | {ms:.3f} |" for name, ms in shares.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description="Time of one gradient step of every method.")
    parser.add_argument("--repeats", type=int, default=7, help="interleaved repeats of each measurement")
    parser.add_argument("--output", type=Path, help="directory for update.json and update.md")
    parser.add_argument("--preset", choices=["paper", "standard"], default="paper")
    args = parser.parse_args()
    if args.repeats < 1:
        parser.error(f"--repeats: {args.repeats} is not allowed; it must be at least 1")

    product = matrix_product()
    learners = {name: Learner(name, args.preset) for name in METHODS if issubclass(METHODS[name].config, SacConfig)}
    for _ in range(args.repeats):
        for learner in learners.values():
            learner.repeat(product)
    table = rows(learners)
    shares = breakdown(learners["sac-alam"], args.repeats)
    gflops = 1e-9 / median(product() for _ in range(9))
    text = report(table, shares, gflops, product_precision(learners["sac-alam"].config.precision))
    print(text, end="")
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        figures = {"methods": [r._asdict() for r in table], "parts_ms": shares, "product_gflops": gflops}
        name = "update" if args.preset == "paper" else f"update-{args.preset}"
        (args.output / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
        (args.output / f"{name}.md").write_text(text)


if __name__ == "__main__":
    main()
