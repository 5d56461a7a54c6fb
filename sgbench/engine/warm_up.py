"""Compiling the fused engine's loops, once for a machine and a precision."""

from __future__ import annotations

import functools

import numpy as np
import torch
from numba.core import event

from sgbench.engine.arrays import FLOATS, NOTHING
from sgbench.engine.kernels import backward, blocks_backward, blocks_forward, codes, events, forward
from sgbench.engine.note import CompileNote

NOTE = "compiling the fused engine's loops for %s, once for this machine; half a minute or so"


@functools.cache
def compiled(dtype: torch.dtype) -> None:
    """Compile every loop for one precision, or load it from numba's cache; announce it where one is compiled."""
    with event.install_listener("numba:compile", CompileNote(NOTE % dtype)):
        _call_all(FLOATS[dtype])


def _call_all(number: type) -> None:
    """Call each loop on a single neuron, with the types of arguments that it will get."""
    row, line, nothing = np.zeros((1, 1), number), np.zeros(1, number), NOTHING[number]
    index, indptr = np.zeros(1, np.int32), np.array([0, 1])
    words = np.zeros((1, 1), np.uint64)
    coefficients = (line,) * 9
    events.gather(indptr, index, np.empty(0, number), row, line, row, 0, 1)
    events.transpose(indptr, index, np.empty(0, number), indptr.copy(), index.copy(), np.empty(0, number))
    events.count_bits(words, indptr)
    events.unpack(words, indptr, index)
    forward.advance(
        nothing, indptr, index, np.empty(0, number), row, line, row, row, row, coefficients, codes.NONE,
        False, False, True, codes.UNWIRED, nothing,
        row, nothing, nothing, nothing, words, 0, 1,
    )  # fmt: skip
    backward.adjoint(
        row, nothing, nothing, nothing, nothing, row, nothing, row, row, row, coefficients, codes.NONE,
        False, False, False, True, codes.UNWIRED, nothing, codes.ATAN, number(1), number(1), row,
        nothing, nothing, nothing, nothing, 0, 1,
    )  # fmt: skip
    bits, none = np.zeros((1, 1), np.uint64), np.empty(0, number)
    blocks_forward.forward_block(
        indptr, index, none, bits, row, line, row, row, row, coefficients, False, codes.NONE, False, False, True,
        codes.UNWIRED, nothing, row, nothing, nothing, words, (nothing, none, nothing, number(0), nothing), 1, 0, 1,
    )  # fmt: skip
    blocks_backward.backward_block(
        row, 1, nothing, nothing, (nothing, 0, nothing, number(0), nothing, none), nothing, row, nothing,
        coefficients, False, codes.NONE, False, False, False, True, codes.UNWIRED, nothing, codes.ATAN, number(1),
        number(1), nothing, indptr, index, none, bits, words, row,
        line, nothing, 1, 1, 0, 1,
    )  # fmt: skip
