"""Sums of weights over events, and spikes packed to bits and back.

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
