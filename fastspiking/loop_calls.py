"""Calls of a layer's compiled loops: which loop runs its neurons, and the scratch memory that it gets.

Only a loop that is called is compiled, so a run waits for the loops of its own neurons alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from fastspiking.arrays import FLOATS, NOTHING
from fastspiking.kernels import backward, backward_leaky, forward
from fastspiking.kernels.arguments import (
    ArrivingGradients,
    InputCurrent,
    KeptAdjoints,
    NeuronArrays,
    Readout,
    ReadoutBack,
    ReadoutRows,
    Saved,
    Scratch,
    SlopeSource,
    States,
    Sums,
)
from fastspiking.kernels.codes import ALL_TO_ALL, ONE_TO_ONE, SUBTRACT, ZERO
from fastspiking.kernels.sums import TOGETHER

TORCH = {np.dtype(number): dtype for dtype, number in FLOATS.items()}


def _zeros(number: np.dtype, rows: int, size: int) -> np.ndarray:
    return torch.zeros(rows, size, dtype=TORCH[number]).numpy()  # torch aligns memory to whole vectors, NumPy does not


Loop = Callable[..., Any]


def forward_loop(layer: NeuronArrays, threshold: float) -> Loop:
    """Return the fastest loop that can run a layer forward; a uniform layer's neurons all have this threshold."""
    is_leaky = layer.uniform and not (layer.second or layer.gained or layer.wiring == ONE_TO_ONE)
    resets_by_threshold = layer.reset == SUBTRACT and threshold > 0
    if is_leaky and (resets_by_threshold or not layer.fires):
        return forward.advance_leaky
    return forward.advance_any


def backward_loop(layer: NeuronArrays) -> Loop:
    """Return the loop that runs a layer backward by blocks of samples."""
    special = layer.attached or layer.reset == ZERO or layer.wiring == ONE_TO_ONE
    is_leaky = layer.uniform and not (layer.second or layer.gained or special)
    return backward_leaky.backward_leaky if is_leaky else backward.backward_any


def advance(
    layer: NeuronArrays, arriving: InputCurrent, states: States, saved: Saved, readout: Readout, batch: int, low: int,
    high: int,
) -> tuple[int, int]:  # fmt: skip
    """Run one layer through all steps of samples [low, high); return how many packed spikes it and its readout got.

    `layer`: the layer's neurons. `arriving`: its input current. `states`: those before the first step; afterwards those
    of the last. `saved`: arrays of size > 0 are written. `readout`: a readout that the layer's spikes advance, or an
    absent one. `batch`: B.
    """
    size, base = states.u.shape[1], layer.coefficients.threshold
    names = np.empty(max(size, len(arriving.columns)), np.int32)
    loop = forward_loop(layer, base[0])
    if loop is forward.advance_leaky:
        scratch = np.empty(size, np.int32)
    else:
        scratch = _zeros(states.u.dtype, 4, size)  # rows as in `forward.advance_any`
        scratch[3] = base
    return loop(layer, arriving, states, saved, readout, names, scratch, batch, low, high)  # type: ignore[no-any-return]


def _room(number: np.dtype, together: int, size: int, inputs: int) -> Scratch:
    names, fired = np.empty(max(size, inputs), np.int32), np.empty(size, np.int32)
    return Scratch(_zeros(number, together, size), _zeros(number, 1, size)[0], names, fired)


def _readout_rows(back: ReadoutBack, count: int) -> ReadoutRows:
    """Create the zero `ReadoutRows` of a block of `count` samples; they have no rows if the readout is absent."""
    samples, number = count if back.gradient.size else 0, back.d_begin.dtype
    drive, trace = (_zeros(number, samples, back.weights.shape[1]) for _ in range(2))
    return ReadoutRows(drive, trace, _zeros(number, samples, back.d_begin.size))


def backward_block(
    layer: NeuronArrays, curve: SlopeSource, reaching: ArrivingGradients, readout: ReadoutBack, saved: Saved,
    arriving: InputCurrent, out: np.ndarray, sums: Sums, window: int, batch: int, low: int, high: int,
) -> None:  # fmt: skip
    """Compute the backward pass of one layer over all steps of samples [low, high) of B; add its gradients to `sums`.

    `layer`: the layer's neurons. `curve`: the surrogate derivative; if it is given as numbers, then of these samples
    alone. `reaching`: gradients from outside. `readout`: a readout that follows the layer; may be absent. `saved`: of
    the forward pass. `arriving`: the layer's input current. `out`: written with the adjoint of the layer's current
    [T n, M]; of size 0 where nobody wants it. `window`: steps after which adjoints start again from 0 (truncated
    backpropagation through time). `batch`: B.
    """
    size, count, number = sums.bias.size, high - low, sums.bias.dtype
    together = count if layer.wiring == ALL_TO_ALL else TOGETHER
    rows, room = _readout_rows(readout, count), _room(number, together, size, len(sums.columns))
    lu, bounds = _zeros(number, count, size), (window, batch, low, high)
    loop = backward_loop(layer)
    if loop is backward_leaky.backward_leaky:
        loop(layer, curve, reaching, readout, rows, saved, arriving, out, sums, lu, room, *bounds)
        return
    adjoint = States(lu, *(_zeros(number, count, size) for _ in range(2)))
    kept = KeptAdjoints(*[NOTHING[number.type]] * 4)
    loop(layer, curve, reaching, readout, rows, saved, arriving, out, kept, sums, adjoint, room, *bounds)


def backward_chunk(
    layer: NeuronArrays, curve: SlopeSource, reaching: ArrivingGradients, readout: ReadoutBack, saved: Saved,
    arriving: InputCurrent, out: np.ndarray, kept: KeptAdjoints, sums: Sums, adjoint: States, batch: int, low: int,
    high: int,
) -> None:  # fmt: skip
    """Compute the backward pass of one layer over a chunk of steps, for samples [low, high).

    Arguments are those of `backward_block`, with the rows of the chunk, but for three. `out` [steps B, M] may share
    memory with the output's gradient. `kept` are adjoints that are written if wanted. `adjoint` is that of the state
    of the step after the chunk; afterwards that of its first step. The readout is absent, and `sums` is empty:
    gradients of weights are computed elsewhere from `out`.
    """
    room = _room(adjoint.u.dtype, TOGETHER, adjoint.u.shape[1], 0)
    is_leaky = layer.fires and not (layer.second or layer.gained or layer.attached or layer.wiring)
    other_gradients = reaching.x.size + reaching.u.size + reaching.w.size + kept.spikes.size
    if is_leaky and reaching.output.size and layer.reset != ZERO and not other_gradients:
        given = reaching.output, saved.x, curve, adjoint.u, layer.coefficients.decay, out, kept.u, kept.x
        backward_leaky.chunk_leaky(*given, room.slope, low, high)
        return
    backward.backward_any(
        layer, curve, reaching, readout, _readout_rows(readout, 0), saved, arriving, out, kept, sums, adjoint, room,
        len(saved.x) // batch, batch, low, high,
    )  # fmt: skip
