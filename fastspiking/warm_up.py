"""Compilation of the fused engine's loops, once per machine and float type."""

import functools
from collections.abc import Callable

import numpy as np
import torch
from numba.core import event

from fastspiking.arrays import FLOATS, NOTHING
from fastspiking.kernels import backward, codes, events, forward, pieces
from fastspiking.kernels.arguments import (
    Coefficients,
    InputCurrent,
    KeptAdjoints,
    NeuronArrays,
    Reaching,
    Saved,
    SlopeSource,
    States,
    Sums,
)
from fastspiking.note import CompileNote
from fastspiking.numba_events import no_readout

NOTE = "compiling the fused engine's loops for %s, once for this machine; half a minute or so"


@functools.cache
def compiled(dtype: torch.dtype) -> None:
    """Compile every loop for one float type, or load it from numba's cache; log a message if any is compiled."""
    note = CompileNote(NOTE % dtype)
    with event.install_listener("numba:compile", note):
        calls = _calls(FLOATS[dtype])
        for part, call in enumerate(calls, start=1):
            call()
            note.done(part, len(calls))


def _calls(number: type) -> list[Callable[[], object]]:
    """Return a call of each loop on a single neuron, with the argument types of later calls, to compile it."""
    row, line, nothing = np.zeros((1, 1), number), np.zeros(1, number), NOTHING[number]
    piece = np.zeros(pieces.PIECE, number)
    index, indptr = np.zeros(1, np.int32), np.array([0, 1])
    words, none = np.zeros((1, 1), np.uint64), np.empty(0, number)
    layer = NeuronArrays(
        Coefficients(*[line] * 9), codes.NONE, attached=False, second=False, gained=False, fires=True,
        uniform=False, wiring=codes.UNWIRED, wires=nothing,
    )  # fmt: skip
    arriving = InputCurrent(nothing, indptr, index, none, words, row, line)
    states, saved = States(row, row, row), Saved(row, nothing, nothing, nothing, words)
    readout, back = no_readout(number)
    curve = SlopeSource(codes.ATAN, number(1), number(1), nothing)
    reaching = Reaching(row, 1, *[nothing] * 5)
    arguments = layer, curve, reaching, back, saved, arriving
    kept, no_sums = KeptAdjoints(*[nothing] * 4), Sums(nothing, none, nothing)
    return [
        lambda: events.gather(indptr, index, none, row, line, row, 0, 1),
        lambda: events.transpose(indptr, index, none, indptr.copy(), index.copy(), none),
        lambda: events.count_bits(words, indptr),
        lambda: events.unpack(words, indptr, index, 0, 1),
        lambda: pieces.gather_pieces(indptr, index, none, piece, piece, piece[None], 1, 0, 1),
        lambda: pieces.scatter_pieces(indptr, index, none, piece[None], piece, 1, 0, 1),
        lambda: forward.advance(layer, arriving, states, saved, readout, 1, 0, 1),
        lambda: backward.backward_block(*arguments, nothing, Sums(row, line, nothing), 1, 1, 0, 1),
        lambda: backward.backward_chunk(*arguments, row, kept, no_sums, states, 1, 0, 1),
    ]
