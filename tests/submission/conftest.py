"""The committed sample submission, put together once."""

from __future__ import annotations

from pathlib import Path

import pytest

from sgbench.submissions.stored_runs import restore
from tests.submission.factory import Files

BOARD = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1"
(SAMPLE,) = sorted((BOARD / "submissions").glob("*.json"))[:1]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The folder that was handed in, put together from the store."""
    folder = restore(BOARD, SAMPLE.stem, tmp_path_factory.mktemp("restored"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
