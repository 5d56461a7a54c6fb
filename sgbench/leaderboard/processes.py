"""Divides work among forked processes and receives their results."""

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
    """Return how many processes to use for `count` items: one below `many` items, or where none can be forked."""
    return processors() if count >= many and sys.platform == "linux" else 1


def in_processes(
    work: Callable[[Part], Iterable[Result]],
    parts: Sequence[Part],
    *,
    workers: int,
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the part, result) for all parts: in any order, or in that of parts with one process.

    Processes are forked: they share this one's memory, and start faster than a new interpreter. A process continues
    only when its result was received, so that few results wait in memory.

    `work`: function from a part to its results, which must be picklable. `parts`: parts of the work. `workers`: count
    of processes; 1 means that this process does the work itself. `meanwhile`: called by this process once the others
    have started; not called without others.
    """
    if workers < 2 or len(parts) < workers:  # noqa: PLR2004 - one process is this one
        for number, part in enumerate(parts):
            yield from ((number, result) for result in work(part))
        return
    context = multiprocessing.get_context("fork")
    numbered = list(enumerate(parts))
    ends: list[Any] = []  # of pipes, whose class depends on the platform
    processes = []
    for first in range(workers):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(sender, numbered[first::workers], work), daemon=True)
        process.start()
        sender.close()
        ends.append(receiver)
        processes.append(process)
    try:
        if meanwhile is not None:  # after the start of the others, so that they do not copy its memory
            meanwhile()
        yield from _receive(ends)
    finally:
        for process in processes:
            process.terminate()  # no effect on a process that is done
            process.join()


def _receive(ends: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield (index of a part, result) from the pipes of processes until all are done; raise the error of one."""
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
    try:
        return end.recv()
    except EOFError:
        return StorageError("a process of the board was ended; run it again with more memory free")


def _work(end: Any, parts: Sequence[tuple[int, Any]], work: Callable[[Any], Iterable[Any]]) -> None:
    """Do the work of some parts in this process, and send results, then None, or the error that ended it."""
    gc.disable()  # the process is short-lived, and a collection would copy the memory that it shares
    try:
        for number, part in parts:
            for result in work(part):
                end.send((number, result))
        end.send(None)
    except Exception as error:
        end.send(error)
