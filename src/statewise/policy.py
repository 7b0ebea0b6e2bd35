"""What a saved policy is: networks, statistics of observations, the span of its actions, and what it was trained for.

One file holds it all, so that it can be used without its environment: arrays under `learner/`, the rest as metadata.
Nothing of training or of environments is needed to read one, to act with it, or to ask for its risk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from statewise.acting import Acting, Floats
from statewise.actions import Bounds, Span, rescale_action
from statewise.config import RunConfig
from statewise.core.types import Dims, TaskFacts
from statewise.errors import CheckpointError
from statewise.families import build_core
from statewise.identity import Identity
from statewise.methods import full_name, method_in_file
from statewise.modules import import_allowed
from statewise.storage import checkpoint
from statewise.storage.checkpoint import prefixed, unprefixed

PREFIX = "learner"
"""Of the arrays' names in a policy's file and in a checkpoint."""


@dataclass(frozen=True)
class PolicyFacts:
    """What a policy's file says besides its arrays: configuration (which knows its method), task, span of actions.

    environment: how the task's environment was made; None in files of before that was recorded.
    """

    config: RunConfig
    task: str
    facts: TaskFacts
    span: Span
    environment: Identity | None = None

    def metadata(self, gradient_step: int) -> dict[str, Any]:
        """These facts as JSON values."""
        return {
            "method": full_name(self.config.method),
            "task": self.task,
            "environment": None if self.environment is None else self.environment.to_dict(),
            "config": self.config.to_dict(),
            "obs_dim": self.facts.dims.obs,
            "action_low": self.span.low.tolist(),
            "action_high": self.span.high.tolist(),
            "reward_scale": self.facts.reward_scale,
            "episode_steps": self.facts.episode_steps,
            "proximity": list(self.facts.proximity),
            "gradient_step": gradient_step,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> PolicyFacts:
        """The inverse of `metadata`; KeyError, TypeError or ValueError for what isn't one."""
        config = method_in_file(metadata["method"]).config.from_dict(metadata["config"])
        low, high = (np.array(metadata[name], np.float32) for name in ("action_low", "action_high"))
        dims = Dims(int(metadata["obs_dim"]), len(low))
        proximity = tuple(int(entry) for entry in metadata["proximity"])
        facts = TaskFacts(dims, float(metadata["reward_scale"]), int(metadata["episode_steps"]), proximity)
        # Files of before environments were recorded have none.
        recorded = metadata.get("environment")
        environment = None if recorded is None else Identity.from_dict(recorded)
        return cls(config, str(metadata["task"]), facts, Bounds(low, high), environment)

    def require_same(self, metadata: Mapping[str, Any], path: Path) -> None:
        """Raise CheckpointError for the metadata of another method, task or configuration, read from `path`."""
        expected = {"method": full_name(self.config.method), "task": self.task, "config": self.config.to_dict()}
        for name, value in expected.items():
            found = metadata.get(name)
            if found == value:
                continue
            if name == "config" and isinstance(found, dict):
                fields = sorted(k for k in found.keys() | value.keys() if found.get(k) != value.get(k))
                raise CheckpointError(f"{path}: was written with other values of {', '.join(fields)}")
            raise CheckpointError(f"{path}: its {name} is {found!r}, but this run's is {value!r}")


class Policy:
    """A policy with its multiplier and feasibility: acts in the units of the task, from raw observations."""

    def __init__(self, about: PolicyFacts, acting: Acting | None = None) -> None:
        """With the networks of `acting`, which a learner may go on training; with None, as the seed makes them."""
        self.about = about
        config = about.config
        self.acting = Acting(build_core(config, about.facts), config.seed) if acting is None else acting
        self._calls = 0

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, allow_modules: Iterable[str] = ()) -> Self:
        """The policy in a file that `write` wrote, or in a checkpoint.

        allow_modules: those that the file may name, where its method comes from outside the package; they are imported.
        Raises CheckpointError for a file that is missing, damaged or of another version, or that names another module.
        """
        import_allowed(allow_modules)
        path = Path(path)
        arrays, metadata = checkpoint.load(path)
        try:
            policy = cls(PolicyFacts.from_metadata(metadata))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise CheckpointError(f"{path}: can't be used by this version of Statewise: {error}") from error
        try:
            policy.acting.load(_completed(unprefixed(PREFIX, arrays), policy))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error
        return policy

    def write(self, path: str | os.PathLike[str], *, whole: bool = True) -> None:
        """Write networks, statistics and optimizers to one safetensors file.

        whole: with optimizers and target networks; without, a quarter of the file acts and rates risk the same.
        """
        arrays = self.arrays()
        if not whole:
            arrays = {name: array for name, array in arrays.items() if not _only_trains(name)}
        checkpoint.save(Path(path), arrays, self.metadata())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by their names in the file. Raises DivergenceError naming one that isn't finite."""
        return prefixed(PREFIX, self.acting.arrays())

    def metadata(self) -> dict[str, Any]:
        """What the file says besides."""
        return self.about.metadata(self.acting.gradient_step)

    def act(self, obs: NDArray[Any], deterministic: bool = True) -> Floats:
        """Actions in the units of the action space: obs [obs] -> [action], or a batch [B, obs] -> [B, action].

        Stochastic actions follow from the seed and the number of calls. ValueError for another shape or NaN.
        """
        batch, single = self._batch(obs)
        if deterministic:
            action = self.acting.greedy(batch)
        else:
            self._calls += 1
            action = self.acting.explore(batch, self._calls)
        self._require_finite(action)
        action = rescale_action(action, self.about.span).astype(np.float32)
        return action[0] if single else action

    def risk(self, obs: NDArray[Any]) -> tuple[Floats, Floats]:
        """λ(x) and F̂(x): obs [obs] -> two scalars, or a batch [B, obs] -> [B], [B].

        ValueError for another shape, NaN, or values so large that the answer would be NaN, which compares as safe.
        """
        batch, single = self._batch(obs)
        lam, f = self.acting.risk(batch)
        self._require_finite(lam, f)
        return (lam[0], f[0]) if single else (lam, f)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Policy can't be pickled or copied, as it holds compiled functions: write(path) it, and"
            " Policy.read(path) it in the other process"
        )

    def _batch(self, obs: NDArray[Any]) -> tuple[NDArray[Any], bool]:
        array, size = np.asarray(obs), self.about.facts.dims.obs
        if array.dtype.kind not in "fiub":
            raise ValueError(f"obs: dtype {array.dtype} is not allowed; it must be real numbers")
        if array.ndim not in (1, 2) or array.shape[-1] != size or array.size == 0:
            raise ValueError(
                f"obs: shape {array.shape} is not allowed; {self.about.task} has [{size}], or [B, {size}] for a batch"
            )
        with np.errstate(over="ignore"):
            batch = np.atleast_2d(array).astype(np.float32)
        if not np.isfinite(batch).all():
            raise ValueError("obs: holds NaN or infinity, as a float32; a policy needs finite observations")
        return batch, array.ndim == 1

    @staticmethod
    def _require_finite(*answers: Floats) -> None:
        if not all(np.isfinite(answer).all() for answer in answers):
            raise ValueError("obs: its entries are too large; what the networks make of them is not finite")


def _only_trains(name: str) -> bool:
    """Whether an array of this name is of an optimizer or a target network."""
    return any(part == "opt" or part.endswith(("_opt", "_target")) for part in name.split("/"))


def _completed(arrays: dict[str, NDArray[Any]], policy: Policy) -> dict[str, NDArray[Any]]:
    """These arrays, with fresh ones of what only trains where a file was written without any of it."""
    if any(map(_only_trains, arrays)):
        return arrays
    return {name: array for name, array in policy.acting.arrays().items() if _only_trains(name)} | arrays
