"""One tiny finished run for all tests of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.tiny_runs import only_run, train

from statewise.cli import main


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; tests that change it take `copied`."""
    root = tmp_path_factory.mktemp("finished")
    assert main(train(root, "--tensorboard")) == 0
    return only_run(root)


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
