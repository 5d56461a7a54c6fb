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
GROUP = 8  # samples forward, for which a vector of an input's weights is read once


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
    """Sort the events of groups of `at_once` samples by input; those of group g, input k begin at starts[g, k].

    Of each event `place` gets (sample - first of its group) * length + step, and `value` its value, unless empty.
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
        for k in range(starts.shape[1] - 1, 0, -1):
            starts[g, k] = starts[g, k - 1]
        starts[g, 0] = begin


@inner
def bells(synapses, m, k, weight, delay, rows, r):
    """Write e^(-(lag - delay)^2 / 2 sigma^2) of input k's sixteen synapses to rows[r]; copy their parameters."""
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
def fill(synapses, m, first, count, weight, delay, pieces):
    """Write to `pieces` the weights of all lags [count, L 16] of neurons [m, m + 16) and so many inputs."""
    by_lag, kind = synapses.by_lag, narrow(pieces)
    for k in range(count):
        for j in range(min(NARROW, by_lag.shape[0] - m)):
            for lag in range(by_lag.shape[2]):
                pieces[k, lag * NARROW + j] = by_lag[m + j, first + k, lag]
        if by_lag.shape[0] == 0:
            bells(synapses, m, first + k, weight, delay, pieces, k)
            total = kind
            for i in range(0, pieces.shape[1], NARROW):
                total = total + load(kind, pieces, k, i)
            factor = load_line(kind, weight, 0) / total
            for i in range(0, pieces.shape[1], NARROW):
                store(pieces, k, i, load(kind, pieces, k, i) * factor)


@row
def add_piece(kind, pieces, k, reached, g, i, first, last, place, value):
    """Add pieces[k, i:], one vector of input k's weights, times the value of each of its events to reached[g]."""
    sent = load(kind, pieces, k, i)
    for e in range(first, last):
        t = np.intp(place[e]) * NARROW + i
        part = spread(kind, value[e]) * sent if value.size else sent
        store(reached, g, t, load(kind, reached, g, t) + part)


@inner
def spread_events(starts, g, inputs, count, place, value, pieces, reached):
    """Add to the sums reached[g] the weights `pieces` of the events of inputs [inputs, inputs + count)."""
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
    own = min(NARROW, source.shape[1] - i, target.shape[1] - m)
    if own == NARROW:
        store(target, q, m, load(narrow(source), source, r, i))
    else:
        for j in range(own):
            target[q, m + j] = source[r, i + j]


@entry
def delay(events, synapses, begin, out, low, high):
    """Write the currents out [T B, F] of neurons [16 low, 16 high): bias `begin`, of whole vectors, plus events."""
    steps, batch, (_, inputs, lags) = events.steps, events.batch, synapses.by_lag.shape
    length = steps + lags - 1  # steps of a sample, and what arrives behind them
    near = max(1, NEAR_BYTES // (lags * NARROW * out.itemsize))
    groups = (batch + GROUP - 1) // GROUP
    starts = np.empty((groups, inputs + 1), np.int64)
    place, value = np.empty(events.index.size, np.int32), np.empty_like(events.value)
    sort_by_input(events, GROUP, length, starts, place, value)
    pieces, weight, own_delay = (
        np.zeros((near, lags * NARROW), out.dtype),
        np.zeros(NARROW, out.dtype),
        np.zeros(NARROW, out.dtype),
    )
    reached = np.empty((groups, GROUP * length * NARROW), out.dtype)
    for m in range(low * NARROW, min(high * NARROW, out.shape[1]), NARROW):
        bias = load_line(narrow(out), begin, m)
        for g in range(groups):
            for i in range(0, reached.shape[1], NARROW):
                store(reached, g, i, bias)
        for first in range(0, inputs, near):
            count = min(near, inputs - first)
            fill(synapses, m, first, count, weight, own_delay, pieces)
            for g in range(groups):
                spread_events(starts, g, first, count, place, value, pieces, reached)
        for r in range(out.shape[0]):
            t, b = r // batch, r % batch
            move_sixteen(reached, b // GROUP, (b % GROUP * length + t) * NARROW, out, r, m)


@inner_backward
def gather_back(starts, g, place, value, adjoint, pieces):
    """Add to pieces[k] the adjoints of all lags after each event of input k, times its value, for all inputs k.

    The events of group g, input k begin at starts[g, k]; event e reaches `adjoint` from row place[e] on.
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
def read(synapses, pieces, m, weight, delay, bell, out):
    """Write to `out`, from gradients of all lags `pieces` [K, L 16], those of neurons [m, m + 16)."""
    lags, kind = synapses.by_lag.shape[2], narrow(pieces)
    for k in range(pieces.shape[0]):
        for j in range(min(NARROW, out.by_lag.shape[0] - m)):
            for lag in range(lags):
                out.by_lag[m + j, k, lag] = pieces[k, lag * NARROW + j]
        if out.by_lag.shape[0] == 0:
            bells(synapses, m, k, weight, delay, bell, 0)
            total, sent, moved = kind, kind, kind
            for lag in range(lags):
                share = load(kind, bell, 0, lag * NARROW)
                total, sent = total + share, sent + share * load(kind, pieces, k, lag * NARROW)
            sent, own_delay = sent / total, load_line(kind, delay, 0)
            for lag in range(lags):
                centred = load(kind, pieces, k, lag * NARROW) - sent  # its mean is 0: what is subtracted stays small
                moved = moved + load(kind, bell, 0, lag * NARROW) * centred * (spread(kind, lag) - own_delay)
            square = spread(kind, synapses.narrowness * synapses.narrowness)
            store_line(delay, 0, load_line(kind, weight, 0) * moved / total * square)
            store_line(weight, 0, sent)
            for j in range(min(NARROW, out.weight.shape[0] - m)):
                out.weight[m + j, k], out.delay[m + j, k] = weight[j], delay[j]


@entry_backward
def pull_back(events, synapses, gradient, out, low, high):
    """Write to `out` the gradients of the synapses of neurons [16 low, 16 high).

    `gradient` [T B, F] is that of the currents.
    """
    batch, (_, inputs, lags) = events.batch, synapses.by_lag.shape
    length = events.steps + lags - 1  # steps of a sample and the zeros behind them
    at_once = min(batch, max(1, NEAR_BYTES // (length * NARROW * gradient.itemsize)))
    starts = np.empty(((batch + at_once - 1) // at_once, inputs + 1), np.int64)
    place, value = np.empty(events.index.size, np.int32), np.empty_like(events.value)
    sort_by_input(events, at_once, length, starts, place, value)
    adjoint, bell = (np.zeros((at_once * length, NARROW), gradient.dtype), np.empty((1, lags * NARROW), gradient.dtype))
    pieces, weight, delay = (
        np.empty((inputs, lags * NARROW), gradient.dtype),
        np.zeros(NARROW, gradient.dtype),
        np.zeros(NARROW, gradient.dtype),
    )
    for m in range(low * NARROW, min(high * NARROW, gradient.shape[1]), NARROW):
        pieces[:] = 0
        for g in range(starts.shape[0]):
            for t in range(events.steps):
                for b in range(g * at_once, min((g + 1) * at_once, batch)):
                    move_sixteen(gradient, t * batch + b, m, adjoint, (b - g * at_once) * length + t, 0)
            gather_back(starts, g, place, value, adjoint, pieces)
        read(synapses, pieces, m, weight, delay, bell, out)
