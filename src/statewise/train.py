"""The training loop: blocks of sampling and of gradient steps, metrics, evaluations, checkpoints, exact resume."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box

from statewise.checkpoint import CheckpointStore
from statewise.collect import Collector
from statewise.config import RunConfig, SacConfig
from statewise.envs import SafeVectorEnv, spanned_space
from statewise.errors import CheckpointError, DivergenceError
from statewise.evaluate import evaluation_figures, play_episodes
from statewise.files import write_text_atomic
from statewise.learner import Learner, build_learner
from statewise.methods import full_name
from statewise.metrics import TIMING_COLUMNS, MetricsWriter
from statewise.probe import Experience, Probe, probe_states
from statewise.progress import Progress, Silent
from statewise.runs import RunFolder
from statewise.types import Dims, TaskFacts

RowListener = Callable[[dict[str, float | str]], None]
"""Told of every row of metrics, say to pass it to another logger."""


BIASED_EVALUATIONS = 3
"""Evaluations in a row at the end of a run whose F̂ is off by more than d before it warns of that."""


class Interrupted(Exception):
    """The run was asked to stop; it has been checkpointed and can be resumed."""


class Trainer:
    """One run: worlds, learner, memory, files. The caller holds the run folder's lock.

    A block is some steps of all worlds with a constant policy, then the gradient steps that they call for. Rows,
    evaluations and checkpoints fall on the first block border at or behind each multiple of their interval, so
    everything is a function of the configuration and the seed, kills and resumes included.
    """

    def __init__(
        self,
        run: RunFolder,
        config: RunConfig,
        env: SafeVectorEnv,
        eval_env: SafeVectorEnv,
        learner: Learner,
        *,
        progress: Progress | None = None,
        listeners: tuple[RowListener, ...] = (),
    ) -> None:
        self.run = run
        self.config = config
        self.env = env
        self.eval_env = eval_env
        self.progress = progress or Silent()
        self.listeners = listeners
        self.learner: Learner[Any, Any] = learner
        self.action_space = spanned_space(env, config.action_span)
        self.collector = Collector(env, self.learner.layout, self.action_space)
        self.store = CheckpointStore(run.checkpoints, config.checkpoints_kept)
        self.memory = learner.make_memory(run.replay_path)
        self.probe = Probe(learner, probe_states(eval_env))
        self.step = 0
        self.best: tuple[bool, float] | None = None
        self.best_step = -1
        self._sums: dict[str, float] = {}
        self._blocks = 0
        self._seconds: dict[str, float] = dict.fromkeys(("sample", "update", "evaluate", "checkpoint"), 0.0)
        self._biased = 0
        self._last_row = (0, time.monotonic())
        self._open_files(restore=self.store.latest() is not None)

    # --- the loop ------------------------------------------------------------------------------------------------

    def train(self, total_steps: int | None = None) -> None:
        """Train until `total_steps` environment steps in all (the configuration's, if None) have been taken.

        Raises DivergenceError (last checkpoint kept, report in failure.json), Interrupted after a checkpoint where the
        process was asked to stop, EnvironmentFault and RunError from below.
        """
        total = self.config.total_steps if total_steps is None else total_steps
        self.progress.start(self.step, total)
        try:
            with _stop_requests() as stop_requested:
                while self.step < total:
                    self._block(total)
                    if stop_requested() and self.step < total:
                        self.save()
                        raise Interrupted(f"stopped at step {self.step:,}; resume to go on")
            self._warn_of_bias()
        except DivergenceError as error:
            self._report_failure(error)
            raise
        finally:
            self.progress.close()

    def close(self) -> None:
        """Close the files."""
        with self.metrics, self.timing:
            pass

    def _block(self, total: int) -> None:
        c, before = self.config, self.step
        with self._timed("sample"):
            rows = self.collector.collect(self._act, c.block_env_steps // c.num_envs)
            self.learner.remember(self.memory, rows)
        self.step += c.block_env_steps
        if self.step >= c.learning_starts:
            with self._timed("update"):
                self._note(self.learner.learn(self.memory))
        self.progress.advance(self.step)

        def due(interval: int) -> bool:
            return self.step // interval > before // interval or self.step >= total

        if due(c.log_interval):
            self._write_train_row()
        improved = due(c.eval_interval) and self._evaluate()
        if improved or due(c.checkpoint_interval):
            self.save()
            self._mark_best()

    def _act(self, obs: np.ndarray, tick: int) -> np.ndarray:
        if self.step < self.config.learning_starts:
            return self.learner.warm_up(self.env.num_envs, tick)
        return self.learner.explore(obs, tick)

    def _evaluate(self) -> bool:
        """Write an "eval" row; True if this policy is the best so far: a safe one with the highest return.

        Safe is a mean episode cost within the limit that d discounted means; with none safe, the lowest cost is best.
        """
        c = self.config
        with self._timed("evaluate"):
            experience = Experience()
            played = play_episodes(
                self.eval_env,
                self.learner.greedy,
                c.eval_episodes,
                experience=experience,
                action_space=self.action_space,
            )
            figures = evaluation_figures(played)
            seen = {**self.probe.figures(), **experience.figures(self.learner)}
        self._write({"phase": "eval", **figures, **seen})
        off = self.step >= c.learning_starts and abs(seen["f_bias"]) > c.tolerance
        self._biased = self._biased + 1 if off else 0
        safe = figures["cost"] <= c.cost_limit(self.eval_env.max_episode_steps)
        rank = (safe, figures["return"] if safe else -figures["cost"])
        improved = self.best is None or rank > self.best
        if improved:
            self.best, self.best_step = rank, self.step
        return improved

    def _warn_of_bias(self) -> None:
        """Say that F̂ is wrong by more than d, where that was so in the last evaluations, one after the other."""
        if self._biased >= BIASED_EVALUATIONS and isinstance(self.config, SacConfig):
            self.progress.say(
                f"F̂ is off by more than d = {self.config.tolerance:g} against Monte Carlo in the last {self._biased}"
                " evaluations (f_bias in the metrics): it and λ say little about where this policy is at risk"
            )

    def _mark_best(self) -> None:
        if self.best_step == self.step:
            self.store.mark_best(self.step)

    # --- figures -------------------------------------------------------------------------------------------------

    def _note(self, figures: dict[str, float]) -> None:
        self._blocks += 1
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value

    def _write_train_row(self) -> None:
        means = {name: total / self._blocks for name, total in self._sums.items()}
        self._sums, self._blocks = {}, 0
        self._write({"phase": "train", **self.collector.take_figures(), **means})
        now = time.monotonic()
        step, then = self._last_row
        self.timing.append(
            {
                "step": self.step,
                "seconds": now - then,
                **{f"{part}_seconds": seconds for part, seconds in self._seconds.items()},
                "steps_per_second": (self.step - step) / max(now - then, 1e-9),
            }
        )
        self._last_row = (self.step, now)
        self._seconds = dict.fromkeys(self._seconds, 0.0)

    def _write(self, figures: dict[str, Any]) -> None:
        row = {"step": self.step, "gradient_step": self.learner.gradient_step, **figures}
        self.metrics.append(row)
        self.progress.row(row)
        for listener in self.listeners:
            listener(row)

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._seconds[part] += time.monotonic() - began

    # --- on disk -------------------------------------------------------------------------------------------------

    def save(self) -> Path:
        """Write a checkpoint: replay and metrics first, then the file that refers to them."""
        with self._timed("checkpoint"):
            pending = {name: np.float64(value) for name, value in self._sums.items()}
            arrays = {
                **_prefixed("learner", self.learner.arrays()),
                **_prefixed("collector", self.collector.arrays()),
                **_prefixed("probe", self.probe.arrays()),
                **_prefixed("pending", pending),
            }
            self.memory.flush()
            self.metrics.flush()
            self.timing.flush()
            return self.store.save(self.step, arrays, self._metadata())

    def _metadata(self) -> dict[str, Any]:
        return {
            **policy_metadata(self.config, self.env.task, self.action_space, self.learner),
            "step": self.step,
            "memory_count": self.memory.count,
            "metrics_position": self.metrics.position,
            "pending_blocks": self._blocks,
            "best": None if self.best is None else list(self.best),
            "best_step": self.best_step,
            "biased": self._biased,
        }

    def _open_files(self, *, restore: bool) -> None:
        if restore:
            position = self._restore()
        else:
            position = 0
            self.learner.reset()
            self.memory.rewind(0)
            self.collector.reset(self.config.seed)
        self.metrics = MetricsWriter(self.run.metrics_path, position=position)
        rows = timing_position(self.run.timing_path, self.step)
        self.timing = MetricsWriter(self.run.timing_path, TIMING_COLUMNS, position=rows)

    def _restore(self) -> int:
        step, arrays, metadata = self.store.load_latest()
        check_metadata(metadata, self.config, self.env.task, self.store.path(step))
        self.memory.rewind(metadata["memory_count"])
        self.learner.load(_unprefixed("learner", arrays))
        self.collector.load(_unprefixed("collector", arrays))
        self.probe.load(_unprefixed("probe", arrays))
        self.step = metadata["step"]
        self._sums = {name: float(value) for name, value in _unprefixed("pending", arrays).items()}
        self._blocks = metadata["pending_blocks"]
        self.best = None if metadata["best"] is None else tuple(metadata["best"])
        self.best_step = metadata["best_step"]
        self._biased = metadata["biased"]
        self._mark_best()  # the process may have died between writing the checkpoint and marking it
        self._last_row = (self.step, time.monotonic())
        if not self.env.exact_state:
            self.learner.forget_episodes()
            self.progress.say(
                f"{self.env.task} can't restore its state: the running episodes start afresh from step {self.step:,}"
            )
        return metadata["metrics_position"]

    def _report_failure(self, error: DivergenceError) -> None:
        report = {
            "error": str(error),
            "step": self.step,
            "gradient_step": self.learner.gradient_step,
            "last_checkpoint": (self.store.steps() or [None])[-1],
        }
        write_text_atomic(self.run.path / "failure.json", json.dumps(report, indent=2) + "\n")


def make_learner(config: RunConfig, env: SafeVectorEnv) -> Learner[Any, Any]:
    """A fresh learner for a task; ValueError where the task can't serve the configuration."""
    if isinstance(config, SacConfig) and config.feasibility == "hjr" and not env.has_constraint:
        raise ValueError(
            f"feasibility: 'hjr' needs info[\"constraint\"], the signed h(x), which {env.task} doesn't give;"
            " choose cvf or cdf, or pass a constraint function"
        )
    dims = Dims(env.single_observation_space.shape[0], env.single_action_space.shape[0])
    scale = config.reward_scale if isinstance(config, SacConfig) else None
    scale = env.training_reward_scale if scale is None else scale
    episode_steps = min(env.max_episode_steps, config.episode_steps or env.max_episode_steps)
    proximity = env.proximity if config.proximity is None else config.proximity
    return build_learner(config, TaskFacts(dims, scale, episode_steps, proximity))


def policy_metadata(config: RunConfig, task: str, space: Box, learner: Learner[Any, Any]) -> dict[str, Any]:
    """What a policy's file says besides its arrays, so that it can be used without its environment.

    space: what the policy's [−1, 1] spans.
    """
    return {
        "method": full_name(config.method),
        "task": task,
        "config": config.to_dict(),
        "obs_dim": learner.layout.obs_dim,
        "action_low": space.low.tolist(),
        "action_high": space.high.tolist(),
        "reward_scale": learner.task.reward_scale,
        "episode_steps": learner.task.episode_steps,
        "proximity": list(learner.task.proximity),
        "gradient_step": learner.gradient_step,
    }


def check_metadata(metadata: dict[str, Any], config: RunConfig, task: str, path: Path) -> None:
    """Raise CheckpointError for a checkpoint of another method, task or configuration."""
    expected = {"method": full_name(config.method), "task": task, "config": config.to_dict()}
    for name, value in expected.items():
        found = metadata.get(name)
        if found == value:
            continue
        if name == "config" and isinstance(found, dict):
            fields = sorted(k for k in found.keys() | value.keys() if found.get(k) != value.get(k))
            raise CheckpointError(f"{path}: was written with other values of {', '.join(fields)}")
        raise CheckpointError(f"{path}: its {name} is {found!r}, but this run's is {value!r}")


def timing_position(path: Path, step: int) -> int:
    """Bytes of a timing file up to the rows behind `step`; 0 where there is nothing to keep."""
    if step == 0 or not path.exists():
        return 0
    position = 0
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True)):
        first = line.split(b",", 1)[0]
        if not line.endswith(b"\n") or (number > 0 and not (first.isdigit() and int(first) <= step)):
            break
        position += len(line)
    return position


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a flag that is read at block borders; a second one acts as ever."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: Any) -> None:
        del frame
        requested.set()
        signal.signal(number, previous[signal.Signals(number)])

    for number in previous:
        signal.signal(number, request)
    try:
        yield requested.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _prefixed(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def _unprefixed(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    start = prefix + "/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}
