"""Compilation of a layer's loops before its first pass: forward here, backward in a process beside this one."""

import contextlib
import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fastspiking.arrays import NOTHING
from fastspiking.kernels import arguments, codes
from fastspiking.kernels.disk_cache import WAIT_S, compile_lock
from fastspiking.numba_events import no_readout
from fastspiking.numba_steps import advance, backward_block, backward_loop, forward_loop


def compile_loops(layer: arguments.NeuronArrays) -> None:
    """Compile the loops that run a layer by blocks, unless the cache on disk has them."""
    number = layer.coefficients.decay.dtype.type
    _compile_loops(layer._replace(coefficients=None, wires=None), number)


@functools.cache
def _compile_loops(kind: arguments.NeuronArrays, number: type) -> None:
    """Compile the loops for one float type; `kind` has neither coefficients nor wires, so that it can be hashed."""
    lacking: list[Any] = [loop for loop in (forward_loop(kind, 1.0), backward_loop(kind)) if not _is_cached(loop)]
    if not lacking:
        return
    folder = Path(lacking[0]._cache.cache_path)
    with compile_lock(folder / f"{lacking[0].__name__}.lock"):
        forward, backward = _calls(kind, number)
        with _beside(backward if len(lacking) > 1 else lambda: None):
            forward()


def _is_cached(loop: Any) -> bool:
    return any(Path(loop._cache.cache_path).glob(f"*.{loop.__name__}-*.nbi"))


@contextlib.contextmanager
def _beside(call: Callable[[], object]) -> Iterator[None]:
    """Make a call in a forked copy of this process while the body runs, and wait for it at most `WAIT_S` seconds.

    Nothing is done unless a second core is free. A thread that is no daemon may hold a lock, which the copy would
    wait for without end.
    """
    has_free_core = hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) > 1
    others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
    process = os.fork() if has_free_core and all(thread.daemon for thread in others) else None
    if process == 0:  # in the copy
        try:
            logging.disable()
            call()
        finally:
            os._exit(0)
    yield
    if process is None:
        return
    end_s = time.monotonic() + WAIT_S
    while not os.waitpid(process, os.WNOHANG)[0]:
        if time.monotonic() > end_s:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.01)


def _calls(kind: arguments.NeuronArrays, number: type) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a forward and a backward call for no samples, whose arguments have the types of later calls."""
    row, line, nothing = np.ones((1, 1), number), np.ones(1, number), NOTHING[number]
    words, none = np.zeros((1, 1), np.uint64), np.empty(0, number)
    layer = kind._replace(coefficients=arguments.Coefficients(*[line] * 9), wires=nothing)
    arriving = arguments.InputCurrent(nothing, np.array([0, 1]), np.zeros(1, np.int32), none, words, row, line)
    saved, sums = arguments.Saved(row, nothing, nothing, nothing, words), arguments.Sums(row, line, nothing)
    readout, back = no_readout(number)
    curve = arguments.SlopeSource(codes.ATAN, number(1), number(1), nothing)
    reaching = arguments.ArrivingGradients(row, 1, *[nothing] * 5)
    return (
        lambda: advance(layer, arriving, arguments.States(row, row, row), saved, readout, 1, 0, 0),
        lambda: backward_block(layer, curve, reaching, back, saved, arriving, nothing, sums, 1, 1, 0, 0),
    )
