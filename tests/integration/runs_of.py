"""What the integration tests look at in a run folder."""

from __future__ import annotations

from pathlib import Path

from statewise import Agent


def folder_of(agent: Agent) -> Path:
    """The agent's run folder."""
    assert agent.run_path is not None
    return agent.run_path


def files_of(agent: Agent) -> dict[str, bytes]:
    """Bytes of every file that has to be a function of configuration and seed."""
    run = folder_of(agent)
    paths = [*(run / "checkpoints").iterdir(), run / "metrics.csv", run / "replay.bin", run / "config.json"]
    return {path.name: path.read_bytes() for path in paths}


def checkpoint_steps(agent: Agent) -> list[int]:
    """Steps of the checkpoints that are kept."""
    names = (path.stem for path in (folder_of(agent) / "checkpoints").glob("step-*.safetensors"))
    return sorted(int(name.removeprefix("step-")) for name in names)


def assert_same_files(agent: Agent, other: Agent) -> None:
    """Both runs hold the same files with the same bytes."""
    one, two = files_of(agent), files_of(other)
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
