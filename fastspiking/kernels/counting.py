"""Counts of events and of the synapses that they reach, row by row; row t * B + b is step t of sample b."""

import numpy as np

from fastspiking.kernels.bins import count_ones
from fastspiking.kernels.codes import WORD, loop, row


@row
def store_count(count, t, b, rows, of_samples):
    """Store the number of events of one step and sample, and add it to the sample's; return whether it is not 0."""
    rows[t, b] = count
    of_samples[b] += count
    return count > 0


@loop
def count_rows(signal, lengths, rows, of_samples):
    """Count the non-zero entries of signal [T B, N] in the first lengths[b] steps of each sample b.

    Counts are written to rows [T, B], and added to of_samples [B]. Returns the total, and how many rows have any.
    """
    total = filled = 0
    for t in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            count = np.int32(0)
            if t < lengths[b]:
                r = t * rows.shape[1] + b
                for n in range(signal.shape[1]):  # no branch, so that it is done by vectors
                    count += np.int32(signal[r, n] != 0)
            filled += store_count(count, t, b, rows, of_samples)
            total += count
    return total, filled


@loop
def count_packed(indptr, lengths, rows, of_samples):
    """Count packed events, as indptr [T B + 1] delimits them, in the first lengths[b] steps of each sample b.

    Counts are written to rows [T, B], and added to of_samples [B]. Returns the total, and how many rows have any.
    """
    total = filled = 0
    for t in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            r = t * rows.shape[1] + b
            count = indptr[r + 1] - indptr[r] if t < lengths[b] else 0
            filled += store_count(count, t, b, rows, of_samples)
            total += count
    return total, filled


@row
def mark_targets(place, fan, masks, first, last, words, r):
    """Mark in words[r] the target pixels of an event at pixel `place`; return its number of synapses, fan[place].

    The target pixels are the set bits of masks[place], which lie in the words [first[place], last[place]).
    """
    for w in range(first[place], last[place]):
        words[r, w] |= masks[place, w]
    return fan[place]


@row
def count_set(words, r):
    count = 0
    for w in range(words.shape[1]):
        count += count_ones(words[r, w])
    return count


@loop
def spread_events(indptr, index, fan, masks, first, last, operations, words, counts):
    """Count for each row of packed events the synapses that they reach, and the distinct pixels.

    An event in any channel at a pixel p reaches fan[p] synapses, and the target pixels of masks[p]. `first` and `last`
    are those of `mark_targets`. Synapses are written to `operations`, numbers of distinct pixels to `counts`. `words`
    takes the pixels as bits, and is 0 at first.
    """
    places = fan.size
    for r in range(operations.size):
        total = 0
        for e in range(indptr[r], indptr[r + 1]):
            total += mark_targets(index[e] % places, fan, masks, first, last, words, r)
        operations[r] = total
        counts[r] = count_set(words, r)


@loop
def spread_dense(signal, fan, masks, first, last, operations, words, counts):
    """Count what `spread_events` counts, for dense images signal [R, channels, pixels], skipping silent parts."""
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
                            total += mark_targets(p, fan, masks, first, last, words, r)
        operations[r] = total
        counts[r] = count_set(words, r)


@loop
def spread_small(signal, fan, masks, operations, words, counts):
    """Count what `spread_dense` counts if all target pixels fit one word of 64 bits, without a branch."""
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
