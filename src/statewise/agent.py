"""The Python face: an agent that learns, predicts, tells its risk, is evaluated, saved and loaded."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import gymnasium
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from statewise.config import DEFAULT_PRESET, RunConfig
from statewise.envs import SafeVectorEnv, make_vector
from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.errors import RunError
from statewise.learner import Learner
from statewise.methods import metric_columns
from statewise.policy import Policy, PolicyFacts
from statewise.report.calibration import calibration_report
from statewise.report.progress import Progress
from statewise.runtime import capped_threads
from statewise.spec import RunSpec, make_config
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.run_files import RunFiles, checkpoint_in
from statewise.storage.run_folder import RunFolder, run_folder
from statewise.training.engine import Engine
from statewise.training.evaluate import EVAL_SEED, evaluation_metrics, play_episodes
from statewise.training.evaluator import Evaluator
from statewise.training.labelled import label_states
from statewise.training.learners import build_learner, task_facts
from statewise.training.loop import RowListener, Trainer

if TYPE_CHECKING:
    Env = str | gymnasium.Env[Any, Any] | Callable[[], gymnasium.Env[Any, Any]]

Constraint = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]
"""h(obs, action, next_obs), safe iff <= 0."""

MAX_EVALUATION_ENVS = 16
CALIBRATION_ENVS = 20


class Agent:
    """A method on a task: a policy, its multiplier, and the run that they are trained in.

    The run folder, `root/<task>/<method>/seed-<n>-<config hash>`, is made when `learn` is first called.

        agent = Agent("sac-alam", "SafetySwimmerVelocity-v1", seed=0)
        agent.learn(100_000)
        action = agent.predict(obs)
    """

    policy: Policy
    """What `predict`, `risk`, `evaluate` and `save` use; `learn` goes on with it."""
    run_path: Path | None
    """The run's folder; None for an agent that was loaded from a single file."""

    def __init__(
        self,
        method: str,
        env: Env,
        *,
        preset: str = DEFAULT_PRESET,
        constraint: Constraint | None = None,
        root: str | os.PathLike[str] = "runs",
        **config: Any,
    ) -> None:
        """Check the method, the configuration and the environment; nothing is written yet.

        method: a name from `statewise methods`. env: a task id, a Gymnasium environment made by `gymnasium.make`, or a
        function that makes one. constraint: h(obs, action, next_obs), for environments without `info["cost"]`.
        config: fields of the method's configuration, such as `seed=0`. ValueError where one of them doesn't fit.
        """
        self._begin(make_config(method, preset, **config), env, constraint, Path(root))

    @classmethod
    def from_config(
        cls,
        config: RunConfig,
        env: Env,
        *,
        constraint: Constraint | None = None,
        root: str | os.PathLike[str] = "runs",
    ) -> Self:
        """As the constructor, from a whole configuration, which knows its method."""
        agent = cls.__new__(cls)
        agent._begin(config, env, constraint, Path(root))
        return agent

    @classmethod
    def open(cls, run: str | os.PathLike[str], env: Env | None = None, *, constraint: Constraint | None = None) -> Self:
        """The agent of a run folder, wherever the run stands: `learn` begins it or goes on from its last checkpoint.

        env and constraint as in `load`. RunError for a folder that isn't a run.
        """
        run = Path(run)
        spec = RunSpec.read(RunFolder.open(run).config_path)
        if CheckpointStore(RunFolder(run).checkpoints, keep=1).latest() is not None:
            return cls.load(run, env, constraint=constraint)
        agent = cls.from_config(spec.config, spec.task if env is None else env, constraint=constraint)
        agent.run_path = run
        return agent

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        env: Env | None = None,
        *,
        constraint: Constraint | None = None,
        which: str = "latest",
    ) -> Self:
        """An agent from a run folder (`which`: "latest" or "best" checkpoint) or from one file.

        env and constraint are needed only where the run was made from objects that have no name. Raises CheckpointError
        for a damaged or missing checkpoint, RunError for a folder that isn't a run.
        """
        path = Path(path)
        policy = Policy.read(checkpoint_in(path, which) if path.is_dir() else path)
        agent = cls.__new__(cls)
        agent._assemble(policy, None, policy.about.task if env is None else env, constraint)
        agent.run_path = path if path.is_dir() else None
        agent._owns_run = agent.run_path is not None
        return agent

    def _begin(self, config: RunConfig, env: Env, constraint: Constraint | None, root: Path) -> None:
        """Start from the seed, in a folder under `root` that is this run's alone."""
        probe = make_vector(_repeatable(env), 1, constraint=constraint)
        learner = build_learner(config, task_facts(config, probe))
        about = PolicyFacts(config, probe.task, learner.task, probe.action_span(config.action_span))
        probe.close()
        self._assemble(Policy(about, learner), learner, env, constraint)
        self.run_path = run_folder(root, about.task, config.method, config.seed, config.digest())

    def _assemble(
        self, policy: Policy, learner: Learner[Any, Any] | None, env: Env, constraint: Constraint | None
    ) -> None:
        self.policy = policy
        self.run_path = None
        self._learner = learner
        self._env = _repeatable(env)
        self._constraint = constraint
        self._owns_run = False

    @property
    def config(self) -> RunConfig:
        """The method's configuration."""
        return self.policy.about.config

    @property
    def task(self) -> str:
        """The task's id or name."""
        return self.policy.about.task

    @property
    def action_space(self) -> Box:
        """What the policy's [−1, 1] spans: the task's action space, or its effective part."""
        span = self.policy.about.span
        return Box(np.asarray(span.low, np.float32), np.asarray(span.high, np.float32), dtype=np.float32)

    # --- learning ------------------------------------------------------------------------------------------------

    def learn(
        self,
        total_steps: int | None = None,
        *,
        overwrite: bool = False,
        progress: Progress | None = None,
        listeners: tuple[RowListener, ...] = (),
    ) -> Self:
        """Train until `total_steps` environment steps in all (the configuration's, if None) have been taken.

        A run that this agent began, or was loaded from, goes on where its last checkpoint left it. The end of a part
        has a row, an evaluation and a checkpoint of its own, so parts give the bytes of the whole where they end on
        a multiple of every interval. ValueError for anything but a positive whole number; RunError where the
        folder holds another run (unless `overwrite`) or a process works there.
        """
        c = self.config
        if total_steps is not None and (not isinstance(total_steps, int | np.integer) or total_steps < 1):
            raise ValueError(f"total_steps: {total_steps!r} is not allowed; it must be a whole number of at least 1")
        with ExitStack() as stack:
            run = stack.enter_context(self._open_run(overwrite))
            env, eval_env = (self._vector(n) for n in (c.num_envs, c.eval_envs))
            stack.callback(env.close)
            stack.callback(eval_env.close)
            env.max_episode_steps = min(env.max_episode_steps, c.episode_steps or env.max_episode_steps)
            if self._learner is None:
                self._learner = build_learner(c, self.policy.about.facts)
            engine = Engine(env, self._learner, run.replay_path)
            self.policy = engine.policy
            files = stack.enter_context(RunFiles(run, metric_columns(c.method), c.checkpoints_kept))
            evaluator = Evaluator(eval_env, self.policy)
            trainer = Trainer(engine, evaluator, files, progress=progress, listeners=listeners)
            trainer.start()
            trainer.train(total_steps)
        return self

    def _open_run(self, overwrite: bool) -> RunFolder:
        if self.run_path is None:
            raise RunError(
                "this agent was loaded from a single file, which holds no replay: load its run folder to go on"
            )
        if self._owns_run and not overwrite:
            return RunFolder.open(self.run_path)
        spec = RunSpec(self.task, self.config, _import_name(self._constraint))
        # A run that was killed before its first checkpoint has nothing to lose; a live one holds its lock.
        overwrite = overwrite or CheckpointStore(RunFolder(self.run_path).checkpoints, keep=1).latest() is None
        run = RunFolder.create(self.run_path, spec.to_json(), overwrite=overwrite)
        self._owns_run = True
        return run

    # --- using ---------------------------------------------------------------------------------------------------

    def predict(self, obs: NDArray[Any], deterministic: bool = True) -> NDArray[np.float32]:
        """Actions in the units of the action space: obs [obs] -> [action], or a batch [B, obs] -> [B, action].

        Stochastic actions follow from the seed and the number of calls. ValueError for another shape or NaN.
        """
        return self.policy.act(obs, deterministic)

    def risk(self, obs: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """λ(x) and F̂(x): obs [obs] -> two scalars, or a batch [B, obs] -> [B], [B]."""
        return self.policy.risk(obs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write policy, critics, multiplier and optimizers to one safetensors file, without the replay."""
        self.policy.write(path)

    def evaluate(
        self,
        episodes: int = 10,
        seed: int = EVAL_SEED,
        *,
        render_mode: str | None = None,
        render_options: Mapping[str, Any] | None = None,
        on_step: Callable[[SafeVectorEnv], None] | None = None,
        deterministic: bool = True,
    ) -> dict[str, float]:
        """Play episodes; mean return, cost and length on raw reward and cost.

        deterministic: the policy's mean, or its samples, as in training. on_step(env) is called after each step, say to
        collect `env.render()` of environment 0. render_options: as in `make_vector`.
        """
        if episodes < 1:
            raise ValueError(f"episodes: {episodes} is not allowed; it must be at least 1")
        num_envs = max(n for n in range(1, min(episodes, MAX_EVALUATION_ENVS) + 1) if episodes % n == 0)
        env = self._vector(num_envs, render_mode=render_mode, render_options=render_options)
        try:
            ticks = itertools.count()
            acting = self.policy.acting
            act = acting.greedy if deterministic else lambda obs: acting.explore(obs, next(ticks))
            played = play_episodes(env, act, episodes // num_envs, seed, on_step, span=self.policy.about.span)
        finally:
            env.close()
        return evaluation_metrics(played)

    def calibrate(
        self, episodes: int, seed: int, horizon: int = 25, stride: int = 5, miss_rate: float = 0.1
    ) -> dict[str, Any]:
        """How far λ(x) and F̂(x) can be trusted, as JSON values: figures under "lam" and "f", and what they are of.

        Plays whole rounds of at most 20 episodes of the sampled policy; see `training.labelled` and
        `report.calibration`. A constant λ has no order, so that its figures are those of chance.
        """
        num_envs = min(episodes, CALIBRATION_ENVS)
        env = self._vector(num_envs)
        try:
            rounds = -(-episodes // num_envs)
            by_signal = label_states(self.policy, env, rounds, seed, horizon, stride)
        finally:
            env.close()
        of = {"gradient_steps": self.policy.acting.gradient_step, "episodes": rounds * num_envs, "seed": seed}
        of |= {"horizon": horizon, "stride": stride, "miss_rate": miss_rate, "states": len(by_signal[0].score)}
        found = {
            name: calibration_report(s, miss_rate, name == "f") for name, s in zip(("lam", "f"), by_signal, strict=True)
        }
        return {**of, **found}

    def film_strip(self, count: int = 6, seed: int = EVAL_SEED) -> list[NDArray[np.uint8]]:
        """Frames [height, width, 3] of one episode of the deterministic policy, evenly spaced, the first step's first.

        From above, with costs marked, where the task is one of navigation. RuntimeError where nothing can be drawn.
        """
        looks = {"camera": "top", "show_cost": True} if self.task in NAVIGATION_TASKS else None
        frames: list[NDArray[np.uint8]] = []
        steps = itertools.count()

        def look(env: SafeVectorEnv) -> None:
            if next(steps) % -(-env.max_episode_steps // count) == 0 and (drawn := env.render()) is not None:
                frames.append(drawn[0])

        self.evaluate(1, seed, render_mode="rgb_array", render_options=looks, on_step=look)
        return frames

    def _vector(self, num_envs: int, **rendering: Any) -> SafeVectorEnv:
        return make_vector(
            self._env,
            num_envs,
            threads=capped_threads(self.config.threads),
            constraint=self._constraint,
            **rendering,
        )


def _repeatable(env: Env) -> Env:
    """Something to make environments from again and again: training and evaluation must not share one environment."""
    if not isinstance(env, gymnasium.Env):
        return env
    if env.spec is None:
        raise ValueError(
            f"env: {env} wasn't made by gymnasium.make, so it can't be made again for evaluation; "
            "pass a function that makes it, such as `lambda: MyEnv()`"
        )
    return partial(gymnasium.make, env.spec)


def _import_name(function: Constraint | None) -> str | None:
    """The "module:name" under which a function can be imported again, or None."""
    name = getattr(function, "__qualname__", "<")
    return None if "<" in name else f"{getattr(function, '__module__', '')}:{name}"
