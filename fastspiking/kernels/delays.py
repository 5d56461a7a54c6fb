"""Currents of synapses that spread each event over several later steps, and the gradients of their weights.

Legend: T steps, B samples, K inputs, F neurons, L lags. Row t B + b of an array over time is step t of sample b.
Sixteen neurons are computed at a time, lags and neurons side by side [L, 16]: what an event adds, and where, are
then contiguous. Samples are taken in groups, whose events are sorted by input. As many inputs (forward) or samples
(backward) are taken together as fit into a core's cache.
"""

from typing import NamedTuple

import numpy as np

from fastspiking.kernels.codes import entry, entry_backward, inner, inner_backward, row
from fastspiking.kernels.events import sum_rows
from fastspiking.kernels.functions import exponential
from fastspiking.kernels.vectors import NARROW, WIDE, load, load_line, narrow, spread, store, store_line, wide

NEAR_BYTES = 2**18  # size of a piece that is to stay in the cache of a core
GROUP = 8  # samples forward, for which a vector of an input's weights is read_gradients once


class Lagged(NamedTuple):
    """Holds the events of T steps and B samples that pass through delayed synapses."""

    indptr: np.ndarray  # int64 [T B + 1]; the events of row r are those in [indptr[r], indptr[r + 1])
    index: np.ndarray  # int32, the input of each event, ascending within a row
    value: np.ndarray  # of each event; empty where all are 1
    steps: int  # T
    batch: int  # B


class Synapses(NamedTuple):
    """Holds weights of all lags, or weights and Gaussians over lags that spread them; or gradients of these."""

    by_lag: np.ndarray  # [F, K, L]; [0, K, L] for Gaussians
    weight: np.ndarray  # [F, K] of Gaussians, else [0, K]
    delay: np.ndarray  # [F, K] or [0, K]: means of the Gaussians [steps]
    narrowness: float  # 1 / their standard deviation


@inner
def sort_by_input(events, at_once, length, starts, place, value):
    """Sort the events of groups of `at_once` samples by input; those of group g and input k begin at starts[g, k].

    For each event, `place` is set to its row in its group's array: (sample - first of the group) * length + step.
    `value` is set to its value, unless `value` is empty. This is a counting sort: count, sum up, and place.
    """
    end = 0
    for g in range(starts.shape[0]):
        first, last = g * at_once, min((g + 1) * at_once, events.batch)
        starts[g] = 0
        for t in range(events.steps):
            r = t * events.batch
            for e in range(events.indptr[r + first], events.indptr[r + last]):
                starts[g, events.index[e] + 1] += 1
        starts[g, 0] = end
        for k in range(1, starts.shape[1]):
            starts[g, k] += starts[g, k - 1]
        begin, end = end, starts[g, starts.shape[1] - 1]
        for b in range(first, last):
            for t in range(events.steps):
                r = t * events.batch + b
                for e in range(events.indptr[r], events.indptr[r + 1]):
                    target = starts[g, events.index[e]]
                    place[target] = (b - first) * length + t
                    if value.size:
                        value[target] = events.value[e]
                    starts[g, events.index[e]] += 1
        for k in range(starts.shape[1] - 1, 0, -1):  # each start has moved to the end of its input's events
            starts[g, k] = starts[g, k - 1]
        starts[g, 0] = begin


@inner
def write_gaussians(synapses, m, k, weight, delay, rows, r):
    """Write e^(-(lag - delay)^2 / 2 sigma^2) to rows[r, lag 16 + j], for the synapse from input k to neuron m + j.

    The weights and delays of these sixteen synapses are copied to `weight` and `delay` [16].
    """
    for j in range(min(NARROW, synapses.weight.shape[0] - m)):
        weight[j], delay[j] = synapses.weight[m + j, k], synapses.delay[m + j, k]
    kind = narrow(rows)
    mean, narrowness, half = load_line(kind, delay, 0), spread(kind, synapses.narrowness), spread(kind, -0.5)
    for lag in range(synapses.by_lag.shape[2]):
        apart = (spread(kind, lag) - mean) * narrowness
        store(rows, r, lag * NARROW, half * apart * apart)
    for i in range(rows.shape[1]):
        rows[r, i] = exponential(rows[r, i])


@inner
def write_weights(synapses, m, first, count, weight, delay, pieces):
    """Write to `pieces` [count, L 16] the weights of `count` inputs from `first` on, to the neurons [m, m + 16).

    Gaussians are normalised, so that the weights of a synapse's lags add up to its weight. `weight` and `delay` [16]
    are scratch memory.
    """
    by_lag, kind = synapses.by_lag, narrow(pieces)
    for k in range(count):
        for j in range(min(NARROW, by_lag.shape[0] - m)):
            for lag in range(by_lag.shape[2]):
                pieces[k, lag * NARROW + j] = by_lag[m + j, first + k, lag]
        if by_lag.shape[0] == 0:
            write_gaussians(synapses, m, first + k, weight, delay, pieces, k)
            total = kind
            for i in range(0, pieces.shape[1], NARROW):
                total = total + load(kind, pieces, k, i)
            factor = load_line(kind, weight, 0) / total
            for i in range(0, pieces.shape[1], NARROW):
                store(pieces, k, i, load(kind, pieces, k, i) * factor)


@row
def add_piece(kind, pieces, k, reached, g, i, first, last, place, value):
    """Add pieces[k, i:], one vector of input k's weights, to reached[g] for each of its events, times their value."""
    sent = load(kind, pieces, k, i)
    for e in range(first, last):
        t = np.intp(place[e]) * NARROW + i
        part = spread(kind, value[e]) * sent if value.size else sent
        store(reached, g, t, load(kind, reached, g, t) + part)


@inner
def add_events(starts, g, inputs, count, place, value, pieces, reached):
    """Add the weights of all events of inputs [inputs, inputs + count) in group g to its currents, reached[g].

    `starts`, `place` and `value` are the result of `sort_by_input`, `pieces` that of `write_weights`.
    """
    for k in range(count):
        i, first, last = 0, starts[g, inputs + k], starts[g, inputs + k + 1]
        while i + WIDE <= pieces.shape[1]:
            add_piece(wide(pieces), pieces, k, reached, g, i, first, last, place, value)
            i += WIDE
        while i < pieces.shape[1]:
            add_piece(narrow(pieces), pieces, k, reached, g, i, first, last, place, value)
            i += NARROW


@inner
def move_sixteen(source, r, i, target, q, m):
    """Copy sixteen numbers from source[r, i:] to target[q, m:], or as many as both rows have."""
    own = min(NARROW, source.shape[1] - i, target.shape[1] - m)
    if own == NARROW:
        store(target, q, m, load(narrow(source), source, r, i))
    else:
        for j in range(own):
            target[q, m + j] = source[r, i + j]


@entry
def delay(events, synapses, begin, out, low, high):
    """Write the currents out [T B, F] of neurons [16 low, 16 high).

    They are the bias `begin`, padded to whole vectors, plus the weights of all events at all lags. `events` are
    `Lagged`, `synapses` are `Synapses`.
    """
    steps, batch, (_, inputs, lags) = events.steps, events.batch, synapses.by_lag.shape
    length = steps + lags - 1  # steps of a sample, and what arrives behind them
    at_once_inputs = max(1, NEAR_BYTES // (lags * NARROW * out.itemsize))
    groups = (batch + GROUP - 1) // GROUP
    starts = np.empty((groups, inputs + 1), np.int64)
    place, value = np.empty(events.index.size, np.int32), np.empty_like(events.value)
    sort_by_input(events, GROUP, length, starts, place, value)
    pieces = np.zeros((at_once_inputs, lags * NARROW), out.dtype)
    weight, own_delay = np.zeros(NARROW, out.dtype), np.zeros(NARROW, out.dtype)
    reached = np.empty((groups, GROUP * length * NARROW), out.dtype)
    for m in range(low * NARROW, min(high * NARROW, out.shape[1]), NARROW):
        bias = load_line(narrow(out), begin, m)
        for g in range(groups):
            for i in range(0, reached.shape[1], NARROW):
                store(reached, g, i, bias)
        for first in range(0, inputs, at_once_inputs):
            count = min(at_once_inputs, inputs - first)
            write_weights(synapses, m, first, count, weight, own_delay, pieces)
            for g in range(groups):
                add_events(starts, g, first, count, place, value, pieces, reached)
        for r in range(out.shape[0]):
            t, b = r // batch, r % batch
            move_sixteen(reached, b // GROUP, (b % GROUP * length + t) * NARROW, out, r, m)


@inner_backward
def gather_gradients(starts, g, place, value, adjoint, pieces):
    """Add to pieces[k] the adjoints of all lags after each event of input k, times its value, for all inputs k.

    `starts`, `place` and `value` are the result of `sort_by_input`: event e reaches `adjoint` from row place[e] on.
    """
    for k in range(starts.shape[1] - 1):
        i, first, last = 0, starts[g, k], starts[g, k + 1]
        while i + WIDE <= pieces.shape[1]:
            total = load(wide(pieces), pieces, k, i)
            store(pieces, k, i, sum_rows(total, adjoint, i, place, value, first, last))
            i += WIDE
        while i < pieces.shape[1]:
            rest = load(narrow(pieces), pieces, k, i)
            store(pieces, k, i, sum_rows(rest, adjoint, i, place, value, first, last))
            i += NARROW


@inner_backward
def read_gradients(synapses, pieces, m, weight, delay, gaussian, out):
    """Convert the gradients of all lags `pieces` [K, L 16] to those of the synapses of neurons [m, m + 16), in `out`.

    For Gaussians g with weight w, of which a lag has the share p = g / sum g, these are dw = sum p G, with G the
    gradient of a lag, and ddelay = w / sigma^2 sum p (G - dw) (lag - delay). `weight`, `delay` and `gaussian` are
    scratch memory.
    """
    lags, kind = synapses.by_lag.shape[2], narrow(pieces)
    for k in range(pieces.shape[0]):
        for j in range(min(NARROW, out.by_lag.shape[0] - m)):
            for lag in range(lags):
                out.by_lag[m + j, k, lag] = pieces[k, lag * NARROW + j]
        if out.by_lag.shape[0] == 0:
            write_gaussians(synapses, m, k, weight, delay, gaussian, 0)
            total, d_weight, d_delay = kind, kind, kind  # vectors of zeros
            for lag in range(lags):
                share = load(kind, gaussian, 0, lag * NARROW)
                total, d_weight = total + share, d_weight + share * load(kind, pieces, k, lag * NARROW)
            d_weight, own_delay = d_weight / total, load_line(kind, delay, 0)
            for lag in range(lags):
                centred = load(kind, pieces, k, lag * NARROW) - d_weight  # its mean is 0, so that no digits cancel
                d_delay = d_delay + load(kind, gaussian, 0, lag * NARROW) * centred * (spread(kind, lag) - own_delay)
            square = spread(kind, synapses.narrowness * synapses.narrowness)
            store_line(delay, 0, load_line(kind, weight, 0) * d_delay / total * square)
            store_line(weight, 0, d_weight)
            for j in range(min(NARROW, out.weight.shape[0] - m)):
                out.weight[m + j, k], out.delay[m + j, k] = weight[j], delay[j]


@entry_backward
def pull_back(events, synapses, gradient, out, low, high):
    """Write to `out` the gradients of the synapses of neurons [16 low, 16 high).

    `gradient` [T B, F] is that of the currents. For sixteen neurons m at a time, and for each group g of samples, the
    gradients are copied next to each other, added up by input, and at last converted to those of the synapses.
    """
    batch, (_, inputs, lags) = events.batch, synapses.by_lag.shape
    length = events.steps + lags - 1  # steps of a sample and the zeros behind them
    at_once = min(batch, max(1, NEAR_BYTES // (length * NARROW * gradient.itemsize)))  # samples of a group
    starts = np.empty(((batch + at_once - 1) // at_once, inputs + 1), np.int64)
    place, value = np.empty(events.index.size, np.int32), np.empty_like(events.value)
    sort_by_input(events, at_once, length, starts, place, value)
    adjoint = np.zeros((at_once * length, NARROW), gradient.dtype)
    pieces = np.empty((inputs, lags * NARROW), gradient.dtype)
    weight, delay = np.zeros(NARROW, gradient.dtype), np.zeros(NARROW, gradient.dtype)
    gaussian = np.empty((1, lags * NARROW), gradient.dtype)
    for m in range(low * NARROW, min(high * NARROW, gradient.shape[1]), NARROW):
        pieces[:] = 0
        for g in range(starts.shape[0]):
            for t in range(events.steps):
                for b in range(g * at_once, min((g + 1) * at_once, batch)):
                    move_sixteen(gradient, t * batch + b, m, adjoint, (b - g * at_once) * length + t, 0)
            gather_gradients(starts, g, place, value, adjoint, pieces)
        read_gradients(synapses, pieces, m, weight, delay, gaussian, out)
