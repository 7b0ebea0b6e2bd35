"""One foreign environment behind checks: whatever it does wrong comes out as an EnvironmentFault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from statewise.errors import EnvironmentFault

if TYPE_CHECKING:
    from collections.abc import Callable

    import gymnasium
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Constraint = Callable[[Floats, Floats, Floats], float]


_LARGEST = float(np.finfo(np.float32).max)
"""Networks and replay hold float32, in which a larger number is infinite, and whatever follows from it NaN."""


class CheckedStep(NamedTuple):
    """One step of one world; `constraint` is NaN where the environment gives none."""

    next_obs: Floats
    reward: float
    cost: float
    constraint: float
    terminated: bool
    truncated: bool


class CheckedEnv:
    """A Gymnasium environment with vector observations, whose every answer is checked.

    world: its index, for messages. constraint: h(obs, action, next_obs), positive where next_obs is unsafe.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], world: int, obs_dim: int, constraint: Constraint | None) -> None:
        self.env = env
        self.obs = np.zeros(obs_dim)
        self._world = world
        self._constraint = constraint
        self._action_dtype = env.action_space.dtype
        self._steps = 0

    def reset(self, seed: int | None, options: dict[str, Any] | None = None) -> Floats:
        """Start an episode; return its first observation [obs_dim]."""
        self._steps = 0
        given = {} if options is None else {"options": options}
        answer = self._call("reset()", self.env.reset, seed=seed, **given)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            self._fault("reset()", "did not return (obs, info)")
        self.obs = self._vector("observation", answer[0])
        return self.obs

    def step(self, action: Floats) -> CheckedStep:
        """Advance by one action [act_dim]; ValueError when the step comes with no cost."""
        self._steps += 1
        answer = self._call("step()", self.env.step, action.astype(self._action_dtype))
        if not (isinstance(answer, tuple) and len(answer) in (5, 6)):
            self._fault("step()", "did not return five values (or six, with the cost as the third)")
        given_cost = answer[2] if len(answer) == 6 else None
        raw_obs, raw_reward = answer[:2]
        terminated, truncated, info = answer[-3:]
        if not isinstance(info, Mapping):
            self._fault("info", "is not a dict")
        next_obs = self._vector("observation", raw_obs)
        cost, constraint = self._judge(given_cost, info, action, next_obs)
        self.obs = next_obs
        return CheckedStep(
            next_obs=next_obs,
            reward=self._number("reward", raw_reward),
            cost=cost,
            constraint=constraint,
            terminated=self._flag("terminated", terminated),
            truncated=self._flag("truncated", truncated),
        )

    def get_state(self) -> dict[str, NDArray[Any]]:
        """The state that the environment itself gives, as arrays."""
        own: Any = self.env.unwrapped
        return self._call("get_state()", lambda: {name: np.array(value) for name, value in own.get_state().items()})

    def set_state(self, state: Mapping[str, NDArray[Any]], obs: Floats) -> None:
        """Put the environment where it was when it gave `state` and observed `obs`."""
        own: Any = self.env.unwrapped
        self._call("set_state()", own.set_state, dict(state))
        self.obs = obs

    def render(self) -> NDArray[Any]:
        """What the environment draws; RuntimeError where it can't."""
        try:
            return np.asarray(self.env.render())
        except (Exception, SystemExit) as error:
            hint = "; set MUJOCO_GL=egl where there is no display" if type(error).__name__ == "FatalError" else ""
            raise RuntimeError(f"render() raised {type(error).__name__}: {error}{hint}") from error

    def close(self) -> None:
        """Close the environment."""
        self._call("close()", self.env.close)

    def _judge(self, given_cost: Any, info: Mapping[str, Any], action: Floats, next_obs: Floats) -> tuple[float, float]:
        """Cost and constraint of a step; the environment's own cost holds unless a constraint function was given."""
        if self._constraint is not None:
            h = self._call("constraint", self._constraint, self.obs, action, next_obs)
            constraint = self._number("constraint", h)
            return float(constraint > 0.0), constraint
        constraint = self._number("info['constraint']", info["constraint"]) if "constraint" in info else np.nan
        cost = given_cost if given_cost is not None else info.get("cost")
        if cost is not None:
            return self._cost(cost), constraint
        if np.isnan(constraint):
            raise ValueError(
                f"world {self._world}, step {self._steps}: the environment gives no cost; let step() put it into "
                "info['cost'], or give a function constraint=h(obs, action, next_obs) that is positive where unsafe"
            )
        return float(constraint > 0.0), constraint

    def _cost(self, value: Any) -> float:
        cost = self._number("cost", value)
        if cost < 0.0:
            self._fault("cost", f"is {cost}; it must not be negative")
        return cost

    def _vector(self, field: str, value: Any) -> Floats:
        try:
            vector = np.array(value, np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            self._fault(field, f"is not an array of numbers ({error})")
        if vector.shape != self.obs.shape:
            self._fault(field, f"has shape {vector.shape}, the observation space says {self.obs.shape}")
        if not _fits(vector).all():
            at = np.flatnonzero(~_fits(vector))
            self._fault(field, f"is not finite at {at.tolist()}, as a float32: {vector[at[0]]:g}")
        return vector

    def _number(self, field: str, value: Any) -> float:
        try:
            number = float(np.asarray(value, np.float64).item())
        except (TypeError, ValueError, OverflowError):
            self._fault(field, f"is {value!r}, not a number")
        if not _fits(number):
            self._fault(field, f"is {number}; it must be finite, as a float32")
        return number

    def _flag(self, field: str, value: Any) -> bool:
        number = self._number(field, value)
        if number not in (0.0, 1.0):
            self._fault(field, f"is {value!r}; it must be True or False")
        return bool(number)

    def _call(self, field: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except (Exception, SystemExit) as error:
            message = f"world {self._world}, step {self._steps}: {field} raised {type(error).__name__}: {error}"
            raise EnvironmentFault(message) from error

    def _fault(self, field: str, problem: str) -> NoReturn:
        raise EnvironmentFault(f"world {self._world}, step {self._steps}: {field} {problem}")


def _fits(value: Any) -> Any:
    """Whether a number, or each of an array, is finite as a float32; NaN is not."""
    return np.abs(value) <= _LARGEST
