"""Files that other processes make, each a share of the work, while this one writes them."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any

from sgbench.errors import StorageError
from sgbench.leaderboard.site.files import SiteFile
from sgbench.leaderboard.store.reading import RecordFile

Make = Callable[[Sequence[RecordFile]], Iterable[SiteFile]]
Told = list[tuple[str, bytes]] | Exception | None
"""What comes from a process: files with their paths, why it cannot go on, or that it is done."""


def made_by(workers: int, parts: Sequence[Sequence[RecordFile]], make: Make) -> Iterator[SiteFile]:
    """Yield the files of every part, in no order, with as many processes, or in this one where it is alone.

    Args:
        workers: number of processes, which are forked and see what this one has in memory.
        parts: the work, each a list of records.
        make: the files of a part, without pictures.

    Raises:
        SgbenchError: what `make` raises.
        StorageError: a process was ended by somebody else, as for want of memory.
    """
    if workers < 2 or len(parts) < workers:  # noqa: PLR2004 - one process is this one
        for part in parts:
            yield from make(part)
        return
    context = multiprocessing.get_context("fork")
    ends: list[Any] = []  # of pipes, whose class is another on each system
    processes = []
    for number in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_make_all, args=(theirs, parts[number::workers], make), daemon=True)
        process.start()
        theirs.close()
        ends.append(ours)
        processes.append(process)
    try:
        yield from _received(ends)
    finally:
        for process in processes:
            process.terminate()  # one that is done has ended
            process.join()


def _received(ends: Sequence[Any]) -> Iterator[SiteFile]:
    waiting = list(ends)
    while waiting:
        for end in wait(waiting):
            message = _told(end)
            if isinstance(message, Exception):
                raise message
            if message is None:
                waiting.remove(end)
            for path, data in message or []:
                yield SiteFile(path, lambda data=data: data)


def _told(end: Any) -> Told:
    try:
        return end.recv()
    except EOFError:
        return StorageError("a process that made pages was ended; build again with more memory free")


def _make_all(end: Any, parts: Sequence[Sequence[RecordFile]], make: Make) -> None:
    """Send what the parts make, one part after the other; the whole life of a process."""
    gc.disable()  # it is short-lived, and looking for cycles would copy what it shares with the others
    try:
        for part in parts:
            end.send([(page.path, page.make()) for page in make(part)])
        end.send(None)
    except Exception as error:
        end.send(error)
