"""A search that is killed at random times ends as an undisturbed one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sgbench.paths import RECORD
from sgbench.records.files import Asked, read_journals, read_model
from sgbench.records.record import RunRecord
from tests.run.tiny import comparable

WORDS = ("protocol=digits_tuned_v2", "surrogate=atan", "--studies", "1", "--trials", "2", "--no-report")
KILLS = 3
LONGEST_S = 600


def search(root: Path) -> subprocess.Popen[bytes]:
    """A search of two settings x three seeds in a process of its own."""
    command = [sys.executable, "-m", "sgbench", "tune", *WORDS, "--workers", "1", f"paths.runs_dir={root}"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def left_in(root: Path) -> tuple[dict[Path, dict[str, Any]], tuple[Asked, ...]]:
    """The records of a folder without times, and what was asked for."""
    records = {path.relative_to(root): comparable(read_model(path, RunRecord)) for path in root.rglob(RECORD)}
    (journal,) = read_journals(root / "digits_tuned_v2")
    return records, journal.asked


@pytest.mark.slow
def test_killed_searches_end_as_an_undisturbed_one(tmp_path: Path) -> None:
    """Expected: the same settings, and records equal in all but times and how often a run went on."""
    assert search(tmp_path / "calm").wait(LONGEST_S) == 0
    calm, asked = left_in(tmp_path / "calm")
    assert (len(calm), len(asked)) == (6, 2)
    random = Random(0)  # noqa: S311 - no secret
    for _ in range(KILLS):
        killed = search(tmp_path / "killed")
        until = time.monotonic() + LONGEST_S
        while not list((tmp_path / "killed").rglob(".lock")) and killed.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.05)  # until something runs
        time.sleep(random.uniform(0, 8))
        killed.kill()
        killed.wait()
    assert search(tmp_path / "killed").wait(LONGEST_S) == 0
    found, again = left_in(tmp_path / "killed")
    assert again == asked
    for tree in (*found.values(), *calm.values()):
        tree.pop("test_access")
    assert found == calm
