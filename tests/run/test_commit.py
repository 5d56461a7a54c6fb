"""The commit in a record, without anything in the way of git."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import sgbench
from sgbench.training import provenance
from tests.run.tiny import WORDS

CHECKOUT = Path(sgbench.__file__).resolve().parents[1]


def test_a_run_in_a_checkout_records_its_commit() -> None:
    """Expected: the line of `git rev-parse HEAD`, asked of git here."""
    if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("sgbench is not run from a git checkout, or git is not installed")
    asked = ["git", "-C", str(CHECKOUT), "rev-parse", "HEAD"]
    head = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    assert sgbench.run(*WORDS).provenance.commit == head


@pytest.mark.parametrize("way", ["environment", "configuration", "path"])
def test_looking_at_a_checkout_starts_nothing(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that the environment or the checkout's configuration names: plain git starts it, ours does not."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True, capture_output=True)  # noqa: S607
    told = tmp_path / "started"
    if way == "environment":
        for name, value in (("COUNT", "1"), ("KEY_0", "core.fsmonitor"), ("VALUE_0", f"touch {told}; false")):
            monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    elif way == "configuration":
        words = ["git", "config", "core.fsmonitor", f"touch {told}; false"]
        subprocess.run(words, check=True, capture_output=True)
    else:
        (tmp_path / "git").write_text(f"#!/bin/sh\ntouch {told}\n")
        (tmp_path / "git").chmod(0o755)
        monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    assert provenance.ask(tmp_path, "status", "--porcelain", timeout_s=60) == {"path": b"?? git\n"}.get(way, b"")
    assert not told.exists()
    subprocess.run(["git", "status"], check=False, capture_output=True)  # noqa: S607
    assert told.exists()
