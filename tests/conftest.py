"""Fixtures shared by all floors."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


@pytest.fixture
def no_snntorch_neurons_left() -> Iterator[None]:
    """snnTorch keeps every neuron of the process in a list; give it back as it was."""
    import snntorch as snn

    before = list(snn.SpikingNeuron.instances)
    yield
    snn.SpikingNeuron.instances[:] = before
