"""Sums of weights over events, spikes packed to bits and back, and counts of events and of synapses they reach.

Events of row r are index[indptr[r]:indptr[r + 1]], with as many values; `value` of size 0 means ones.
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from fastspiking.kernels.codes import WORD, loop, row
from fastspiking.kernels.vectors import (
    NARROW,
    WIDE,
    bits_above,
    bits_differing,
    count_ones,
    load,
    load_part,
    narrow,
    spread,
    store,
    wide,
)


@row
def sum_rows(total, rows, m, index, value, first, last):
    """Return the vector total + sum of value[e] * rows[index[e], m:] over the events e in [first, last).

    The sum is rounded after each event; `value` of size 0 means ones.
    """
    if value.size:
        for e in range(first, last):
            total = total + spread(total, value[e]) * load(total, rows, np.intp(index[e]), m)
    else:
        for e in range(first, last):
            total = total + load(total, rows, np.intp(index[e]), m)
    return total


@row
def add_rows(out, o, rows, index, value, first, last):
    """Add value[e] * rows[index[e]] to out[o] for the events e in [first, last); `value` of size 0 means ones.

    Columns are added in vectors of `WIDE` entries, then of `NARROW` ones, then one by one. `wide(out)` and
    `narrow(out)` are vectors of zeros, which tell `load` how many entries to read.
    """
    size, m = out.shape[1], 0
    while m + WIDE <= size:
        store(out, o, m, sum_rows(load(wide(out), out, o, m), rows, m, index, value, first, last))
        m += WIDE
    while m + NARROW <= size:
        store(out, o, m, sum_rows(load(narrow(out), out, o, m), rows, m, index, value, first, last))
        m += NARROW
    if m < size:
        for e in range(first, last):
            a, p = np.intp(index[e]), value[e] if value.size else out.dtype.type(1)
            for k in range(m, size):
                out[o, k] += p * rows[a, k]


@loop
def gather(indptr, index, value, rows, begin, out, low, high):
    """Set out[r] to begin + sum of value[e] * rows[index[e]] over the events of row r, for r in [low, high).

    Where `begin` [M] has size 0 the sum is added to out [R, M] as it is.
    """
    for r in range(low, high):
        if begin.size:
            for m in range(out.shape[1]):
                out[r, m] = begin[m]
        add_rows(out, r, rows, index, value, indptr[r], indptr[r + 1])


@loop
def transpose(indptr, index, value, new_indptr, new_index, new_value):
    """Sort events by input, those of one input by row, ascending: the transpose of a sparse matrix in CSR form.

    The arrays named `new_` take the result; value and new_value of size 0 mean ones.
    """
    inputs = new_indptr.size - 1
    rows = indptr.size - 1
    new_indptr[:] = 0
    for e in range(indptr[0], indptr[rows]):
        new_indptr[index[e] + 1] += 1
    for k in range(inputs):
        new_indptr[k + 1] += new_indptr[k]
    for r in range(rows):
        for e in range(indptr[r], indptr[r + 1]):
            place = new_indptr[index[e]]
            new_index[place] = r
            if value.size:
                new_value[place] = value[e]
            new_indptr[index[e]] += 1
    for k in range(inputs, 0, -1):  # each entry has moved to the end of its input's events
        new_indptr[k] = new_indptr[k - 1]
    new_indptr[0] = 0


@row
def nonzero_lanes(vector):
    """Return two words of bits: the entries of a vector that are not 0, and those that are neither 0 nor 1."""
    one = spread(vector, 1.0)
    nonzero = bits_differing(vector, one - one)
    return nonzero, nonzero & bits_differing(vector, one)


@loop
def find_entries(x, words, indptr, others, low, high):
    """Set bits of words[r] where x[r] is not 0, and indptr[r + 1] to their number, for r in [low, high).

    others[r] is set to whether an entry of x[r] is neither 0 nor 1.
    """
    size = x.shape[1]
    whole = size // WORD
    for r in range(low, high):
        count, other_bits = np.uint64(0), np.uint64(0)
        for block in range(whole):
            nonzero, other = nonzero_lanes(load(wide(x), x, r, block * WORD))
            words[r, block] = nonzero
            count, other_bits = count + count_ones(nonzero), other_bits | other
        word = np.uint64(0)
        for m in range(whole * WORD, size, NARROW):
            nonzero, other = nonzero_lanes(load_part(narrow(x), x, r, m, size - m))
            word, other_bits = word | nonzero << np.uint64(m - whole * WORD), other_bits | other
        if whole < words.shape[1]:
            words[r, whole] = word
        indptr[r + 1], others[r] = count + count_ones(word), other_bits != 0


@loop
def list_values(x, indptr, index, value, low, high):
    """Set value[e] to the entry of x[r] that event e names, for all events of the rows r in [low, high)."""
    for r in range(low, high):
        for e in range(indptr[r], indptr[r + 1]):
            value[e] = x[r, np.intp(index[e])]


@row
def unpack_row(words, r, index, place):
    """Write the positions of the set bits of words[r] from index[place] on; return the place behind the last."""
    for block in range(words.shape[1]):
        word = words[r, block]
        while word:
            index[place] = block * WORD + np.int64(trailing_zeros(word))  # pyright: ignore[reportCallIssue] - of numba's own code
            place += 1
            word &= word - np.uint64(1)  # clears the lowest set bit
    return place


@row
def active_inputs(arriving, r, names):
    """Return (first, last): the inputs that are active in row r are those listed at positions [first, last).

    Packed spikes are unpacked to `names`, from position 0 on; events stand in arriving.index, an `InputCurrent`'s.
    """
    if arriving.words.size:
        return 0, unpack_row(arriving.words, r, names, 0)
    return arriving.indptr[r], arriving.indptr[r + 1]


@loop
def count_bits(words, indptr):
    """Set indptr [R + 1] to the numbers of set bits in the rows of words [R, blocks of 64] before each row."""
    indptr[0] = 0
    for r in range(words.shape[0]):
        count = np.uint64(0)
        for block in range(words.shape[1]):
            count += count_ones(words[r, block])
        indptr[r + 1] = indptr[r] + np.int64(count)


@loop
def unpack(words, indptr, index, low, high):
    """Write the positions of the set bits of words[r] from index[indptr[r]] on, for the rows r in [low, high)."""
    for r in range(low, high):
        unpack_row(words, r, index, indptr[r])


@row
def write_bits(x, r, words, q):
    """Set bit m of words[q] where x[r, m] > 0; entries that do not fill a word of 64 are compared one by one.

    `wide(x)` is a vector of 64 zeros, which tells `load` that 64 entries of x are read as one vector.
    """
    size = x.shape[1]
    whole = size // WORD
    for block in range(whole):
        words[q, block] = bits_above(load(wide(x), x, r, block * WORD))
    if whole < words.shape[1]:
        first = whole * WORD
        word = np.uint64(0)
        for m in range(first, size):
            word |= np.uint64(x[r, m] > 0) << np.uint64(m - first)
        words[q, whole] = word


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
    """Count the bits that are set in row r of words."""
    count = 0
    for w in range(words.shape[1]):
        count += np.int64(count_ones(words[r, w]))
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
