"""Names that people may have imported still import: of the package, its documents, bases and entries."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

NAMES = Path(__file__).parent / "golden" / "public_names.txt"
"""What could be imported at commit 47a53af9; a name leaves it one release after its DeprecationWarning began."""


def found(name: str) -> object:
    """What a dotted name stands for: a module, or a name in one."""
    home, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(home), last)
    except AttributeError:
        return importlib.import_module(name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of one that moved
def test_public_names_still_import() -> None:
    """Must match: each name of the list is there, at its place or through one that tells where it moved."""
    names = NAMES.read_text(encoding="utf-8").split()
    assert len(names) == len(set(names)) > 300
    lost = []
    for name in names:
        try:
            found(name)
        except ImportError:
            lost.append(name)
    assert lost == []


@pytest.mark.parametrize("name", ["sgbench.no_such_name", "sgbench.networks.base.NoSuchNetwork"])
def test_a_lost_name_is_found_out(name: str) -> None:
    """Must differ: a name that nobody defines is refused."""
    with pytest.raises(ImportError):
        found(name)
