"""Arguments of the compiled loops, by name, with the meaning and the shape of each array.

Legend: T steps, B samples, n samples of a block, K inputs, M neurons, C outputs of a readout. Row t B + b of an
array over time is step t of sample b; row t n + o of a block's own array is step t of the block's sample o. Indices
in loops: t step, b sample, o sample counted from the block's first, g sample of a group that is computed together,
r row of an array over time, k input, m neuron (of a vector: its first), c output of a readout, e event. M may
be padded with zeros to whole vectors; arrays over time are not padded. An array of size 0 stands for an absent one.
Weights [K, M] in pieces are stored sixteen columns after sixteen columns, as [M / 16 K, 16].
"""

from typing import NamedTuple

import numpy as np


class Coefficients(NamedTuple):
    """Holds the coefficients of a layer's M linear neurons, one array [M] for each coefficient.

    For input current i and spikes s, the second variable w follows
    w[t] = second_decay w[t-1] + second_potential u[t-1] + second_input i[t] + second_spike s[t-1]. The potential is
    u[t] = decay u[t-1] + gain i[t] + coupling w[t], reset by s[t-1]. A spike is u[t] > threshold + slope w[t].
    """

    decay: np.ndarray
    threshold: np.ndarray
    gain: np.ndarray
    coupling: np.ndarray
    second_decay: np.ndarray
    second_potential: np.ndarray
    second_input: np.ndarray
    second_spike: np.ndarray
    slope: np.ndarray


class NeuronArrays(NamedTuple):
    """Holds what a layer's neurons compute, and their recurrent connections."""

    coefficients: Coefficients
    reset: int  # SUBTRACT, SUBTRACT_DECAYED, ZERO or NONE of `codes`
    attached: bool  # whether gradient goes through the reset
    second: bool  # whether there is a second variable w
    gained: bool  # whether the current has a gain on its way into u alone
    fires: bool  # whether the neurons spike; those of a readout do not
    uniform: bool  # whether all share one decay and one threshold, and rows are whole vectors
    wiring: int  # UNWIRED, ONE_TO_ONE or ALL_TO_ALL of `codes`
    # Recurrent weights V: forward transposed [M, M], backward in pieces (of size 0 where no gradient crosses them);
    # [1, M] each way if one-to-one.
    wires: np.ndarray


class InputCurrent(NamedTuple):
    """Holds what a layer's input current is computed from.

    The current is either given as `current`, or computed: `begin` (the bias) plus the rows of `columns` (the
    weights) of all inputs that are active. These are listed as events, or packed as bits of `words`. The block
    loops then find the bias in `current` too, as [1, M].
    """

    current: np.ndarray  # [T B, M]; may share memory with `Saved.x`
    indptr: np.ndarray  # int64 [T B + 1]; the events of row r are those in [indptr[r], indptr[r + 1])
    index: np.ndarray  # int32, the input of each event
    value: np.ndarray  # of each event; empty where all are 1
    words: np.ndarray  # uint64 [T B, ceil(K / 64)], spikes of the previous layer, one bit each
    columns: np.ndarray  # weights [K, M]
    begin: np.ndarray  # bias [M]


class CurrentTerms(NamedTuple):
    """Holds the terms of a step's current in the loop for leaky neurons: bias, inputs and recurrence."""

    columns: np.ndarray  # weights [K, M]
    begin: np.ndarray  # bias or current [T B, M], or [1, M] for all rows
    index: np.ndarray  # numbers of the active inputs
    value: np.ndarray  # of each active input; empty where all are 1
    wires: np.ndarray  # recurrent weights V transposed [M, M]
    fired: np.ndarray  # int32 [M], numbers of the neurons that fired one step earlier


class States(NamedTuple):
    """Holds what one step passes to the next [B, M], updated in place: states forward, their adjoints backward."""

    u: np.ndarray  # potential
    w: np.ndarray  # second variable
    last: np.ndarray  # spikes; backward the adjoint of the current


class Saved(NamedTuple):
    """Holds the values of all steps that the forward pass saves [T B, M]; an array of size 0 is not saved."""

    x: np.ndarray  # potential minus threshold
    w: np.ndarray  # second variable
    now: np.ndarray  # current with its recurrent part
    spikes: np.ndarray
    words: np.ndarray  # uint64 [T B, ceil(M / 64)], the spikes, one bit each


class Readout(NamedTuple):
    """Holds a readout that the previous layer's loop advances; C outputs, padded with zeros to whole vectors."""

    columns: np.ndarray  # weights [M, C]
    begin: np.ndarray  # bias [C]
    v: np.ndarray  # potential [B, C], updated in place
    decay: float  # of the potential, per step
    output: np.ndarray  # potentials of all steps [T B, C], without padding


class ReadoutBack(NamedTuple):
    """Holds a readout that the loop of the previous layer sends backward; C outputs, M neurons of that layer."""

    gradient: np.ndarray  # of its output [T B, C]
    per_step: int  # rows of `gradient` for each step; 0 where all steps share the same ones
    weights: np.ndarray  # [C, M]
    decay: float  # of the potential, per step
    words: np.ndarray  # uint64 [T B, ceil(M / 64)], the spikes that it received, one bit each
    d_columns: np.ndarray  # gradient of the weights [M, C], added to
    d_begin: np.ndarray  # gradient of the bias [C], added to


class ReadoutRows(NamedTuple):
    """Holds the backward state of a readout for the n samples of a block.

    g is the gradient of the readout's potential from the loss, l that potential's adjoint, W the weights [C, M].
    """

    drive: np.ndarray  # W^T g [n, M]
    trace: np.ndarray  # W^T l [n, M], what the spikes get from the readout
    adjoint: np.ndarray  # l [n, C]


class SlopeSource(NamedTuple):
    """Holds the surrogate derivative: as a known shape with two numbers, or computed for all steps beforehand."""

    shape: int  # ATAN, FAST_SIGMOID or TRIANGLE of `codes`; GIVEN where `psi` holds the derivative
    steepness: float
    height: float  # value at the threshold
    psi: np.ndarray  # the derivative [T n, M] or [T B, M]; of size 0 for a known shape


class ArrivingGradients(NamedTuple):
    """Holds the gradients that reach a layer of M neurons from outside, backward."""

    output: np.ndarray  # gradient of the spikes, or of the potentials of a readout [T B, M]
    per_step: int  # rows of `output` for each step; 0 where all steps share the same ones
    x: np.ndarray  # gradient of the potential minus threshold [T B, M]
    u: np.ndarray  # gradient of the potential after the last step [B, M]
    w: np.ndarray  # gradient of the second variable after the last step [B, M]
    next_adjoint: np.ndarray  # of the next layer's current [T n, its neurons], or times its weights [T n, M]
    next_weights: np.ndarray  # [its neurons, M] in pieces; of size 0 where they are multiplied in


class KeptAdjoints(NamedTuple):
    """Holds the adjoints from which gradients of coefficients are computed [T B, M]; of size 0 where unwanted."""

    u: np.ndarray  # of the potential
    w: np.ndarray  # of the second variable
    x: np.ndarray  # of the potential minus threshold
    spikes: np.ndarray


class Sums(NamedTuple):
    """Holds the gradients of a layer's weights, to which each backward step adds; K inputs, M neurons."""

    columns: np.ndarray  # of the input weights [K, M]
    bias: np.ndarray  # [M]
    wires: np.ndarray  # of the recurrent weights, transposed [M, M], or [1, M] if one-to-one


class Scratch(NamedTuple):
    """Holds the scratch memory of one backward step; K inputs, M neurons, n samples of a block."""

    total: np.ndarray  # [8 or n, M], gradient of the spikes of the samples that are computed together
    slope: np.ndarray  # [M], surrogate derivative
    names: np.ndarray  # int32, as long as the larger of K and M; indices of active inputs
    fired: np.ndarray  # int32 [M], indices of neurons that fired


class EventGradients(NamedTuple):
    """Holds the events that a layer received, and the gradients of its K x M weights and M biases."""

    indptr: np.ndarray  # int64 [T B + 1]; the events of row r are those in [indptr[r], indptr[r + 1])
    index: np.ndarray  # int32, the input of each event
    value: np.ndarray  # of each event; empty where all are 1
    d_columns: np.ndarray  # [K, M], added to
    d_bias: np.ndarray  # [M], added to
