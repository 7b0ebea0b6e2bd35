"""Configurations: what is refused and how, JSON there and back, digests, derived numbers, documentation."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import statewise.config
from statewise.config import (
    PRESETS,
    AlamConfig,
    LagNetConfig,
    MultiplierConfig,
    Range,
    RunConfig,
    SacConfig,
    preset_fields,
)
from statewise.methods import METHODS

each_method = pytest.mark.parametrize("config", [m.config for m in METHODS.values()], ids=METHODS)

REFUSED: dict[str, tuple[type[RunConfig], dict[str, Any], str]] = {
    "below": (SacConfig, {"seed": -1}, "seed: -1 is not allowed; it must be a finite number >= 0 and <= 2.14748e+09"),
    "above": (SacConfig, {"gamma": 1.5}, "gamma: 1.5 is not allowed; it must be a finite number >= 0 and <= 1"),
    "at a strict bound": (SacConfig, {"tau": 0.0}, "tau: 0.0 is not allowed; it must be a finite number > 0 and <= 1"),
    "zero count": (SacConfig, {"num_envs": 0}, "num_envs: 0 is not allowed; it must be a finite number >= 1"),
    "nan": (
        SacConfig,
        {"learning_rate": float("nan")},
        "learning_rate: nan is not allowed; it must be a finite number",
    ),
    "infinite": (
        SacConfig,
        {"grad_clip": float("inf")},
        "grad_clip: inf is not allowed; it must be a number of at most",
    ),
    "huge": (SacConfig, {"gamma": 10**400}, "it must be a number of at most 1e300 in size"),
    "huge count": (SacConfig, {"seed": 10**400}, "is not allowed; it must be a finite number >= 0 and <= 2.14748e+09"),
    "huge ratio": (SacConfig, {"update_ratio": 1e299}, "gradient steps a block; it must be a whole number from 1"),
    "fraction for a count": (
        SacConfig,
        {"batch_size": 2.5},
        "batch_size: 2.5 is not allowed; it must be a whole",
    ),
    "truth for a count": (
        SacConfig,
        {"batch_size": True},
        "batch_size: True is not allowed; it must be a whole",
    ),
    "word for a number": (SacConfig, {"gamma": "0.9"}, "gamma: '0.9' is not allowed; it must be a number"),
    "number for a truth": (SacConfig, {"binary_cost": 1}, "binary_cost: 1 is not allowed; it must be true or false"),
    "none": (SacConfig, {"gamma": None}, "gamma: None is not allowed; it must be a number"),
    "choice": (SacConfig, {"feasibility": "cbf"}, "feasibility: 'cbf' is not allowed; it must be one of cvf, cdf, hjr"),
    "optional": (SacConfig, {"zeta": 2.0}, "zeta: 2.0 is not allowed; it must be a finite number > 0 and <= 1"),
    "no layer": (SacConfig, {"hidden": ()}, "hidden: () is empty"),
    "empty layer": (SacConfig, {"hidden": (16, 0)}, "hidden: 0 is not allowed; it must be a finite number >= 1"),
    "too many layers": (SacConfig, {"hidden": (8,) * 3000}, "hidden: 3000 layers are too many; at most 64 are allowed"),
    "too wide": (
        SacConfig,
        {"hidden": (10**6,)},
        "hidden: 1000000 is not allowed; it must be a finite number >= 1 and",
    ),
    "one width": (SacConfig, {"hidden": 16}, "hidden: 16 is not allowed"),
    "part of an update": (SacConfig, {"update_ratio": 0.3}, "update_ratio: 0.3 × block_length 16 × num_envs 8 is 38.4"),
    "no update": (SacConfig, {"update_ratio": 1e-12}, "gradient steps a block; it must be a whole number from 1"),
    "small replay": (SacConfig, {"replay_capacity": 255}, "replay_capacity: 255 must be at least batch_size = 256"),
    "penalty": (AlamConfig, {"rho_max": 0.5}, "rho_max: 0.5 must be at least rho_init = 1"),
    "shrinking": (AlamConfig, {"rho_growth": 0.9}, "rho_growth: 0.9 is not allowed; it must be a finite number >= 1"),
    "typing error": (SacConfig, {"gama": 0.9}, "gama: sac has no such field; did you mean 'gamma'?"),
    "another method's": (SacConfig, {"rho_init": 1.0}, "rho_init: sac has no such field"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_value_is_refused_by_name_with_what_is_allowed(case: str) -> None:
    config, values, message = REFUSED[case]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        config.from_dict(values)
    assert message in str(caught.value)


def test_the_constructor_and_replace_check_as_well() -> None:
    with pytest.raises(ValueError, match="gamma: 2"):
        SacConfig(gamma=2)
    with pytest.raises(ValueError, match="did you mean 'gamma'"):
        SacConfig().replace(gama=0.5)
    assert SacConfig(seed=3).replace(gamma=0.5) == SacConfig(seed=3, gamma=0.5)


def test_a_list_of_widths_will_do() -> None:
    lists: Any = [16, 16]
    assert SacConfig(hidden=lists) == SacConfig(hidden=(16, 16))


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        (Range(), "a finite number"),
        (Range(low=0, high=1), "a finite number >= 0 and <= 1"),
        (Range(above=0), "a finite number > 0"),
    ],
)
def test_a_range_says_what_it_allows(limits: Range, text: str) -> None:
    assert str(limits) == text


# --- JSON --------------------------------------------------------------------------------------------------------

# Fields that are checked against each other stay together.
COUPLED = {
    "binary_cost",
    "proximity",
    "update_ratio",
    "block_length",
    "num_envs",
    "replay_capacity",
    "batch_size",
    "rho_init",
    "rho_max",
    "epoch_steps",
    "minibatch_size",
}


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Allowed values of a field with this annotation."""
    if get_origin(kind) is Annotated:
        base, limits = get_args(kind)
        low = limits.above if limits.low is None else limits.low
        if base is int:
            return st.integers(low, limits.high or 10**9)
        high = 1e6 if limits.high is None else float(limits.high)
        bottom = -1e6 if low is None else float(low)
        return st.floats(bottom, high, exclude_min=limits.above is not None)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if kind is bool:
        return st.booleans()
    if get_origin(kind) is tuple:
        return st.lists(st.integers(1, 512), min_size=1, max_size=4).map(tuple)
    inner = next(option for option in get_args(kind) if option is not type(None))
    return st.none() | values_of(inner)


def configurations(config: type[RunConfig]) -> st.SearchStrategy[RunConfig]:
    """Configurations with any of their fields, the coupled ones apart, at any allowed value."""
    hints = get_type_hints(config, include_extras=True)
    names = [f.name for f in dataclasses.fields(config) if f.name not in COUPLED]
    fields = st.fixed_dictionaries({}, optional={name: values_of(hints[name]) for name in names})
    return fields.map(lambda values: config(**values))


@each_method
@given(data=st.data())
def test_json_gives_back_an_equal_configuration_of_the_same_name(config: type[RunConfig], data: st.DataObject) -> None:
    original = data.draw(configurations(config))
    copy = config.from_dict(json.loads(json.dumps(original.to_dict())))
    assert copy == original
    assert copy.digest() == original.digest()


@each_method
def test_json_names_every_field(config: type[RunConfig]) -> None:
    assert list(config().to_dict()) == [f.name for f in dataclasses.fields(config)]
    assert config.from_dict({}) == config()


# --- digest ------------------------------------------------------------------------------------------------------


def test_the_digest_leaves_out_the_seed_and_what_changes_no_result() -> None:
    base = AlamConfig()
    for change in ({"seed": 7}, {"threads": 3}, {"checkpoint_interval": 7}, {"checkpoints_kept": 9}):
        assert base.replace(**change).digest() == base.digest()
    changed = {base.replace(**change).digest() for change in ({"gamma": 0.9}, {"hidden": (16,)}, {"zeta": 0.5})}
    assert len(changed | {base.digest()}) == 4


def test_methods_with_the_same_fields_have_different_digests() -> None:
    assert len({method.config().digest() for method in METHODS.values()}) == len(METHODS)


def test_equal_configurations_have_equal_digests_however_a_number_is_written() -> None:
    assert SacConfig(gamma=1) == SacConfig(gamma=1.0)
    assert SacConfig(gamma=1).digest() == SacConfig(gamma=1.0).digest()
    assert AlamConfig(rho_init=2).digest() == AlamConfig(rho_init=2.0).digest()


def test_the_digest_is_stable_and_short() -> None:
    assert len(SacConfig().digest()) == 8
    assert int(SacConfig().digest(), 16) >= 0
    assert SacConfig().digest() == SacConfig.from_dict(SacConfig().to_dict()).digest()


# --- presets -----------------------------------------------------------------------------------------------------


@each_method
@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fits_every_method(preset: str, config: type[RunConfig]) -> None:
    fields = preset_fields(preset, config)
    made = config.from_dict(fields)
    assert {name: getattr(made, name) for name in fields} == fields


@pytest.mark.parametrize("preset", PRESETS)
def test_every_field_of_a_preset_is_one_of_some_method(preset: str) -> None:
    known = {f.name for method in METHODS.values() for f in dataclasses.fields(method.config)}
    assert {name for fields in PRESETS[preset].values() for name in fields} <= known


def test_the_preset_paper_changes_nothing() -> None:
    assert preset_fields("paper", AlamConfig) == {}


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="preset: 'fast' is unknown; choose one of standard, paper, demo"):
        preset_fields("fast", SacConfig)


# --- derived numbers ---------------------------------------------------------------------------------------------


def test_blocks_and_updates_of_a_run() -> None:
    config = SacConfig(num_envs=4, block_length=5, update_ratio=0.5, warmup_steps=50, total_steps=201)
    assert config.block_env_steps == 20
    assert config.block_updates == 10
    assert config.learning_starts == 60  # three whole blocks hold the 50 warm-up steps
    assert config.total_blocks == 11  # 201 steps fill eleven blocks of 20
    assert config.total_updates == 90  # after blocks 3 to 11: nine times ten


def test_learning_never_starts_before_the_first_block_and_a_short_run_still_has_an_update_count() -> None:
    assert SacConfig(warmup_steps=0).learning_starts == SacConfig().block_env_steps
    assert SacConfig(total_steps=1, warmup_steps=10_000).total_updates == 1


@pytest.mark.parametrize(
    ("changes", "threshold"),
    [({}, 0.1), ({"feasibility": "hjr"}, 0.0), ({"feasibility": "hjr", "cost_threshold": 0.3}, 0.3)],
)
def test_the_threshold_follows_the_feasibility_function(changes: dict[str, Any], threshold: float) -> None:
    assert SacConfig(**changes).threshold == threshold


def test_the_multiplier_networks_own_steps() -> None:
    config = MultiplierConfig(num_envs=4, block_length=5, warmup_steps=20, total_steps=200, dual_interval=30)
    # 10 blocks of 10 gradient steps: cycles after 30, 60 and 90 of the 100
    assert config.total_updates == 100
    assert config.total_dual_steps == 3 * 5
    assert config.replace(dual_start=30).total_dual_steps == 2 * 5
    assert config.replace(dual_interval=200).total_dual_steps == 1


def test_lagnet_has_its_own_defaults() -> None:
    config = LagNetConfig()
    assert (config.dual_interval, config.dual_steps, config.multiplier_grad_clip) == (10, 1, 3.0)


# --- documentation -----------------------------------------------------------------------------------------------


def undocumented_fields() -> list[str]:
    """Fields of the configurations in the source that no string follows."""
    made = [c for c in vars(statewise.config).values() if inspect.isclass(c) and issubclass(c, RunConfig)]
    missing = []
    for node in (ast.parse(inspect.getsource(c)).body[0] for c in made):
        assert isinstance(node, ast.ClassDef)
        for field, after in zip(node.body, [*node.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or "ClassVar" in ast.unparse(field.annotation):
                continue
            if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
                missing.append(f"{node.name}.{ast.unparse(field.target)}")
    return missing


def test_every_field_has_a_sentence() -> None:
    assert undocumented_fields() == []
