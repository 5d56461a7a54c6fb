"""Sums of weights over events, and spikes packed to bits and back.

Events of row r are index[indptr[r]:indptr[r + 1]], with as many values; `value` of size 0 means ones.
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from fastspiking.kernels.codes import WORD, loop, row
from fastspiking.kernels.vectors import NARROW, WIDE, bits_above, load, narrow, spread, store, wide


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
    for k in range(inputs, 0, -1):
        new_indptr[k] = new_indptr[k - 1]
    new_indptr[0] = 0


@loop
def count_rows(x, indptr, low, high):
    """Set indptr[r + 1] to the number of entries of x[r] that are not 0, for r in [low, high)."""
    for r in range(low, high):
        count = 0
        for k in range(x.shape[1]):
            count += x[r, k] != 0
        indptr[r + 1] = count


@loop
def list_rows(x, indptr, index, value, low, high):
    """Write positions and sizes of the entries of x[r] that are not 0 from indptr[r] on, for r in [low, high)."""
    for r in range(low, high):
        place = indptr[r]
        for k in range(x.shape[1]):
            if x[r, k] != 0:
                index[place], value[place] = k, x[r, k]
                place += 1


@row
def unpack_row(words, r, index, place):
    """Write the positions of the set bits of words[r] from index[place] on; return the place behind the last."""
    for block in range(words.shape[1]):
        word = words[r, block]
        while word:
            index[place] = block * WORD + np.int64(trailing_zeros(word))  # pyright: ignore[reportCallIssue] - of numba's own code
            place += 1
            word &= word - np.uint64(1)
    return place


@loop
def count_bits(words, indptr):
    """Set indptr [R + 1] to the numbers of set bits in the rows of words [R, blocks of 64] before each row."""
    indptr[0] = 0
    for r in range(words.shape[0]):
        count = 0
        for block in range(words.shape[1]):
            word = words[r, block]
            while word:
                count += 1
                word &= word - np.uint64(1)
        indptr[r + 1] = indptr[r] + count


@loop
def unpack(words, indptr, index):
    """Write the positions of the set bits of each row r of words [R, blocks of 64] from index[indptr[r]] on."""
    for r in range(words.shape[0]):
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
