"""Files of many methods, made by several processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sgbench.errors import InputError, StorageError
from sgbench.leaderboard.site.files import SiteFile
from sgbench.leaderboard.site.shares import made_by

PARTS = [[Path(f"{part}{number}") for number in range(3)] for part in "abcde"]


def shouted(paths: Sequence[Path]) -> Iterator[SiteFile]:
    """A file for each path, with its name in capitals."""
    for path in paths:
        yield SiteFile(str(path), lambda path=path: str(path).upper().encode())


def test_one_process_makes_them_itself() -> None:
    """By hand: fifteen files, in their order."""
    found = [(each.path, each.make()) for each in made_by(1, PARTS, shouted)]
    assert found == [(str(path), str(path).upper().encode()) for part in PARTS for path in part]


@pytest.mark.slow
def test_several_processes_make_the_same() -> None:
    """Expected: the files that one process makes, in whatever order."""
    alone = {each.path: each.make() for each in made_by(1, PARTS, shouted)}
    assert {each.path: each.make() for each in made_by(2, PARTS, shouted)} == alone


@pytest.mark.slow
def test_what_a_process_cannot_do_is_said() -> None:
    """Expected: its own error; of one that was ended, what to do."""

    def refuses(_: Sequence[Path]) -> Iterator[SiteFile]:
        raise InputError("no such thing")

    def is_killed(_: Sequence[Path]) -> Iterator[SiteFile]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield SiteFile("never", bytes)

    with pytest.raises(InputError, match="no such thing"):
        list(made_by(2, PARTS, refuses))
    with pytest.raises(StorageError, match="build again with more memory free"):
        list(made_by(2, PARTS, is_killed))
