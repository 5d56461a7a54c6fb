"""Compiling the fused engine's loops, once for a machine and a precision."""

from __future__ import annotations

import functools
import logging
import threading

import numpy as np
import torch

from sgbench.engine import kernels
from sgbench.engine.numba_steps import FLOATS, NOTHING

PATIENCE_S = 1.0  # what comes from numba's cache on disk takes less
log = logging.getLogger("sgbench")


@functools.cache
def compiled(dtype: torch.dtype) -> None:
    """Compile every loop for one precision, or load it from numba's cache; says so where it takes long."""
    note = threading.Timer(
        PATIENCE_S,
        log.warning,
        ("compiling the fused engine's loops for %s, once for this machine; ten seconds or so", dtype),
    )
    note.daemon = True
    note.start()
    try:
        _call_all(FLOATS[dtype])
    finally:
        note.cancel()


def _call_all(number: type) -> None:
    """Each loop on a single neuron, with the types of arguments that it will get."""
    row, line, nothing = np.zeros((1, 1), number), np.zeros(1, number), NOTHING[number]
    index, indptr = np.zeros(1, np.int32), np.array([0, 1])
    words = np.zeros((1, 1), np.uint64)
    coefficients = (line,) * 9
    kernels.gather(indptr, index, np.empty(0, number), row, line, row, 0, 1)
    kernels.transpose(indptr, index, np.empty(0, number), indptr.copy(), index.copy(), np.empty(0, number))
    kernels.count_bits(words, indptr)
    kernels.unpack(words, indptr, index)
    kernels.advance(
        row, row, row, row, coefficients, kernels.NONE, False, True, kernels.UNWIRED, nothing,
        row, nothing, nothing, nothing, words, 0, 1,
    )  # fmt: skip
    kernels.adjoint(
        row, nothing, nothing, nothing, nothing, row, nothing, row, row, row, coefficients, kernels.NONE,
        False, False, True, kernels.UNWIRED, nothing, kernels.ATAN, number(1), number(1), row,
        nothing, nothing, nothing, nothing, 0, 1,
    )  # fmt: skip
