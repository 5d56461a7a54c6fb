"""The tiny run, finished once, for tests that begin where it ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from tests.run.tiny import WORDS


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of runs that `WORDS` leaves, which no test changes."""
    from sgbench.training.runner import run

    folder = tmp_path_factory.mktemp("trained")
    assert run(*WORDS, f"paths.runs_dir={folder}").status == "finished"
    return folder


@pytest.fixture
def finished(trained: Path, runs_dir: Path) -> RunRecord:
    """The record of `WORDS`, as if this test had run it: its folder lies among the test's own."""
    shutil.copytree(trained, runs_dir)
    (path,) = runs_dir.rglob("record.json")
    return read_model(path, RunRecord)
