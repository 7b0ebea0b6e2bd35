"""The only registry: which methods there are, their configurations, and what builds their mechanisms."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast, overload

from statewise.config import (
    AlamConfig,
    AlamGaConfig,
    AsacConfig,
    CrpoConfig,
    FpiConfig,
    LagConfig,
    LagNetConfig,
    OnPolicyConfig,
    P3oConfig,
    PidConfig,
    PpoConfig,
    RunConfig,
    SacConfig,
)
from statewise.core.columns import EVALUATION, LEARNING, Column
from statewise.modules import import_module_of, require_imported
from statewise.runtime import product_precision

if TYPE_CHECKING:
    from statewise.onpolicy.improvement import Improvement
    from statewise.sac.mechanism import Mechanism
    from statewise.sac.networks import SacNetworks


class Method(NamedTuple):
    """A method's configuration class, a line about it, its builder, its source, and metrics of its own.

    builder: a function, or the module with `build`: (config, networks) -> Mechanism where the configuration is a
    SacConfig, (config) -> Improvement where it is an OnPolicyConfig. columns: those that no other method has.
    """

    config: type[RunConfig]
    summary: str
    builder: str | Callable[..., Mechanism | Improvement]
    source: str = ""
    columns: tuple[Column, ...] = ()


METHODS: dict[str, Method] = {}


def register(method: Method) -> None:
    """Make a method known under its configuration's `method` name.

    ValueError if the name, or that of one of its columns, is taken.
    """
    name = method.config.method
    if name in METHODS:
        raise ValueError(f"method: {name!r} is registered already")
    taken = {column.name for column in (*LEARNING, *EVALUATION, *_native_columns())}
    for column in method.columns:
        if column.name in taken:
            raise ValueError(f"columns: {column.name!r} of {name} is the name of another column")
    METHODS[name] = method


def metric_columns(method: str) -> tuple[Column, ...]:
    """Columns of a method's metrics: the same for all that come with Statewise, one from outside adds its own."""
    own = () if isinstance(METHODS[method].builder, str) else METHODS[method].columns
    return (*LEARNING, *_native_columns(), *EVALUATION, *own)


def _native_columns() -> tuple[Column, ...]:
    return tuple(column for m in METHODS.values() if isinstance(m.builder, str) for column in m.columns)


register(Method(SacConfig, "soft actor-critic, unconstrained", "statewise.sac.mechanisms.none", "Haarnoja et al. 2018"))
register(
    Method(
        AlamConfig,
        "augmented Lagrangian, multiplier network by regression",
        "statewise.sac.mechanisms.alam",
        "the SAC-ALaM paper",
    )
)
register(
    Method(
        AlamGaConfig,
        "its ablation: multiplier network by ascent",
        "statewise.sac.mechanisms.alam_ga",
        "the SAC-ALaM paper",
    )
)
register(
    Method(
        LagNetConfig,
        "FAC: linear penalty, multiplier network by ascent",
        "statewise.sac.mechanisms.lagnet",
        "Ma et al. 2021",
    )
)
register(
    Method(LagConfig, "linear penalty, scalar multiplier by ascent", "statewise.sac.mechanisms.lag", "Ray et al. 2019")
)
register(
    Method(
        PidConfig,
        "linear penalty, scalar multiplier by a PID controller",
        "statewise.sac.mechanisms.pid",
        "Stooke et al. 2020",
    )
)
register(
    Method(
        AsacConfig, "augmented Lagrangian, scalar multiplier", "statewise.sac.mechanisms.asac", "Dai et al. 2023 (APPO)"
    )
)
register(
    Method(
        FpiConfig,
        "feasible policy iteration: a loss for each region",
        "statewise.sac.mechanisms.fpi",
        "Yang et al. 2023",
        (
            Column("margin", "margin e^l of the critical region of SAC-FPI"),
            Column("critical_fraction", "share of states in that region"),
            Column("lam_critical", "multiplier of that region"),
            Column("lam_infeasible", "multiplier of the infeasible region of SAC-FPI"),
            Column("recovery_loss", "loss of the recovery critics of SAC-FPI"),
        ),
    )
)
register(
    Method(PpoConfig, "on-policy, clipped surrogate, unconstrained", "statewise.onpolicy.ppo", "Schulman et al. 2017")
)
register(
    Method(P3oConfig, "PPO with an exact penalty on the cost surrogate", "statewise.onpolicy.p3o", "Zhang et al. 2022")
)
register(
    Method(
        CrpoConfig,
        "trust-region steps on reward or, beyond the limit, on cost",
        "statewise.onpolicy.crpo",
        "Xu et al. 2021",
    )
)


def find_method(name: str) -> Method:
    """The method of that name, or of "module:name", whose module is imported first and registers it.

    A name that stands in a file goes through `method_in_file`. ValueError naming the known ones, or why the module
    can't be imported.
    """
    import_module_of(name, "method")
    name = name.rpartition(":")[2]
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]!r}? Known" if near else "known"
        raise ValueError(f"method: {name!r} is unknown; {hint} are {', '.join(METHODS)}")
    return METHODS[name]


def method_in_file(name: str) -> Method:
    """As `find_method`, for a name that a file gives: its module must be imported already. ValueError otherwise."""
    if not isinstance(name, str):
        raise ValueError(f"method: {name!r} is not allowed; it must be a name")
    require_imported(name, "method")
    return find_method(name)


def full_name(name: str) -> str:
    """A registered method's name for files, from which another process can find it: "module:name" from outside."""
    builder = METHODS[name].builder
    return name if isinstance(builder, str) else f"{builder.__module__}:{name}"


@overload
def build_method(config: SacConfig, networks: SacNetworks | None = None) -> Mechanism: ...
@overload
def build_method(config: OnPolicyConfig) -> Improvement: ...
def build_method(config: RunConfig, networks: SacNetworks | None = None) -> Mechanism | Improvement:
    """What sets the method of a configuration apart: its mechanism or, on-policy, its improvement.

    networks: what a mechanism approximates with; None takes those of the configuration, of which the multiplier is read
    in float32 whatever gradient steps are in.
    """
    builder = find_method(config.method).builder
    if isinstance(builder, str):
        builder = importlib.import_module(builder).build
    if not isinstance(config, SacConfig):
        return builder(config)
    if networks is not None:
        return builder(config, networks)
    from statewise.sac.networks import make_networks, training_networks

    learning = cast("Mechanism", builder(config, training_networks(config)))
    if product_precision(config.precision) == "float32":
        return learning
    reading = cast("Mechanism", builder(config, make_networks(config)))
    return learning._replace(multiplier=reading.multiplier)
