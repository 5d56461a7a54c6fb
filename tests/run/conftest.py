"""The tiny run, finished once, for tests that begin where it ended."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
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


@pytest.fixture
def ctrl_c_is_heard() -> Iterator[None]:
    """Processes that a test starts hear Ctrl-C, also where the tests themselves run in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
