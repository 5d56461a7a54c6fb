"""What needs another library's own environment is marked so; snnTorch is installed with sgbench."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before markers are chosen: everything in this folder but the comparisons with snnTorch."""
    for item in items:
        if HERE in item.path.parents and "snntorch" not in item.name:
            item.add_marker("peers")
