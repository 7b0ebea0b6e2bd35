"""Listeners and films: what comes out can be read again, and a missing package is said in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from statewise.report.film import VideoWriter
from statewise.report.loggers import Listener, Log, tensorboard_listener, wandb_listener
from statewise.spec import RunSpec, make_config

ROW: dict[str, float | str] = {"step": 10, "gradient_step": 4, "phase": "eval", "return": 2.5}
SPEC = RunSpec("Task-v0", make_config("sac", seed=3))


class FakeWandb(SimpleNamespace):
    """Stands for the package: keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(begun=[], logged=[], finished=0)

    def init(self, **options: Any) -> FakeWandb:
        self.begun.append(options)
        return self

    def log(self, figures: dict[str, float], step: int) -> None:
        self.logged.append((figures, step))

    def finish(self) -> None:
        self.finished += 1


class World:
    """As much of an environment as a film needs."""

    metadata = {"render_fps": 40}  # noqa: RUF012
    ended = np.array([False])

    def __init__(self) -> None:
        self.steps = 0

    def render(self) -> tuple[np.ndarray]:
        self.steps += 1
        return (np.full((16, 16, 3), self.steps, np.uint8),)


def test_a_logger_that_fails_is_told_no_more_and_ends_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    told: list[int] = []

    def write(figures: dict[str, float], step: int) -> None:
        del figures
        told.append(step)
        if step == 20:
            raise ConnectionError("the service is down")

    def close() -> None:
        raise RuntimeError("nor can it be closed")

    listener = Listener("wandb", lambda step: Log(write, close))
    for step in (10, 20, 30):
        listener({**ROW, "step": step})
    listener.close()
    assert told == [10, 20]
    assert capsys.readouterr().err == (
        "statewise: wandb: ConnectionError: the service is down; the run goes on without it\n"
    )


def test_a_logger_that_can_not_be_opened_ends_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    def open_log(step: int) -> Log:
        raise OSError(28, f"No space left on device at step {step}")

    listener = Listener("tensorboard", open_log)
    listener(ROW)
    listener.close()
    said = capsys.readouterr().err
    assert said.startswith("statewise: tensorboard: OSError: [Errno 28] No space left on device at step 10")


def test_tensorboard_takes_every_row(finished: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Tensors("eval/return")] == [256, 512]
    assert [event.step for event in events.Tensors("train/q_loss")] == list(range(64, 513, 64))


@pytest.mark.parametrize("tail", [b"", b"\x07", b"\x10" + bytes(30), b"\xff" * 60])
def test_tensorboard_goes_on_where_the_checkpoint_was(tail: bytes, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for steps in ((64, 128, 192, 256), (192, 256, 320), (192, 256)):
        listener = tensorboard_listener(tmp_path)
        for step in steps:
            listener({**ROW, "step": step})
        listener.close()
        with max((tmp_path / "tensorboard").iterdir()).open("ab") as file:
            file.write(tail)  # what a kill in the middle of a record leaves
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Tensors("eval/return")] == [64, 128, 192, 256]


def test_tensorboard_writes_nothing_before_the_first_row(tmp_path: Path) -> None:
    listener = tensorboard_listener(tmp_path)
    assert list(tmp_path.iterdir()) == []
    listener.close()
    listener(ROW)
    assert (tmp_path / "tensorboard").is_dir()
    listener.close()


def test_wandb_takes_figures_and_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", cast("Any", fake))
    listener = wandb_listener("project", SPEC)
    listener(ROW)
    listener.close()
    (options,) = fake.begun
    assert options["project"] == "project"
    assert options["config"] == {"task": "Task-v0", "method": "sac", **SPEC.config.to_dict()}
    assert fake.logged == [({"eval/gradient_step": 4.0, "eval/return": 2.5}, 10)]
    assert fake.finished == 1


@pytest.mark.parametrize("package", ["tensorboard", "wandb", "imageio_ffmpeg"])
def test_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [package, *(name for name in sys.modules if name.startswith(package + "."))]:
        monkeypatch.setitem(sys.modules, module, None)
    make = {
        "tensorboard": lambda: tensorboard_listener(tmp_path),
        "wandb": lambda: wandb_listener("project", SPEC),
        "imageio_ffmpeg": lambda: VideoWriter(tmp_path / "film.mp4"),
    }
    with pytest.raises(ValueError, match=r"pip install 'statewise\["):
        make[package]()


def test_film_is_there_once_it_is_whole(tmp_path: Path) -> None:
    import imageio

    film = tmp_path / "film.gif"
    world = World()
    with VideoWriter(film) as video:
        for _ in range(6):
            video.add_frame(cast("Any", world))
        assert not film.exists()
    assert len(imageio.mimread(film)) == 3  # every second of the frames, as a film of 20 a second
    assert list(tmp_path.iterdir()) == [film]


def test_film_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "film.gif")
    video.add_frame(cast("Any", World()))
    video.__exit__(KeyboardInterrupt)
    assert list(tmp_path.iterdir()) == []


def test_world_that_cannot_be_drawn(tmp_path: Path) -> None:
    def render() -> None:
        raise RuntimeError("no off-screen OpenGL")

    blind = cast("Any", SimpleNamespace(metadata={"render_fps": 20}, render=render, ended=[False]))
    with pytest.raises(ValueError, match="no off-screen OpenGL"), VideoWriter(tmp_path / "film.gif") as video:
        video.add_frame(blind)
    assert list(tmp_path.iterdir()) == []
