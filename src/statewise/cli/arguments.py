"""What each command takes: dataclasses that tyro reads, and its many-line errors turned into one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro
from tyro.conf import OmitArgPrefixes, Positional, UseAppendAction, arg

from statewise.cli.named import look_in_working_folder
from statewise.cli.status import HelpShown
from statewise.config import DEFAULT_PRESET, Preset, RunConfig, preset_fields
from statewise.methods import METHODS, find_method

T = TypeVar("T")
ConfigT = TypeVar("ConfigT", bound=RunConfig)

MethodName = Annotated[Positional[str], arg(metavar="METHOD")]
RunPath = Annotated[Positional[Path], arg(metavar="RUN")]


@dataclass(frozen=True, kw_only=True)
class Trusting:
    """What a run's files may do."""

    allow_module: UseAppendAction[Annotated[tuple[str, ...], arg(metavar="MODULE")]] = ()
    """Import this module, which the run's files name, as a method or task of one's own needs; may be repeated."""


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
    env_kwargs: Annotated[str | None, arg(metavar="JSON")] = None
    """Keyword arguments of the environment, as in '{"g": 0.1}'."""
    max_episode_steps: int | None = None
    """The horizon: an episode is cut after so many steps; None takes the task's own."""
    seeds: tuple[int, ...] = ()
    """Train these in place of --seed, as many at a time as there are cores; those that are there already go on."""
    batch_seeds: bool | None = None
    """With --seeds: all of them at a time, their gradient steps in one call; None does so on accelerators."""


@dataclass(frozen=True, kw_only=True)
class Train(TrainOptions, Generic[ConfigT]):
    """Train a method on a task."""

    config: OmitArgPrefixes[ConfigT]
    """Fields of the method's configuration."""


@dataclass(frozen=True, kw_only=True)
class Resume(Reporting, Trusting):
    """Go on with a run from its last checkpoint."""

    run: RunPath
    """The run folder."""
    total_steps: int | None = None
    """Go on until so many environment steps in all, beyond those of the configuration, say; schedules stay its own."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(Trusting):
    """Play episodes with a trained policy, on raw reward and raw cost."""

    run: RunPath
    """The run folder, or a file that `Agent.save` wrote."""
    episodes: int | None = None
    """Episodes to play; None plays 10, or 1 where they are filmed. The film shows all of them."""
    seed: int | None = None
    """Seed of the episodes; None takes those of the evaluations in training."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run folder."""
    video: Annotated[Path | None, arg(metavar="FILE.mp4|FILE.gif")] = None
    """Film the episodes."""
    camera: Literal["track", "top"] | None = None
    """Of the film: behind the robot, or from above (navigation tasks)."""
    size: tuple[int, int] | None = None
    """Of the film: width and height in pixels (native tasks)."""
    show_lidar: bool = False
    """Let the film show what the lidars read (navigation tasks)."""
    show_cost: bool = False
    """Let the film show where the robot costs (navigation tasks)."""
    sampled: bool = False
    """Play the sampled policy, as in training, instead of the deterministic one."""
    json: bool = False
    """Print JSON."""


@dataclass(frozen=True, kw_only=True)
class Plot(Trusting):
    """Draw one run, or compare several by method and by what else sets them apart."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN...")]
    """Run folders."""
    output: Annotated[Path | None, arg(metavar="FILE.png")] = None
    """The picture; by default progress.png in the one run's folder, or comparison.png here."""


@dataclass(frozen=True, kw_only=True)
class Collection(Trusting):
    """Runs over which something is said, and how they are compared."""

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUNS...")] = ()
    """Run folders, or folders with runs below them."""
    omnisafe: Annotated[tuple[Path, ...], arg(metavar="PATH...")] = ()
    """Runs of OmniSafe to set beside them: a progress.csv each, or folders with some below."""
    csv: Annotated[tuple[Path, ...], arg(metavar="PATH...")] = ()
    """Other curves: files with the columns step, return, cost and seed, and label and task where they hold several."""
    reference: Annotated[str | None, arg(metavar="LABEL")] = None
    """What the others are compared with; None takes sac-alam, or the first label."""
    tasks: Annotated[tuple[str, ...], arg(metavar="TASK...")] = ()
    """Take in these tasks only."""
    cost_limit: Annotated[float | None, arg(metavar="COST")] = None
    """Mean episode cost up to which a policy is safe; None takes each run's own, d(1 - gamma)H."""


@dataclass(frozen=True, kw_only=True)
class Statistics(Collection):
    """Summarise runs over seeds and tasks: intervals, comparisons, what is amiss, tidy data, and figures for print."""

    output: Annotated[Path, arg(aliases=["-o"], metavar="FOLDER")] = Path("statistics")
    """Where the data and the figures go."""
    figures: bool = True
    """Draw the figures, which takes some seconds; --no-figures leaves them out."""


@dataclass(frozen=True, kw_only=True)
class Report(Collection):
    """Write runs over seeds and tasks as one page for a browser: tables with intervals, charts, every single run."""

    output: Annotated[Path, arg(aliases=["-o"], metavar="FILE.html")] = Path("report.html")
    """The page; it needs no network and no other file."""
    title: str = "Evaluation"
    """Its heading."""
    watch: Annotated[int | None, arg(metavar="SECONDS")] = None
    """Write it again and again, that long apart, until every run is over; a browser loads it again by itself."""


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Check the paper's theorems, dual ascent, multiplier networks and safe sets against exact answers."""

    output: Annotated[Path | None, arg(metavar="FOLDER", aliases=("-o",))] = None
    """Also write pictures and data into this folder, made where it isn't there."""
    problems: int = 100
    """Random problems that the theorems are checked on."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class Risk(Trusting):
    """Draw λ(x) and F̂(x) of a policy, or of two side by side, and print them in numbers.

    Over the plane of a navigation task, for a row of velocities; of any environment, over two entries of its
    observation.
    """

    runs: Annotated[Positional[tuple[Path, ...]], arg(metavar="RUN [RUN]")]
    """Run folders, or files that `Agent.save` wrote; two must be of one task."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Which checkpoint of the run folders."""
    speeds: Annotated[tuple[float, ...] | None, arg(metavar="M/S...")] = None
    """Speeds of the robot; 0 0.5 1 1.5 2 if left out."""
    coordinates: Annotated[tuple[int, int] | None, arg(metavar="I J")] = None
    """Entries of the observation to draw over, the others as at one step of an episode of the (first) policy."""
    step: int | None = None
    """That step; the middle of the episode if left out."""
    seed: int | None = None
    """Seed of the layout or of the episode; None takes that of the evaluations in training."""
    output: Annotated[tuple[Path, ...], arg(aliases=["-o"], metavar="FILE...")] = ()
    """A picture (.png, .svg, .pdf), a page (.html), the numbers (.csv), or several of them; by default risk.png and
    risk.html, in the one run's folder or here."""


@dataclass(frozen=True, kw_only=True)
class Calibrate(Trusting):
    """Play episodes of the sampled policy and hold λ(x) and F̂(x) against what came of their states."""

    run: RunPath
    """The run folder; calibration.json (for the cards of later exports) and calibration.png are written there."""
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
    crowding: float = 1.5
    """Times as many hazards in denser layouts, of which as many episodes are played; 1 plays none."""
    seed: int = 5_000_003
    """Of the episodes."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True, kw_only=True)
class Export(Trusting):
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
    """Read a command's arguments; ValueError in one sentence where they don't fit, HelpShown after --help."""
    said = io.StringIO()
    options: dict[str, Any] = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(said):
            parsed, unknown = tyro.cli(
                kind, args=argv, prog=f"statewise {command}", return_unknown_args=True, **options
            )
    except SystemExit as stop:
        if not stop.code:
            raise HelpShown from None
        raise ValueError(f"{_first_sentence(said.getvalue())} (statewise {command} --help)") from None
    if unknown:
        raise ValueError(_unknown(unknown[0], list(_names(parsed)), command))
    return parsed


def parse_object(name: str, text: str | None) -> dict[str, Any] | None:
    """The JSON object in an option; ValueError where it isn't one."""
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} is not JSON ({error}); write it as in '{{\"g\": 0.1}}'") from error
    if not isinstance(found, dict):
        raise ValueError(f"{name}: {text!r} is not a JSON object; write it as in '{{\"g\": 0.1}}'")
    return found


def parse_train(argv: list[str]) -> Train[Any]:
    """Read the arguments of `train`: the method comes first, as the other options depend on it."""
    if not argv or argv[0].startswith("-"):
        if {"-h", "--help"} & set(argv):
            parse(TrainOptions, ["--help"], "train")
        raise ValueError(f"method: name it first, as in train METHOD TASK; known are {', '.join(METHODS)}")
    look_in_working_folder(argv[0])
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
    r"--(\S+): Could not find valid parse for arguments: (\[.*\])": (
        r"\1: \2 is not allowed; all have to be whole numbers"
    ),
    r"Missing value for argument '(.*?)'.*": r"\1: its value is missing",
    r"Missing from .*?: (\S+).*": r"\1 is missing",
}
"""Wordings of tyro, and what to say instead; any other is passed on as it is."""


def _unknown(argument: str, known: list[str], command: str) -> str:
    if not argument.startswith("-"):
        return f"{argument!r} is one argument too many (statewise {command} --help)"
    flag = argument.partition("=")[0]
    if flag.removeprefix("--") in _PLACED:
        return f"{flag}: it is given by its place, without a flag (statewise {command} --help)"
    flags = [f"--{name.replace('_', '-')}" for name in known if name not in _PLACED]
    near = difflib.get_close_matches(flag, flags, n=1)
    hint = f"did you mean {near[0]}?" if near else f"statewise {command} --help lists what there is"
    return f"{flag}: there is no such option; {hint}"


_PLACED = ("method", "task", "run", "runs")
"""Arguments that are known by their place."""


def _names(parsed: Any) -> Iterator[str]:
    """Names of the options: fields of the dataclass, with those of a configuration inside it."""
    for field in dataclasses.fields(parsed):
        value = getattr(parsed, field.name)
        if dataclasses.is_dataclass(value):
            yield from _names(value)
        else:
            yield field.name
