"""A machine whose roofline is measured at once."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def small_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The roofline of a small product."""
    monkeypatch.setattr("benchmarks.comparison.GEMM_SIZE", 16)
    monkeypatch.setattr("benchmarks.comparison.TRIAD_BYTES", 1024)
