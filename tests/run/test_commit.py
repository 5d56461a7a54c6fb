"""The commit in a record, without anything in the way of git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import sgbench
from tests.run.tiny import WORDS

CHECKOUT = Path(sgbench.__file__).resolve().parents[1]


def test_a_run_in_a_checkout_records_its_commit() -> None:
    """Expected: the line of `git rev-parse HEAD`, asked of git here."""
    if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("sgbench is not run from a git checkout, or git is not installed")
    asked = ["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]
    head = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert sgbench.run(*WORDS).provenance.commit == head
