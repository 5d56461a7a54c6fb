"""Work in parts: what one process makes of them, several make too."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence

import pytest

from sgbench.errors import InputError, StorageError
from sgbench.leaderboard.contents import in_processes

PARTS = [[f"{part}{number}" for number in range(3)] for part in "abcde"]


def shouted(names: Sequence[str]) -> Iterator[str]:
    """Each name in capitals."""
    yield from map(str.upper, names)


def test_one_process_works_by_itself() -> None:
    """By hand: fifteen results in their order, each with the number of its part; nothing is done meanwhile."""
    found = list(in_processes(shouted, PARTS, workers=1, meanwhile=lambda: pytest.fail("it has no time")))
    assert found == [(number, name.upper()) for number, part in enumerate(PARTS) for name in part]


@pytest.mark.slow
def test_several_processes_make_the_same() -> None:
    """Expected: what one process makes, parts in whatever order; this one works meanwhile."""
    alone = list(in_processes(shouted, PARTS, workers=1))
    done: list[str] = []
    together = in_processes(shouted, PARTS, workers=2, meanwhile=lambda: done.append("here"))
    assert sorted(together, key=lambda numbered: numbered[0]) == alone
    assert done == ["here"]


@pytest.mark.slow
def test_what_a_process_cannot_do_is_said() -> None:
    """Expected: its own error; of one that was ended, what to do."""

    def refuses(_: Sequence[str]) -> Iterator[str]:
        raise InputError("no such thing")

    def is_killed(_: Sequence[str]) -> Iterator[str]:
        os.kill(os.getpid(), signal.SIGKILL)
        yield "never"

    with pytest.raises(InputError, match="no such thing"):
        list(in_processes(refuses, PARTS, workers=2))
    with pytest.raises(StorageError, match="with more memory free"):
        list(in_processes(is_killed, PARTS, workers=2))
