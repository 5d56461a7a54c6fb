"""Currents of synapses that spread each event over several later steps, and the gradients of their weights.

Legend: T steps, B samples, K inputs, F neurons, L lags. Row t B + b of an array over time is step t of sample b.
Sixteen neurons are computed at a time, lags and neurons side by side [L, 16]: what an event adds, and where, are
then contiguous. As many inputs (forward) or samples (backward) are taken together as fit into a core's cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sgbench.engine.kernels.codes import entry, entry_backward, loop, loop_backward, row
from sgbench.engine.kernels.events import sum_rows
from sgbench.engine.kernels.vectors import NARROW, WIDE, load, narrow, spread, store, wide

NEAR_BYTES = 2**18  # size of a piece that is to stay in the cache of a core


class Lagged(NamedTuple):
    """Holds the events of T steps and B samples that pass through delayed synapses."""

    indptr: np.ndarray  # int64 [T B + 1]; the events of row r are those in [indptr[r], indptr[r + 1])
    index: np.ndarray  # int32, the input of each event, ascending within a row
    value: np.ndarray  # of each event; empty where all are 1
    steps: int  # T
    batch: int  # B


@row
def add_at(kind, factor, pieces, k, reached, o, t, i):
    """Add factor * pieces[k, i:], one vector of input k's weights, to reached[o], for an event in step t."""
    place = t * NARROW + i
    store(reached, o, place, load(kind, reached, o, place) + spread(kind, factor) * load(kind, pieces, k, i))


@loop
def sort_by_piece(events, at_once, starts, name, step, value):
    """Sort events by piece of `at_once` inputs, then by sample; see `Lagged` for `events`.

    Those of piece p and sample b begin at starts[p B + b]. Of each event `name` gets the input, counted from the
    first of its piece, `step` its time step, and `value` its value, if it has a size.
    """
    starts[:] = 0
    for r in range(events.indptr.size - 1):
        for e in range(events.indptr[r], events.indptr[r + 1]):
            starts[events.index[e] // at_once * events.batch + r % events.batch + 1] += 1
    for p in range(1, starts.size):
        starts[p] += starts[p - 1]
    for t in range(events.steps):
        for b in range(events.batch):
            r = t * events.batch + b
            for e in range(events.indptr[r], events.indptr[r + 1]):
                piece = events.index[e] // at_once
                target = starts[piece * events.batch + b]
                name[target], step[target] = events.index[e] - piece * at_once, t
                if value.size:
                    value[target] = events.value[e]
                starts[piece * events.batch + b] += 1
    for p in range(starts.size - 1, 0, -1):
        starts[p] = starts[p - 1]
    starts[0] = 0


@loop
def spread_events(first, last, name, step, value, pieces, reached, b):
    """Add to the sums reached[b] the weights `pieces` of the sorted events [first, last), times their values."""
    for e in range(first, last):
        i, k, t = 0, np.intp(name[e]), np.intp(step[e])
        factor = value[e] if value.size else pieces.dtype.type(1)
        while i + WIDE <= pieces.shape[1]:
            add_at(wide(pieces), factor, pieces, k, reached, b, t, i)
            i += WIDE
        while i < pieces.shape[1]:
            add_at(narrow(pieces), factor, pieces, k, reached, b, t, i)
            i += NARROW


@entry
def delay(events, weight, bias, out, low, high):
    """Write the currents out [T B, F] of neurons [16 low, 16 high): bias plus events through weight [F, K, L]."""
    filters, inputs, lags = weight.shape
    steps, batch = events.steps, events.batch
    at_once = max(1, NEAR_BYTES // (lags * NARROW * weight.itemsize))
    starts = np.empty((inputs + at_once - 1) // at_once * batch + 1, np.int64)
    name, step = np.empty(events.index.size, np.int32), np.empty(events.index.size, np.int32)
    value = np.empty_like(events.value)
    sort_by_piece(events, at_once, starts, name, step, value)
    pieces = np.zeros((at_once, lags * NARROW), weight.dtype)
    reached = np.empty((batch, (steps + lags - 1) * NARROW), weight.dtype)
    for m in range(low * NARROW, min(high * NARROW, filters), NARROW):
        own = min(NARROW, filters - m)
        reached[:] = 0
        for first in range(0, inputs, at_once):
            for k in range(min(at_once, inputs - first)):
                for j in range(own):
                    for lag in range(lags):
                        pieces[k, lag * NARROW + j] = weight[m + j, first + k, lag]
            for b in range(batch):
                p = first // at_once * batch + b
                spread_events(starts[p], starts[p + 1], name, step, value, pieces, reached, b)
        for t in range(steps):
            for b in range(batch):
                for j in range(own):
                    out[t * batch + b, m + j] = reached[b, t * NARROW + j] + bias[m + j]


@loop_backward
def sort_by_input(events, first, last, length, starts, begin, place, value):
    """Sort the events of samples [first, last) by input; those of input k begin at starts[k], the first at `begin`.

    Of each event `place` gets (sample - first) * length + step, and `value` its value, if it has a size.
    """
    starts[:] = 0
    for t in range(events.steps):
        r = t * events.batch
        for e in range(events.indptr[r + first], events.indptr[r + last]):
            starts[events.index[e] + 1] += 1
    starts[0] = begin
    for k in range(1, starts.size):
        starts[k] += starts[k - 1]
    for b in range(first, last):
        for t in range(events.steps):
            r = t * events.batch + b
            for e in range(events.indptr[r], events.indptr[r + 1]):
                target = starts[events.index[e]]
                place[target] = (b - first) * length + t
                if value.size:
                    value[target] = events.value[e]
                starts[events.index[e]] += 1
    for k in range(starts.size - 1, 0, -1):
        starts[k] = starts[k - 1]
    starts[0] = begin


@loop_backward
def gather_back(starts, place, value, adjoint, pieces):
    """Add to pieces[k] the adjoints of all lags after each event of input k, times its value, for all inputs k.

    The events of input k are [starts[k], starts[k + 1]); event e reaches `adjoint` from row place[e] on.
    """
    for k in range(starts.size - 1):
        i = 0
        while i + WIDE <= pieces.shape[1]:
            total = load(wide(pieces), pieces, k, i)
            store(pieces, k, i, sum_rows(total, adjoint, i, place, value, starts[k], starts[k + 1]))
            i += WIDE
        while i < pieces.shape[1]:
            rest = load(narrow(pieces), pieces, k, i)
            store(pieces, k, i, sum_rows(rest, adjoint, i, place, value, starts[k], starts[k + 1]))
            i += NARROW


@entry_backward
def pull_back(events, gradient, d_weight, low, high):
    """Write d_weight [F, K, L], the gradient of the weights, for neurons [16 low, 16 high).

    `gradient` [T B, F] is that of the currents.
    """
    filters, inputs, lags = d_weight.shape
    length = events.steps + lags - 1  # steps of a sample and the zeros behind them
    at_once = min(events.batch, max(1, NEAR_BYTES // (length * NARROW * gradient.itemsize)))
    groups = (events.batch + at_once - 1) // at_once
    starts = np.empty((groups, inputs + 1), np.int64)
    place, value = np.empty(events.index.size, np.int32), np.empty_like(events.value)
    for group in range(groups):
        first, last = group * at_once, min((group + 1) * at_once, events.batch)
        begin = starts[group - 1, inputs] if group else 0
        sort_by_input(events, first, last, length, starts[group], begin, place, value)
    adjoint = np.zeros((at_once * length, NARROW), gradient.dtype)
    pieces = np.empty((inputs, lags * NARROW), gradient.dtype)
    for m in range(low * NARROW, min(high * NARROW, filters), NARROW):
        own = min(NARROW, filters - m)
        pieces[:] = 0
        for group in range(groups):
            first, last = group * at_once, min((group + 1) * at_once, events.batch)
            for t in range(events.steps):
                for b in range(first, last):
                    for j in range(own):
                        adjoint[(b - first) * length + t, j] = gradient[t * events.batch + b, m + j]
            gather_back(starts[group], place, value, adjoint, pieces)
        for k in range(inputs):
            for j in range(own):
                for lag in range(lags):
                    d_weight[m + j, k, lag] = pieces[k, lag * NARROW + j]
