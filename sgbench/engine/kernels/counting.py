"""What events reach, counted row by row."""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.codes import WORD, loop, row


@loop
def count_rows(signal, counts):
    """counts[r] = entries of signal[r] that are not 0; no branch, so that it is done by vectors."""
    for r in range(signal.shape[0]):
        count = np.int32(0)
        for n in range(signal.shape[1]):
            count += np.int32(signal[r, n] != 0)
        counts[r] = count


@row
def land(place, fan, masks, first, last, words, r):
    """An event at `place` sets the bits of the places that it reaches; returns its synapses."""
    for w in range(first[place], last[place]):
        words[r, w] |= masks[place, w]
    return fan[place]


@row
def count_set(words, r):
    """Set bits of a row."""
    count = 0
    for w in range(words.shape[1]):
        word = words[r, w]
        while word:  # which LLVM makes one instruction of
            word &= word - np.uint64(1)
            count += 1
    return count


@loop
def spread_events(indptr, index, fan, masks, first, last, operations, words, counts):
    """Synapses that the events of each row reach, and places as bits of `words`, which start as 0.

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
    """The same of images signal[R, channels, places]; what is silent is passed over by vectors."""
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
    """The same where all reached places are bits of one word: no branch at all."""
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
