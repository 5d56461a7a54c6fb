"""What the loops take, by name; here is what each array holds and its shape.

Legend: T steps, B samples, n samples of a block, K inputs, M neurons, C classes. A row of what lies over time is
t B + b, one of a block's own t n + o. M may be filled up with neurons of zeros to whole vectors, of which what lies
over time has none. An array without a size is not there. Weights [K, M] in pieces are sixteen columns behind
sixteen columns, [M / 16 K, 16].
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Coefficients(NamedTuple):
    """Holds the coefficients of `LinearSpec` of each neuron, [M] each."""

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
    """Says what neurons do, and how they are joined."""

    coefficients: Coefficients
    reset: int
    attached: bool  # whether gradient goes through the reset
    second: bool  # whether there is a second variable w
    gained: bool  # whether the current has a gain on its way into u alone
    fires: bool
    uniform: bool  # whether all share one decay and one threshold, and rows are whole vectors
    wiring: int
    wires: (
        np.ndarray
    )  # V transposed [M, M], or [1, M] of one-to-one; backward V in pieces, where gradient passes


class InputCurrent(NamedTuple):
    """Holds what the input current of a layer is computed from.

    That is `current` itself; or `begin` plus the weight columns of the events that arrive, or of the spikes packed
    in `words`. By blocks `current` is begin [1, M] then.
    """

    current: np.ndarray  # [T B, M], may be the memory of x
    indptr: np.ndarray  # int64 [T B + 1]
    index: np.ndarray  # int32
    value: np.ndarray  # empty where all are 1
    words: np.ndarray  # uint64 [T B, blocks of 64], packed spikes of the layer before
    columns: np.ndarray  # [K, M]
    begin: np.ndarray  # [M]


class Added(NamedTuple):
    """Holds what a loop of the commonest neurons adds up in each step, and from where."""

    columns: np.ndarray  # [K, M]
    begin: np.ndarray  # [T B, M], or [1, M] for all rows
    index: np.ndarray  # names of what arrives: of events, or unpacked
    value: np.ndarray  # empty where all are 1
    wires: np.ndarray  # V transposed [M, M]
    fired: np.ndarray  # int32 [M], names of neurons that fired a step ago


class States(NamedTuple):
    """Holds what goes from step to step [B, M], and moves: forward states, backward adjoints."""

    u: np.ndarray
    w: np.ndarray
    last: np.ndarray  # spikes; backward the adjoint of the current


class Saved(NamedTuple):
    """Holds what is remembered of all steps [T B, M]."""

    x: np.ndarray  # u - threshold
    w: np.ndarray
    now: np.ndarray  # current with its recurrent part
    spikes: np.ndarray
    words: np.ndarray  # uint64 [T B, blocks of 64]


class Readout(NamedTuple):
    """Holds a readout that is advanced in the loop of the layer before; C is filled up, too."""

    columns: np.ndarray  # [M, C]
    begin: np.ndarray  # [C]
    v: np.ndarray  # [B, C], its potential
    decay: float
    output: np.ndarray  # [T B, C]


class ReadoutBack(NamedTuple):
    """Holds the same on the way back."""

    gradient: np.ndarray  # of its output [T B, C]
    per_step: int  # rows of it a step; 0 where all steps share one
    weights: np.ndarray  # [C, M]
    decay: float
    words: np.ndarray  # the packed spikes that it got
    d_columns: np.ndarray
    d_begin: np.ndarray


class ReadoutRows(NamedTuple):
    """Holds what a readout has of each sample of a block on the way back."""

    drive: np.ndarray  # W^T g [n, M]
    trace: np.ndarray  # W^T l [n, M]
    adjoint: np.ndarray  # l [n, C]


class SlopeSource(NamedTuple):
    """Says where the surrogate derivative comes from."""

    shape: int
    steepness: float
    height: float
    psi: np.ndarray  # [T n, M] or [T B, M], where no shape is known


class Reaching(NamedTuple):
    """Holds what reaches a layer from outside on the way back."""

    output: np.ndarray  # gradient of its spikes, or of the potential of what does not fire [T B, M]
    per_step: int  # rows of it a step; 0 where all steps share one
    x: np.ndarray  # gradient of u - threshold [T B, M]
    u: np.ndarray  # of the state after the last step [B, M]
    w: np.ndarray
    next_adjoint: np.ndarray  # of the next layer's current [T n, its neurons], or times its weights
    next_weights: np.ndarray  # [its neurons, M] in pieces


class KeptAdjoints(NamedTuple):
    """Holds adjoints from which gradients of coefficients are made [T B, M]."""

    u: np.ndarray
    w: np.ndarray
    x: np.ndarray
    spikes: np.ndarray


class Sums(NamedTuple):
    """Holds the gradients that are added up on the way back."""

    columns: np.ndarray  # [K, M]
    bias: np.ndarray  # [M]
    wires: np.ndarray  # [M, M] by columns, or [1, M]


class Room(NamedTuple):
    """Holds room for what is used up within a step on the way back."""

    total: np.ndarray  # [8 or n, M], what reaches the spikes of samples that are taken together
    slope: np.ndarray  # [M]
    names: np.ndarray  # int32, at least K and M; positions of what arrived
    fired: np.ndarray  # int32 [M], positions of own spikes


class Taken(NamedTuple):
    """Holds events and the gradients of the weights by which they came."""

    indptr: np.ndarray
    index: np.ndarray
    value: np.ndarray
    d_columns: np.ndarray
    d_bias: np.ndarray
