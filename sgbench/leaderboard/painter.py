"""Pictures drawn by a process of their own, which loads the drawing library while records are read."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from sgbench.errors import SgbenchError
from sgbench.leaderboard.rows import Board
from sgbench.plots.board import MAX_ROWS, draw, load_library

PATIENCE_S = 1.0
Begin = Callable[[Board], Callable[[], bytes]]
"""Takes a board, and gives what waits for its picture."""


class Pipe(Protocol):
    """One end of it; its class has another name on each system."""

    def send(self, obj: Any, /) -> None:
        """Hand on an object."""

    def recv(self) -> Any:
        """The next object; EOFError where there will be none."""

    def poll(self, timeout: float, /) -> bool:
        """Whether there is one within so many seconds."""
        ...

    def close(self) -> None:
        """No more."""


@contextmanager
def painter(*, apart: bool) -> Iterator[Begin]:
    """What draws boards one after the other.

    Args:
        apart: in a forked process, so that the caller goes on meanwhile; else when the bytes are asked for.
    """
    if not apart:
        yield lambda board: partial(draw, board)
        return
    # Not a pool: its threads would be copied in the middle of something when readers are forked.
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_draw_all, args=(ours, theirs, os.getpid()), daemon=True)
    process.start()
    theirs.close()
    try:
        yield lambda board: _begin(ours, board)
    finally:
        ours.close()
        process.join()


def _begin(pipe: Pipe, board: Board) -> Callable[[], bytes]:
    with suppress(BrokenPipeError):  # said when the picture is asked for
        pipe.send(
            (
                replace(board, rows=board.rows[:MAX_ROWS], claimed=(), retired=(), outsiders=()),
                len(board.rows),
            )
        )
    return partial(_drawn, pipe)


def _drawn(pipe: Pipe) -> bytes:
    try:
        found = pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise SgbenchError(
            "the process that draws pictures was ended; is there too little memory?"
        ) from error
    if isinstance(found, Exception):
        raise found
    return found


def _draw_all(theirs: Pipe, ours: Pipe, parent: int) -> None:
    """What the other process does until nobody can ask it any more."""
    theirs.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever is interrupted closes the pipe
    load_library()
    while True:
        while not ours.poll(PATIENCE_S):
            if os.getppid() != parent:  # killed, and readers of records may hold the pipe's other end
                return
        try:
            board, methods = ours.recv()
        except EOFError:
            return
        try:
            ours.send(draw(board, methods=methods))
        except Exception as error:  # raised where the picture was asked for
            ours.send(error)
