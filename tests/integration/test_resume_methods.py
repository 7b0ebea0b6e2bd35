"""Every method on SAC goes on to the same bytes where it was stopped; the on-policy ones have a test of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.small_runs import TINY, TINY_ALAM, assert_same_files, folder_of
from support.toys import ExactPoint

from statewise import Agent
from statewise.config import DualPart, SacConfig
from statewise.methods import METHODS

SAC_METHODS = [name for name, method in METHODS.items() if issubclass(method.config, SacConfig)]


class Stopped(BaseException):
    """Raised by a listener to end a run in the middle."""


def stop_behind(step: int) -> Any:
    """A listener that ends a run at its first row behind a step."""

    def listener(row: dict[str, float | str]) -> None:
        if float(row["step"]) > step:
            raise Stopped

    return listener


@pytest.mark.parametrize("method", SAC_METHODS)
def test_a_stopped_run_goes_on_to_the_same_bytes(method: str, tmp_path: Path) -> None:
    fields = TINY_ALAM if issubclass(METHODS[method].config, DualPart) else TINY
    whole = Agent(method, ExactPoint, root=tmp_path / "whole", **fields).learn()
    begun = Agent(method, ExactPoint, root=tmp_path / "stopped", **fields)
    with pytest.raises(Stopped):
        begun.learn(listeners=(stop_behind(100),))
    resumed = Agent.load(folder_of(begun), ExactPoint).learn()
    assert_same_files(resumed, whole)
