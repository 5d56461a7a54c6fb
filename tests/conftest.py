"""Fixtures shared by all floors."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before torch is loaded: two threads on small tensors are slower, and much slower beside a busy neighbour.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test writes its runs into a folder of its own."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("SGBENCH_RUNS", str(folder))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    return folder
