"""What tests of several data sets begin with."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection, and a cache of its own."""

    def closed(*_: Any) -> None:
        raise AssertionError("a test uses the network")

    monkeypatch.setattr(socket.socket, "connect", closed)
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("SGBENCH_CACHE", str(folder))
    return folder
