"""What each command takes: dataclasses that tyro reads, and its many-line errors turned into one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from statewise.config import DEFAULT_PRESET, Preset, RunConfig, preset_fields
from statewise.methods import METHODS, find_method

T = TypeVar("T")
ConfigT = TypeVar("ConfigT", bound=RunConfig)

MethodName = Annotated[Positional[str], arg(metavar="METHOD")]
RunPath = Annotated[Positional[Path], arg(metavar="RUN")]


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """Where a training run reports to."""

    tensorboard: bool = False
    """Also write event files for TensorBoard into the run folder."""
    wandb: Annotated[str | None, arg(metavar="PROJECT")] = None
    """Also log to this Weights & Biases project (WANDB_MODE=offline needs no network)."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Reporting):
    """Train a method on a task; `statewise train METHOD --help` adds every field of the method's configuration."""

    method: MethodName
    """One of `statewise methods`."""
    task: Annotated[Positional[str], arg(metavar="TASK")]
    """One of `statewise tasks`, or any Gymnasium id with a cost; `module:Id-v0` imports the module first."""
    preset: Preset = DEFAULT_PRESET
    """Defaults of the fields: the recipe of some minutes, the paper's full run, or a first look."""
    root: Path = Path("runs")
    """Folder that holds the run folders."""
    overwrite: bool = False
    """Replace the run that is there already."""
    constraint: Annotated[str | None, arg(metavar="MODULE:FUNCTION")] = None
    """h(obs, action, next_obs), safe iff <= 0, for environments without a cost of their own."""


@dataclass(frozen=True, kw_only=True)
class Train(TrainOptions, Generic[ConfigT]):
    """Train a method on a task."""

    config: OmitArgPrefixes[ConfigT]
    """Fields of the method's configuration."""


@dataclass(frozen=True, kw_only=True)
class Resume(Reporting):
    """Go on with a run from its last checkpoint."""

    run: RunPath
    """The run folder."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Play episodes with a trained policy, on raw reward and raw cost."""

    run: RunPath
    """The run folder, or a file that `Agent.save` wrote."""
    episodes: int = 10
    """Episodes to play."""
    seed: int | None = None
    """Seed of the episodes; None takes those of the evaluations in training."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run folder."""
    video: Annotated[Path | None, arg(metavar="FILE.mp4|FILE.gif")] = None
    """Film environment 0."""
    camera: Literal["track", "top"] | None = None
    """Of the film: behind the robot, or from above (navigation tasks)."""
    show_lidar: bool = False
    """Let the film show what the lidars read (navigation tasks)."""
    show_cost: bool = False
    """Let the film show where the robot costs (navigation tasks)."""
    sampled: bool = False
    """Play the sampled policy, as in training, instead of the deterministic one."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """Draw one run, or compare several by method and by what else sets them apart."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """Run folders."""
    output: Annotated[Path | None, arg(metavar="FILE.png")] = None
    """The picture; by default progress.png in the one run's folder, or comparison.png here."""


@dataclass(frozen=True, kw_only=True)
class Calibrate:
    """Play episodes of the sampled policy and hold λ(x) and F̂(x) against what came of their states."""

    run: RunPath
    """The run folder; calibration.json is written there, and goes into the card of later exports."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run folder."""
    episodes: int = 200
    """Episodes to play, 20 at a time."""
    horizon: int = 25
    """Steps ahead within which a violation counts."""
    stride: int = 5
    """Every so many steps a state is looked at."""
    miss_rate: float = 0.1
    """Share of violations that an alarm may miss; the bound for it is on F̂ and on λ."""
    seed: int = 5_000_003
    """Of the episodes."""


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a policy, its multiplier and its feasibility to one file for NumPy or ONNX Runtime, with a model card."""

    run: RunPath
    """The run folder, or a file that `Agent.save` wrote."""
    format: Literal["numpy", "onnx"] = "numpy"
    """A safetensors file for `statewise.monitor`, or an ONNX graph (needs statewise[export])."""
    output: Annotated[Path | None, arg(metavar="FILE", aliases=["-o"])] = None
    """The file; by default exported.safetensors or exported.onnx in the run folder, or beside the policy's file."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run folder."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """Print a method's configuration as JSON, every field."""

    method: MethodName
    """One of `statewise methods`."""
    preset: Preset = DEFAULT_PRESET
    """Defaults of the fields: the recipe of some minutes, the paper's full run, or a first look."""


@dataclass(frozen=True)
class Nothing:
    """List what there is."""


def parse(kind: type[T], argv: list[str], command: str, default: T | None = None) -> T:
    """Read a command's arguments; ValueError in one sentence where they don't fit, SystemExit(0) after --help."""
    said = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(said):
            parsed, unknown = tyro.cli(
                kind, args=argv, prog=f"statewise {command}", return_unknown_args=True, **options
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ValueError(f"{_first_sentence(said.getvalue())} (statewise {command} --help)") from None
    if unknown:
        raise ValueError(_unknown(unknown[0], list(_names(parsed)), command))
    return parsed


def parse_train(argv: list[str]) -> Train[Any]:
    """Read the arguments of `train`: the method comes first, as the other options depend on it."""
    if not argv or argv[0].startswith("-"):
        if {"-h", "--help"} & set(argv):
            parse(TrainOptions, ["--help"], "train")
        raise ValueError(f"method: name it first, as in train METHOD TASK; known are {', '.join(METHODS)}")
    config = find_method(argv[0]).config
    config = config.from_dict(preset_fields(_preset(argv), config))
    default = Train(method=tyro.MISSING, task=tyro.MISSING, config=config)
    return parse(Train[type(config)], argv, f"train {argv[0]}", default)


def _preset(argv: list[str]) -> str:
    """The value of --preset, which the other options' defaults depend on."""
    for this, following in zip(argv, [*argv[1:], ""], strict=True):
        if this == "--preset":
            return following
        if this.startswith("--preset="):
            return this.partition("=")[2]
    return DEFAULT_PRESET


def _first_sentence(box: str) -> str:
    """What tyro says between the first two rules of its box, in the words of the configurations."""
    said: list[str] = []
    inside = False
    for line in box.splitlines():
        text = line.strip("│ ")
        if text.startswith(("╭", "╰", "──", "---")):
            if inside:
                break
            inside = True
        elif inside:
            said.append(text)
    sentence = " ".join(said)
    for pattern, plain in _PLAIN_WORDS.items():
        sentence = re.sub(pattern, plain, sentence)
    return sentence.rstrip(".")


_PLAIN_WORDS = {
    r"^Error parsing (config: )?": "",
    r"could not convert string to float: (.*)": r"\1 is not allowed; it must be a number",
    r"invalid literal for int\(\) with base 10: (.*)": r"\1 is not allowed; it must be a whole number",
    r"no type matching .* could be instantiated from \[('.*?')\].*": r"\1 is not allowed; it must be a number or None",
    r"invalid choice (.*) for argument '(.*)'\. Expected one of \((.*?),?\)": (
        r"\2: \1 is not allowed; it must be one of \3"
    ),
    r"Missing value for argument '(.*?)'.*": r"\1: its value is missing",
    r"Missing from .*?: (\S+).*": r"\1 is missing",
}
"""Wordings of tyro, and what to say instead; any other is passed on as it is."""


def _unknown(argument: str, known: list[str], command: str) -> str:
    if not argument.startswith("-"):
        return f"{argument!r} is one argument too many (statewise {command} --help)"
    flag = argument.partition("=")[0]
    near = difflib.get_close_matches(flag, [f"--{name.replace('_', '-')}" for name in known], n=1)
    hint = f"did you mean {near[0]}?" if near else f"statewise {command} --help lists what there is"
    return f"{flag}: there is no such option; {hint}"


def _names(parsed: Any) -> Iterator[str]:
    """Names of the options: fields of the dataclass, with those of a configuration inside it."""
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        if dataclasses.is_dataclass(value):
            yield from _names(value)
        else:
            yield field.name
