"""Work in parts, which other processes do while this one takes what comes of it."""

from __future__ import annotations

import gc
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any, TypeVar

from sgbench.errors import StorageError
from sgbench.paths import processors

Part = TypeVar("Part")
Result = TypeVar("Result")


def workers_for(count: int, *, many: int) -> int:
    """Return how many processes work on so many things: one below `many`, and where none is forked."""
    return processors() if count >= many and sys.platform == "linux" else 1


def in_processes(
    work: Callable[[Part], Iterable[Result]],
    parts: Sequence[Part],
    *,
    workers: int,
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield what comes of every part with the part's number, in no order, or in order where this process is alone.

    Processes are forked: they see what this one has in memory, and start faster than a new interpreter. A process
    goes on once its result was taken, so that few results wait in memory.

    Args:
        work: makes the results of a part, which can be pickled.
        parts: the work.
        workers: number of processes; 1 is this one.
        meanwhile: done by this process once others have been started, if there are others.

    Raises:
        SgbenchError: what `work` raises.
        StorageError: a process was ended by somebody else, as for want of memory.
    """
    if workers < 2 or len(parts) < workers:  # noqa: PLR2004 - one process is this one
        for number, part in enumerate(parts):
            yield from ((number, result) for result in work(part))
        return
    context = multiprocessing.get_context("fork")
    numbered = list(enumerate(parts))
    ends: list[Any] = []  # of pipes, whose class is another on each system
    processes = []
    for first in range(workers):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(theirs, numbered[first::workers], work), daemon=True)
        process.start()
        theirs.close()
        ends.append(ours)
        processes.append(process)
    try:
        if meanwhile is not None:  # the others have been started: nothing of it is copied into them
            meanwhile()
        yield from _received(ends)
    finally:
        for process in processes:
            process.terminate()  # one that is done has ended
            process.join()


def _received(ends: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    waiting = list(ends)
    while waiting:
        for end in wait(waiting):
            message = _message(end)
            if isinstance(message, Exception):
                raise message
            if message is None:
                waiting.remove(end)
            else:
                yield message


def _message(end: Any) -> tuple[int, Any] | Exception | None:
    """Return a part's number and a result, why a process cannot go on, or None where it is done."""
    try:
        return end.recv()
    except EOFError:
        return StorageError("a process of the board was ended; run it again with more memory free")


def _work(end: Any, parts: Sequence[tuple[int, Any]], work: Callable[[Any], Iterable[Any]]) -> None:
    """Send what comes of the parts, one after the other; the whole life of a process."""
    gc.disable()  # it is short-lived, and looking for cycles would copy what it shares with the others
    try:
        for number, part in parts:
            for result in work(part):
                end.send((number, result))
        end.send(None)
    except Exception as error:
        end.send(error)
