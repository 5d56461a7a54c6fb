"""What events reach, counted row by row."""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.bins import count_ones
from sgbench.engine.kernels.codes import WORD, loop, row


@row
def note(count, t, b, rows, of_samples):
    """Store the number of events in one step of one sample; return whether there are any."""
    rows[t, b] = count
    of_samples[b] += count
    return count > 0


@loop
def count_rows(signal, lengths, rows, of_samples):
    """Count the non-zero entries of signal[T B, N] within each sample; return how many, and in how many rows."""
    total = filled = 0
    for t in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            count = np.int32(0)
            if t < lengths[b]:
                r = t * rows.shape[1] + b
                for n in range(signal.shape[1]):  # no branch, so that it is done by vectors
                    count += np.int32(signal[r, n] != 0)
            filled += note(count, t, b, rows, of_samples)
            total += count
    return total, filled


@loop
def count_packed(indptr, lengths, rows, of_samples):
    """Count packed events within each sample; return how many, and in how many rows."""
    total = filled = 0
    for t in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            r = t * rows.shape[1] + b
            count = indptr[r + 1] - indptr[r] if t < lengths[b] else 0
            filled += note(count, t, b, rows, of_samples)
            total += count
    return total, filled


@row
def land(place, fan, masks, first, last, words, r):
    """Set the bits of the places that an event at `place` reaches; return its number of synapses."""
    for w in range(first[place], last[place]):
        words[r, w] |= masks[place, w]
    return fan[place]


@row
def count_set(words, r):
    """Count the set bits of row r."""
    count = 0
    for w in range(words.shape[1]):
        count += count_ones(words[r, w])
    return count


@loop
def spread_events(indptr, index, fan, masks, first, last, operations, words, counts):
    """Count the synapses that each row's events reach, and mark places as bits of `words`, which start as 0.

    An event in any channel at a place reaches fan[place] synapses, and the bits masks[place].
    """
    places = fan.size
    for r in range(operations.size):
        total = 0
        for e in range(indptr[r], indptr[r + 1]):
            total += land(index[e] % places, fan, masks, first, last, words, r)
        operations[r] = total
        counts[r] = count_set(words, r)


@loop
def spread_dense(signal, fan, masks, first, last, operations, words, counts):
    """Count as `spread_events` does for images signal[R, channels, places], skipping silent parts by vectors."""
    places = fan.size
    for r in range(signal.shape[0]):
        total = 0
        for c in range(signal.shape[1]):
            for begin in range(0, places, WORD):
                end = min(places, begin + WORD)
                some = np.int32(0)
                for p in range(begin, end):
                    some += np.int32(signal[r, c, p] != 0)
                if some:
                    for p in range(begin, end):
                        if signal[r, c, p] != 0:
                            total += land(p, fan, masks, first, last, words, r)
        operations[r] = total
        counts[r] = count_set(words, r)


@loop
def spread_small(signal, fan, masks, operations, words, counts):
    """Count what `spread_events` counts where all reached places fit one word, without a branch."""
    places = fan.size
    for r in range(signal.shape[0]):
        total, word = 0, np.uint64(0)
        for c in range(signal.shape[1]):
            for p in range(places):
                some = np.int64(signal[r, c, p] != 0)
                total += some * fan[p]
                word |= np.uint64(-some) & masks[p, 0]
        operations[r] = total
        words[r, 0] = word
        counts[r] = count_set(words, r)
