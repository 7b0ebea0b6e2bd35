"""A run goes on only with its own files, on a machine it tells; what a kill left undone at its end is made up for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.small_runs import MakeAgent, assert_same_files, checkpoint_steps, files_of, folder_of
from support.toys import ExactPoint

from statewise import Agent
from statewise.errors import CheckpointError, RunError
from statewise.report.progress import Silent
from statewise.storage.checkpoint import load, save
from statewise.training import loop


class Said(Silent):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has taken half of its steps."""
    root = tmp_path_factory.mktemp("halfway")
    return folder_of(begin(root))


@pytest.fixture
def copied(halfway: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(halfway, tmp_path / "copied"))


def begin(root: Path, **changes: Any) -> Agent:
    from support.small_runs import TINY

    return Agent("sac", ExactPoint, root=root, **{**TINY, **changes}).learn(80)


def newest(run: Path) -> Path:
    return sorted((run / "checkpoints").glob("step-*"))[-1]


def contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    ("field", "value"), [("total_steps", 320), ("learning_rate", 0.5), ("seed", 1), ("checkpoints_kept", 9)]
)
@pytest.mark.parametrize("which", ["latest", "best"])
def test_an_edited_configuration_is_an_error_that_names_the_field(
    copied: Path, field: str, value: Any, which: str
) -> None:
    path = copied / "config.json"
    content = json.loads(path.read_text())
    content["config"][field] = value
    path.write_text(json.dumps(content))
    before = contents(copied)
    with pytest.raises(RunError, match=rf"config\.json has other values than .*: {field} \({value}, not "):
        Agent.load(copied, ExactPoint, which=which)
    assert contents(copied) == before


def test_a_configuration_edited_under_a_learning_agent_is_noticed(copied: Path) -> None:
    agent = Agent.load(copied, ExactPoint)
    path = copied / "config.json"
    path.write_text(path.read_text().replace('"total_steps": 160', '"total_steps": 320'))
    with pytest.raises(RunError, match=r"total_steps \(320, not 160\)"):
        agent.learn()


@pytest.mark.parametrize(
    ("changes", "fragment"), [({"seed": 1}, r"seed \(0, not 1\)"), ({"gamma": 0.9}, r"gamma \(0\.99, not 0\.9\)")]
)
def test_a_checkpoint_of_another_run_is_not_continued(
    copied: Path, tmp_path: Path, changes: dict[str, Any], fragment: str
) -> None:
    foreign = folder_of(begin(tmp_path / "foreign", **changes))
    shutil.copy(newest(foreign), newest(copied))
    before = contents(copied)
    with pytest.raises(RunError, match=fragment):
        Agent.open(copied, ExactPoint).learn()
    assert contents(copied) == before


@pytest.mark.parametrize("name", ["replay.bin", "metrics.csv"])
def test_files_that_are_not_those_of_the_checkpoint_are_refused(copied: Path, tmp_path: Path, name: str) -> None:
    foreign = folder_of(begin(tmp_path / "foreign", seed=1))
    assert (foreign / name).stat().st_size >= (copied / name).stat().st_size - 200
    shutil.copy(foreign / name, copied / name)
    before = contents(copied)
    with pytest.raises(CheckpointError, match=name):
        Agent.open(copied, ExactPoint).learn()
    assert contents(copied) == before


def test_a_flipped_bit_in_a_row_of_the_replay_is_noticed(copied: Path) -> None:
    data = bytearray((copied / "replay.bin").read_bytes())
    data[4096 + 4 * 10 * 50 + 7] ^= 16  # in row 50 of 80, of 10 floats each
    (copied / "replay.bin").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"replay\.bin: rows 20 to 79 are damaged"):
        Agent.open(copied, ExactPoint).learn()


def test_a_checkpoint_from_before_there_were_digests_is_still_continued(halfway: Path, copied: Path) -> None:
    arrays, metadata = load(newest(copied))
    for name in ("memory_digests", "metrics_sha256"):
        del metadata[name]
    save(newest(copied), arrays, metadata)
    (copied / "machine.json").unlink()
    whole = Path(shutil.copytree(halfway, copied.parent / "whole"))
    assert_same_files(Agent.open(copied, ExactPoint).learn(), Agent.open(whole, ExactPoint).learn())


def test_another_machine_or_version_is_said_and_recorded(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = json.loads((copied / "machine.json").read_text())
    assert [entry["from_step"] for entry in begun] == [0]
    here, silent = {"statewise": loop.__version__, **loop.machine()}, Said()
    assert begun[0] == {"from_step": 0, **here}
    Agent.open(copied, ExactPoint).learn(120, progress=silent)
    assert not any("may not give the bits" in line for line in silent.lines)

    monkeypatch.setattr(loop, "machine", lambda: {**here, "cores": 77, "statewise": "9.9"})
    said = Said()
    Agent.open(copied, ExactPoint).learn(progress=said)
    (line,) = (line for line in said.lines if "may not give the bits" in line)
    assert f"cores {here['cores']} -> 77" in line
    assert f"statewise {here['statewise']} -> 9.9" in line
    assert json.loads((copied / "machine.json").read_text()) == [
        *begun,
        {"from_step": 120, **here, "cores": 77, "statewise": "9.9"},
    ]


def test_the_version_is_compared_where_only_the_configuration_tells_it(copied: Path) -> None:
    path = copied / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "statewise": "0.0.1"}))
    (copied / "machine.json").unlink()
    said = Said()
    Agent.open(copied, ExactPoint).learn(progress=said)
    assert any("statewise 0.0.1 -> " in line for line in said.lines)


def test_a_damaged_record_of_machines_is_named(copied: Path) -> None:
    for text in ("", "{}", "[1]", '[{"cores": 1}]', "[" * 100_000):
        (copied / "machine.json").write_text(text)
        with pytest.raises(RunError, match=r"machine\.json: is damaged; remove it"):
            Agent.open(copied, ExactPoint).learn()


def test_what_a_kill_at_the_end_left_undone_is_made_up_for(tiny_agent: MakeAgent) -> None:
    agent = tiny_agent(ExactPoint)
    whole = files_of(agent.learn())
    folder = folder_of(agent) / "checkpoints"
    best = folder / "best.safetensors"
    old = folder / "step-000000000080.safetensors"
    for undo in (
        best.unlink,
        lambda: best.write_bytes(b"stale"),
        lambda: old.write_bytes(newest(folder.parent).read_bytes()),
    ):
        undo()
        (folder / ".best.safetensors.4711.tmp").write_bytes(b"half")
        (folder_of(agent) / ".metrics.csv.4711.tmp").write_bytes(b"half")
        Agent.open(folder_of(agent), ExactPoint).learn()
        assert files_of(agent) == whole
        assert not list(folder_of(agent).rglob("*.tmp"))
    assert checkpoint_steps(agent) == [120, 160]
