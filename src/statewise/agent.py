"""The Python face: an agent that learns, predicts, tells its risk, is evaluated, saved and loaded."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from statewise.config import DEFAULT_PRESET, RunConfig
from statewise.core.types import Dims
from statewise.envs import SafeVectorEnv
from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.errors import RunError
from statewise.identity import Identity
from statewise.learner import Learner
from statewise.methods import metric_columns
from statewise.modules import import_allowed
from statewise.policy import Policy, PolicyFacts
from statewise.report.progress import Progress, Silent
from statewise.runtime import capped_threads
from statewise.spec import RunSpec, make_config
from statewise.storage.checkpoint import CheckpointStore
from statewise.storage.run_files import RunFiles, checkpoint_in
from statewise.storage.run_folder import RunFolder, run_folder
from statewise.training.calibrating import CROWDING, Wanted, calibrate
from statewise.training.engine import Engine
from statewise.training.evaluate import EVAL_SEED, evaluation_metrics, play_episodes
from statewise.training.evaluator import Evaluator
from statewise.training.learners import build_learner, task_facts
from statewise.training.loop import RowListener, Trainer
from statewise.training.making import Constraint, Env, Making

MAX_EVALUATION_ENVS = 16


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
        env_kwargs: Mapping[str, Any] | None = None,
        max_episode_steps: int | None = None,
        constraint: Constraint | str | None = None,
        root: str | os.PathLike[str] = "runs",
        **config: Any,
    ) -> None:
        """Check the method, the configuration and the environment; nothing is written yet.

        method: a name from `statewise methods`. env: a task id, a Gymnasium environment made by `gymnasium.make`, or a
        function that makes one anew at every call. env_kwargs: keyword arguments of an id's environment.
        max_episode_steps: the horizon, if not the environment's own. constraint: h(obs, action, next_obs), or the
        "module:function" to import it by, for environments without `info["cost"]`. config: fields of the method's
        configuration, such as `seed=0`. ValueError where one of them doesn't fit.
        """
        root = Path(root).absolute()
        making = Making.anew(env, env_kwargs, max_episode_steps, constraint)
        self._begin(make_config(method, preset, **config), making, root)

    @classmethod
    def from_config(
        cls,
        config: RunConfig,
        env: Env,
        *,
        env_kwargs: Mapping[str, Any] | None = None,
        max_episode_steps: int | None = None,
        constraint: Constraint | str | None = None,
        root: str | os.PathLike[str] = "runs",
    ) -> Self:
        """As the constructor, from a whole configuration, which knows its method."""
        root = Path(root).absolute()
        agent = cls.__new__(cls)
        agent._begin(config, Making.anew(env, env_kwargs, max_episode_steps, constraint), root)
        return agent

    @classmethod
    def open(
        cls,
        run: str | os.PathLike[str],
        env: Env | None = None,
        *,
        constraint: Constraint | str | None = None,
        allow_modules: Iterable[str] = (),
    ) -> Self:
        """The agent of a run folder, wherever the run stands: `learn` begins it or goes on from its last checkpoint.

        env, constraint and allow_modules as in `load`. RunError for a folder that isn't a run, or whose environment has
        to be passed.
        """
        run = Path(run).absolute()
        import_allowed(allow_modules)
        spec = RunSpec.read(RunFolder.open(run).config_path)
        making = Making.again(spec.task, spec.environment, env, constraint, str(run))
        making.require_known()
        if CheckpointStore(RunFolder(run).checkpoints, keep=1).latest() is not None:
            return cls.load(run, env, constraint=constraint)
        agent = cls.__new__(cls)
        agent._begin(spec.config, replace(making, begun=False), run.parent)
        agent.run_path = run
        return agent

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        env: Env | None = None,
        *,
        constraint: Constraint | str | None = None,
        which: str = "latest",
        allow_modules: Iterable[str] = (),
    ) -> Self:
        """An agent from a run folder (`which`: "latest" or "best" checkpoint) or from one file.

        env and constraint are needed only where the run couldn't record them; without, the agent predicts, but `learn`,
        `evaluate` and `film_strip` raise RunError, as they do where `env` isn't like the run's. allow_modules: those
        that the files may name, where method, task, constraint or wrappers come from outside; they are imported, and no
        others. Raises CheckpointError for a damaged or missing checkpoint, RunError for a folder that isn't a run or
        whose config.json is of another run than the checkpoint.
        """
        path = Path(path).absolute()
        import_allowed(allow_modules)
        file = checkpoint_in(path, which) if path.is_dir() else path
        policy = Policy.read(file)
        recorded = policy.about.environment
        if path.is_dir():
            _require_same_run(path, policy.about, file)
            recorded = _recorded(RunSpec.read(RunFolder.open(path).config_path), policy, path)
        agent = cls.__new__(cls)
        agent._assemble(policy, None, Making.again(policy.about.task, recorded, env, constraint, str(path)))
        agent.run_path = path if path.is_dir() else None
        agent._owns_run = agent.run_path is not None
        return agent

    def _begin(self, config: RunConfig, making: Making, root: Path) -> None:
        """Start from the seed, in a folder under `root` that is this run's alone."""
        probe = making.probe()
        learner = build_learner(config, task_facts(config, probe))
        span = probe.action_span(config.action_span)
        about = PolicyFacts(config, probe.task, learner.task, span, probe.identity)
        probe.close()
        self._assemble(Policy(about, learner), learner, making)
        digest = RunSpec(about.task, config, about.environment).digest()
        self.run_path = run_folder(root, about.task, config.method, config.seed, digest)

    def _assemble(self, policy: Policy, learner: Learner[Any, Any] | None, making: Making) -> None:
        self.policy = policy
        self.run_path = None
        self._learner = learner
        self._making = making
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

    @property
    def learner(self) -> Learner[Any, Any]:
        """What trains the policy; built when first asked for, as an agent that only plays needs none."""
        if self._learner is None:
            self._learner = build_learner(self.config, self.policy.about.facts)
        return self._learner

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
        if self.run_path is None:
            raise RunError(
                "this agent was loaded from a single file, which holds no replay: load its run folder to go on"
            )
        with ExitStack() as stack:
            made = (self.vector(n, whole=True) for n in (c.num_envs, c.eval_envs))
            env, eval_env = (stack.enter_context(closing(each)) for each in made)
            run = stack.enter_context(self.open_run(overwrite, progress))
            env.identity = self.policy.about.environment or env.identity
            env.max_episode_steps = min(env.max_episode_steps, c.episode_steps or env.max_episode_steps)
            engine = Engine(env, self.learner, run.replay_path)
            self.policy = engine.policy
            files = stack.enter_context(RunFiles(run, metric_columns(c.method), c.checkpoints_kept))
            trainer = Trainer(engine, Evaluator(eval_env, self.policy), files, progress=progress, listeners=listeners)
            trainer.start()
            trainer.train(total_steps)
        return self

    def open_run(self, overwrite: bool = False, progress: Progress | None = None) -> RunFolder:
        """The run's folder, as a context that holds its lock, made where there is none yet: how `learn` begins."""
        assert self.run_path is not None
        if self._owns_run and not overwrite:
            run = RunFolder.open(self.run_path)
            _require_same_run(self.run_path, self.policy.about, run.checkpoints)
            return run
        spec = RunSpec(self.task, self.config, self.policy.about.environment)
        # A run that was killed before its first checkpoint has nothing to lose; a live one holds its lock.
        overwrite = overwrite or CheckpointStore(RunFolder(self.run_path).checkpoints, keep=1).latest() is None
        run = RunFolder.create(self.run_path, spec.to_json(), overwrite=overwrite)
        self._owns_run = True
        for name, reason in ({} if spec.environment is None else spec.environment.unrecorded).items():
            told = f"config.json can't hold {name} ({reason}): pass it to resume, evaluate or load this run"
            (progress or Silent()).say(told)
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

    def save(self, path: str | os.PathLike[str], *, whole: bool = True) -> None:
        """Write policy, critics, multiplier and optimizers to one safetensors file, without the replay.

        whole: with optimizers and target networks; without, a quarter of the file acts and rates risk the same.
        """
        self.policy.write(path, whole=whole)

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

        deterministic: the policy's mean, or its samples, as in training. on_step(env) is called at every state, the
        first and the last of each episode included, say to collect `env.render()`; then the same episodes are played
        one after the other, in environment 0. render_options: as in `make_vector`.
        """
        if episodes < 1:
            raise ValueError(f"episodes: {episodes} is not allowed; it must be at least 1")
        num_envs = max(n for n in range(1, min(episodes, MAX_EVALUATION_ENVS) + 1) if episodes % n == 0)
        each, span, ticks = episodes // num_envs, self.policy.about.span, itertools.count()
        acting = self.policy.acting
        act = acting.greedy if deterministic else lambda obs: acting.explore(obs, next(ticks))
        alone = on_step is not None
        making = self.vector(1 if alone else num_envs, render_mode=render_mode, render_options=render_options)
        with closing(making) as env:
            seeds = range(seed, seed + num_envs) if alone else (seed,)
            played = [play_episodes(env, act, each, first, on_step, span=span) for first in seeds]
        return evaluation_metrics(np.concatenate(played))

    def calibrate(
        self,
        episodes: int,
        seed: int,
        horizon: int = 25,
        stride: int = 5,
        miss_rate: float = 0.1,
        *,
        crowding: float = CROWDING,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """How far λ(x) and F̂(x) can be trusted, as JSON values: see `training.calibrating` and docs/monitor.md.

        Plays whole rounds of at most 20 episodes of the sampled policy, and as many in layouts with `crowding` times
        as many hazards, where it isn't 1. A constant λ has no order, so that its figures are those of chance.
        """
        wanted = Wanted(episodes, seed, horizon, stride, miss_rate, crowding)
        denser, count = self._making.denser(crowding), wanted.num_envs
        why_none = "not asked for" if crowding == 1.0 else None
        if denser is None:
            why_none = f"{self.task} has no layouts that could be made denser"
        return calibrate(
            self.policy,
            lambda: self.vector(count),
            why_none or (lambda: self._vector(denser or self._making, count)),
            None if self.run_path is None else RunFolder(self.run_path).replay_path,
            wanted,
            progress,
        )

    def film_strip(self, count: int = 6, seed: int = EVAL_SEED) -> list[NDArray[np.uint8]]:
        """Frames [height, width, 3] of one episode of the deterministic policy, evenly spaced, the first state's first.

        From above, with costs marked, where the task is one of navigation. RuntimeError where nothing can be drawn.
        """
        looks = {"camera": "top", "show_cost": True} if self.task in NAVIGATION_TASKS else None
        frames: list[NDArray[np.uint8]] = []
        steps = itertools.count()

        def look(env: SafeVectorEnv) -> None:
            apart = -(-env.max_episode_steps // max(count - 1, 1))
            if next(steps) % apart == 0 and (drawn := env.render()) is not None:
                frames.append(drawn[0])

        self.evaluate(1, seed, render_mode="rgb_array", render_options=looks, on_step=look)
        return frames

    def vector(self, num_envs: int = 1, *, whole: bool = False, **rendering: Any) -> SafeVectorEnv:
        """Environments like those that the policy was made for, which the caller closes; rendering as in `make_vector`.

        whole: in all that is recorded, not just in what observations and actions look like. Raises as `evaluate` does.
        """
        return self._vector(self._making, num_envs, whole, **rendering)

    def _vector(self, making: Making, num_envs: int, whole: bool = False, **rendering: Any) -> SafeVectorEnv:
        env = making.vector(num_envs, threads=capped_threads(self.config.threads), **rendering)
        try:
            self._require_like(env, whole)
        except ValueError:
            env.close()
            raise
        return env

    def _require_like(self, env: SafeVectorEnv, whole: bool) -> None:
        about = self.policy.about
        dims = Dims(env.single_observation_space.shape[0], env.single_action_space.shape[0])
        if dims != about.facts.dims:
            raise ValueError(
                f"env: {env.task} has {dims.obs} observations and {dims.action} actions; this policy was trained on"
                f" {about.facts.dims.obs} and {about.facts.dims.action}, as in {self.task}"
            )
        if about.environment is not None:
            run = str(self.run_path or "the policy")
            about.environment.require_like(env.identity, run, looks_only=not whole)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Agent can't be pickled or copied, as it holds compiled functions and environments: save(path) it, and"
            " Agent.load(path) it in the other process"
        )


def _recorded(spec: RunSpec, policy: Policy, run: Path) -> Identity | None:
    """The run's environment, on which its config.json and its checkpoint have to agree."""
    own, theirs = policy.about.environment, spec.environment
    if own is None or theirs is None or not theirs.looks:
        return theirs or own
    for name, value in theirs.to_dict().items():
        if value != own.to_dict()[name]:
            raise RunError(f"{run}: config.json says that {name} is {value}, its checkpoint {own.to_dict()[name]}")
    return own


def _require_same_run(run: Path, about: PolicyFacts, checkpoint: Path) -> None:
    """RunError where the run's config.json says something else than its checkpoint."""
    path = RunFolder(run).config_path
    RunSpec.read(path).require_same(path, RunSpec(about.task, about.config), checkpoint)
