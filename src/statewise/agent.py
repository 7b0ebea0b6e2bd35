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

from statewise import checkpoint
from statewise.checkpoint import CheckpointStore
from statewise.config import DEFAULT_PRESET, RunConfig
from statewise.envs import SafeVectorEnv, make_vector, rescale_action, spanned_space
from statewise.envs.navigation.registry import NAVIGATION_TASKS
from statewise.errors import CheckpointError, RunError
from statewise.evaluate import EVAL_SEED, evaluation_figures, play_episodes
from statewise.learner import Learner, build_learner
from statewise.progress import Progress
from statewise.runs import RunFolder, run_folder
from statewise.runtime import capped_threads
from statewise.spec import RunSpec, make_config
from statewise.train import RowListener, Trainer, make_learner, policy_metadata
from statewise.types import Dims, TaskFacts

if TYPE_CHECKING:
    Env = str | gymnasium.Env[Any, Any] | Callable[[], gymnasium.Env[Any, Any]]

Constraint = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]
"""h(obs, action, next_obs), safe iff <= 0."""

MAX_EVALUATION_WORLDS = 16


class Agent:
    """A method on a task: a policy, its multiplier, and the run that they are trained in.

    The run folder, `root/<task>/<method>/seed-<n>-<config hash>`, is made when `learn` is first called.

        agent = Agent("sac-alam", "SafetySwimmerVelocity-v1", seed=0)
        agent.learn(100_000)
        action = agent.predict(obs)
    """

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
        settings = make_config(method, preset, **config)
        env = _repeatable(env)
        probe = make_vector(env, 1, constraint=constraint)
        path = run_folder(Path(root), probe.task, settings.method, settings.seed, settings.digest())
        learner = make_learner(settings, probe)
        space = spanned_space(probe, settings.action_span)
        self._assemble(settings, env, constraint, probe.task, space, learner, path)
        probe.close()

    def _assemble(
        self,
        config: RunConfig,
        env: Env,
        constraint: Constraint | None,
        task: str,
        action_space: Box,
        learner: Learner[Any, Any],
        run_path: Path | None,
    ) -> None:
        self.config = config
        self.task = task
        self.action_space = action_space
        self.run_path = run_path
        self._owns_run = False
        self._env = env
        self._constraint = constraint
        self._learner = learner
        self._calls = 0

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
        a multiple of every interval. RunError where the folder holds another run (unless `overwrite`) or a process
        works there.
        """
        with ExitStack() as stack:
            run = stack.enter_context(self._open_run(overwrite))
            env, eval_env = (self._vector(n) for n in (self.config.num_envs, self.config.eval_envs))
            stack.callback(env.close)
            stack.callback(eval_env.close)
            env.max_episode_steps = min(env.max_episode_steps, self.config.episode_steps or env.max_episode_steps)
            trainer = Trainer(run, self.config, env, eval_env, self._learner, progress=progress, listeners=listeners)
            stack.callback(trainer.close)
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
        batch, single = self._batch(obs)
        if deterministic:
            action = self._learner.greedy(batch)
        else:
            self._calls += 1
            action = self._learner.explore(batch, self._calls)
        action = rescale_action(action, self.action_space).astype(np.float32)
        return action[0] if single else action

    def risk(self, obs: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """λ(x) and F̂(x): obs [obs] -> two scalars, or a batch [B, obs] -> [B], [B]."""
        batch, single = self._batch(obs)
        lam, f = self._learner.risk(batch)
        return (lam[0], f[0]) if single else (lam, f)

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
        collect `env.render()` of world 0. render_options: as in `make_vector`.
        """
        if episodes < 1:
            raise ValueError(f"episodes: {episodes} is not allowed; it must be at least 1")
        worlds = max(n for n in range(1, min(episodes, MAX_EVALUATION_WORLDS) + 1) if episodes % n == 0)
        env = self._vector(worlds, render_mode=render_mode, render_options=render_options)
        try:
            ticks = itertools.count()
            act = self._learner.greedy if deterministic else lambda obs: self._learner.explore(obs, next(ticks))
            played = play_episodes(env, act, episodes // worlds, seed, on_step, action_space=self.action_space)
        finally:
            env.close()
        return evaluation_figures(played)

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

    def _batch(self, obs: NDArray[Any]) -> tuple[NDArray[Any], bool]:
        array = np.asarray(obs)
        size = self._learner.layout.obs_dim
        if array.ndim not in (1, 2) or array.shape[-1] != size:
            raise ValueError(
                f"obs: shape {array.shape} is not allowed; {self.task} has [{size}], or [B, {size}] for a batch"
            )
        if not np.isfinite(array).all():
            raise ValueError("obs: holds NaN or infinity; a policy needs finite observations")
        return np.atleast_2d(array), array.ndim == 1

    def _vector(self, worlds: int, **rendering: Any) -> SafeVectorEnv:
        return make_vector(
            self._env,
            worlds,
            threads=capped_threads(self.config.threads),
            constraint=self._constraint,
            **rendering,
        )

    # --- saving --------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write policy, critics, multiplier and optimizers to one safetensors file, without the replay."""
        metadata = policy_metadata(self.config, self.task, self.action_space, self._learner)
        arrays = {f"learner/{name}": array for name, array in self._learner.arrays().items()}
        checkpoint.save(Path(path), arrays, metadata)

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
        file = _checkpoint_in(path, which) if path.is_dir() else path
        arrays, metadata = checkpoint.load(file)
        config, task, space, learner = _read_metadata(metadata, file)
        start = "learner/"
        learner.load({n.removeprefix(start): a for n, a in arrays.items() if n.startswith(start)})
        agent = cls.__new__(cls)
        source = task if env is None else _repeatable(env)
        run_path = path if path.is_dir() else None
        agent._assemble(config, source, constraint, task, space, learner, run_path)
        agent._owns_run = run_path is not None
        return agent


def _repeatable(env: Env) -> Env:
    """Something to make worlds from again and again: training and evaluation must not share one environment."""
    if not isinstance(env, gymnasium.Env):
        return env
    if env.spec is None:
        raise ValueError(
            f"env: {env} wasn't made by gymnasium.make, so it can't be made again for evaluation; "
            "pass a function that makes it, such as `lambda: MyEnv()`"
        )
    return partial(gymnasium.make, env.spec)


def _checkpoint_in(run: Path, which: str) -> Path:
    folder = RunFolder.open(run)
    if which not in ("latest", "best"):
        raise ValueError(f"which: {which!r} is not allowed; it must be latest or best")
    store = CheckpointStore(folder.checkpoints, keep=1)
    found = store.latest()
    path = store.best_path if which == "best" else found[1] if found else None
    if path is None or not path.exists():
        raise CheckpointError(f"{run} holds no {which} checkpoint yet")
    return path


def _read_metadata(metadata: dict[str, Any], file: Path) -> tuple[RunConfig, str, Box, Learner[Any, Any]]:
    """Configuration, task, action space and a fresh learner from a checkpoint's metadata."""
    try:
        config = make_config(metadata["method"], "paper", **metadata["config"])
        low, high = (np.array(metadata[name], np.float32) for name in ("action_low", "action_high"))
        dims = Dims(int(metadata["obs_dim"]), len(low))
        proximity = tuple(int(entry) for entry in metadata["proximity"])
        facts = TaskFacts(dims, float(metadata["reward_scale"]), int(metadata["episode_steps"]), proximity)
        learner = build_learner(config, facts)
        return config, str(metadata["task"]), Box(low, high, dtype=np.float32), learner
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file}: isn't a checkpoint of this version of Statewise: {error}") from error


def _import_name(function: Constraint | None) -> str | None:
    """The "module:name" under which a function can be imported again, or None."""
    name = getattr(function, "__qualname__", "<")
    return None if "<" in name else f"{getattr(function, '__module__', '')}:{name}"
