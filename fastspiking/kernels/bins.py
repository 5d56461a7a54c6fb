"""Loops that bin the spikes of many samples into time steps; the spikes of a sample are in the order of time.

Legend: T steps, B samples, N inputs. Results are packed events: those of step t of sample b are row r = t * B + b,
index[indptr[r]:indptr[r + 1]].
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from fastspiking.kernels.codes import WORD, loop, row
from fastspiking.kernels.vectors import count_ones

STRIDE = 8  # spikes that are skipped at a time
TOGETHER = 16  # positions that are copied at a time
AT_ONCE = 12  # positions that are written at a time; most words have fewer where a tenth of all inputs spikes


@loop
def find_steps(time_us, indptr, edge_us, first):
    """Set first[t, b] to the index of sample b's first spike at edge_us[t] or later.

    time_us[indptr[b]:indptr[b + 1]] are the spikes of sample b, ascending, as are the edges [T + 1].
    """
    for b in range(indptr.size - 1):
        low, end = indptr[b], indptr[b + 1]
        for t in range(edge_us.size):
            stride = 16  # the next edge is near: look ahead in growing strides, then halve the range [low, high]
            high = low
            while high < end and time_us[high] < edge_us[t]:
                low = high + 1
                high += stride
                stride *= 2
            high = min(high, end)
            while low < high:
                middle = (low + high) >> 1
                if time_us[middle] < edge_us[t]:
                    low = middle + 1
                else:
                    high = middle
            first[t, b] = low


@row
def fill_row(channel, start, stop, fold, words, index, place):
    """Write the distinct inputs of channel[start:stop], ascending, to index[place:]; return the next free place.

    fold[c] is the input of channel c; an empty `fold` means that channels are inputs. `words` uint64 [2, ceil(N /
    64)] is scratch memory, 0 before and after: neighbouring spikes set bits in different rows of it, so that
    neither waits for the other. `AT_ONCE` positions are written at a time, so `index` needs as many to spare.
    """
    for e in range(start, stop):
        c = fold[channel[e]] if fold.size else channel[e]
        words[e & 1, c >> 6] |= np.uint64(1) << np.uint64(c & 63)
    for block in range(words.shape[1]):
        word = words[0, block] | words[1, block]
        words[0, block] = 0
        words[1, block] = 0
        end = place + np.int64(count_ones(word))
        put = place
        while put < end:
            for _ in range(AT_ONCE):  # surplus positions are overwritten by the next word
                index[put] = block * WORD + np.int64(trailing_zeros(word))  # pyright: ignore[reportCallIssue] - of numba's own code
                word &= word - np.uint64(1)
                put += 1
        place = end
    return place


@loop
def fill_binary(channel, first, fold, words, indptr, index):
    """Fill `indptr` and `index` with the inputs that spike at least once in each row t * B + b, ascending.

    first[t, b] is the index of sample b's first spike in step t or later. `channel` [spikes], `fold` and `words` are
    as in `fill_row`.
    """
    place = 0
    batch = first.shape[1]
    indptr[0] = 0
    for t in range(first.shape[0] - 1):
        for b in range(batch):
            place = fill_row(channel, first[t, b], first[t + 1, b], fold, words, index, place)
            indptr[t * batch + b + 1] = place


@loop
def fill_counts(channel, first, fold, words, counts, indptr, index, value):
    """Fill rows as `fill_binary` does, and write to `value` how often each input spikes.

    `counts` [N] and `words` [ceil(N / 64)] are scratch memory, 0 before and after.
    """
    place = 0
    batch = first.shape[1]
    indptr[0] = 0
    for t in range(first.shape[0] - 1):
        for b in range(batch):
            for e in range(first[t, b], first[t + 1, b]):
                c = fold[channel[e]] if fold.size else channel[e]
                counts[c] += 1
                words[c >> 6] |= np.uint64(1) << np.uint64(c & 63)
            for block in range(words.size):
                word = words[block]
                words[block] = 0
                while word:
                    c = block * WORD + np.int64(trailing_zeros(word))  # pyright: ignore[reportCallIssue] - of numba's own code
                    index[place] = c
                    value[place] = counts[c]
                    counts[c] = 0
                    place += 1
                    word &= word - np.uint64(1)
            indptr[t * batch + b + 1] = place


@loop
def fill_sample(channel, time_us, edge_us, fold, words, index, place, counts, b, channels):
    """Write the inputs of sample b that spike, step by step, from index[place] on; return the next free place.

    `channel` and `time_us` hold the spikes of sample b alone. They are read during the call and never kept, so
    their memory may be reused. Step t ends before edge_us[t + 1]. Its inputs ascend, and counts[t, b] is set to
    their number. `fold`, `words` and the length of `index` are those of `fill_row`. Returns -1, with nothing
    written, where a channel lies outside of 0..channels - 1.
    """
    outside = False
    for e in range(channel.size):
        outside |= (channel[e] < 0) | (channel[e] >= channels)
    if outside:
        return -1
    e, size = 0, time_us.size
    for t in range(counts.shape[0]):
        start, first, end_us = place, e, edge_us[t + 1]
        while e + STRIDE <= size and time_us[e + STRIDE - 1] < end_us:
            e += STRIDE
        while e < size and time_us[e] < end_us:
            e += 1
        place = fill_row(channel, first, e, fold, words, index, place)
        counts[t, b] = place - start
    return place


@loop
def by_steps(rows, counts, begin, indptr, out):
    """Copy entries that are stored sample after sample into rows t * B + b of `out`, and write their `indptr`.

    counts[t, b] is the number of entries of step t of sample b. Sample b's entries start at rows[begin[b]]; `begin`
    is advanced. Both arrays need `TOGETHER` entries to spare.
    """
    steps, batch = counts.shape
    place = 0
    indptr[0] = 0
    for t in range(steps):
        for b in range(batch):
            first, end = begin[b], place + counts[t, b]
            put = place
            while put < end:  # a whole vector at a time; surplus entries are overwritten, or never read
                for k in range(TOGETHER):
                    out[put + k] = rows[first + k]
                put += TOGETHER
                first += TOGETHER
            begin[b] += counts[t, b]
            place = end
            indptr[t * batch + b + 1] = place


@loop
def pack_steps(step, fires, places, indptr, index):
    """Fill row t * B + b with the channels m, ascending, that fire with step[b, m] = t; return how many in all.

    Channels without fires[b, m], and steps outside of 0..T - 1, are left out. `places` [T * B] is scratch memory,
    0 at first.
    """
    batch = step.shape[0]
    steps = places.size // batch
    for b in range(batch):
        for m in range(step.shape[1]):
            when = step[b, m]
            if fires[b, m] and when >= 0 and when < steps:
                places[np.intp(when) * batch + b] += 1
    total = 0
    for r in range(places.size):
        count = places[r]
        places[r] = total
        indptr[r] = total
        total += count
    indptr[places.size] = total
    for b in range(batch):
        for m in range(step.shape[1]):
            when = step[b, m]
            if fires[b, m] and when >= 0 and when < steps:
                r = np.intp(when) * batch + b
                index[places[r]] = m
                places[r] += 1
    return total
