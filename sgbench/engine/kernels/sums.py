"""Sums on the way back: products with weights, and adjoints that are added to the rows of a gradient."""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.codes import loop_backward, row_backward
from sgbench.engine.kernels.vectors import NARROW, WIDE, load, narrow, spread, store, wide

TOGETHER = (
    8  # samples that are taken at a time; with recurrent weights all of a block, for which each is near once
)


@row_backward
def add_four_products(total, g, adjoints, first, pieces, begin, size, m):
    """Compute the columns of total[g] += adjoints[first] weights from m on, for four rows in a row.

    Their weights are `size` rows of `pieces` from `begin` on. The sums, a row of weights and a factor fit into the
    sixteen registers of a processor with AVX2.
    """
    kind = narrow(total)
    a, b = load(kind, total, g, m), load(kind, total, g + 1, m)
    c, d = load(kind, total, g + 2, m), load(kind, total, g + 3, m)
    for k in range(size):
        w = load(kind, pieces, begin + k, 0)
        a = a + spread(kind, adjoints[first, k]) * w
        b = b + spread(kind, adjoints[first + 1, k]) * w
        c = c + spread(kind, adjoints[first + 2, k]) * w
        d = d + spread(kind, adjoints[first + 3, k]) * w
    store(total, g, m, a)
    store(total, g + 1, m, b)
    store(total, g + 2, m, c)
    store(total, g + 3, m, d)


@row_backward
def add_one_product(total, g, adjoints, first, pieces, begin, size, m):
    """Compute what `add_four_products` does, for one row of those that are left."""
    kind = narrow(total)
    row = load(kind, total, g, m)
    for k in range(size):
        row = row + spread(kind, adjoints[first, k]) * load(kind, pieces, begin + k, 0)
    store(total, g, m, row)


@loop_backward
def add_products(total, group, adjoints, first, pieces):
    """Compute total[g] += adjoints[first + g] weights for `group` rows g, as a call that is not inlined.

    Weights lie in pieces of sixteen columns, one behind the other: each then fits into the nearest cache.
    """
    size, begin, fours = pieces.shape[0] // (total.shape[1] // NARROW), 0, group - group % 4
    for m in range(0, total.shape[1], NARROW):
        for g in range(0, fours, 4):
            add_four_products(total, g, adjoints, first + g, pieces, begin, size, m)
        for g in range(fours, group):
            add_one_product(total, g, adjoints, first + g, pieces, begin, size, m)
        begin += size


@row_backward
def add_to_rows(q, total, m, index, value, first, last):
    """Add value[e] q to the columns of total[index[e]] from m on, for events e in [first, last)."""
    if value.size:
        for e in range(first, last):
            k = np.intp(index[e])
            store(total, k, m, load(q, total, k, m) + spread(q, value[e]) * q)
    else:
        for e in range(first, last):
            k = np.intp(index[e])
            store(total, k, m, load(q, total, k, m) + q)


@row_backward
def scatter(out, o, index, value, first, last, total):
    """Add value[e] out[o] to total[index[e]] for events e in [first, last); no values means ones."""
    size, m = out.shape[1], 0
    while m + WIDE <= size:
        add_to_rows(load(wide(out), out, o, m), total, m, index, value, first, last)
        m += WIDE
    while m + NARROW <= size:
        add_to_rows(load(narrow(out), out, o, m), total, m, index, value, first, last)
        m += NARROW
    if m < size:
        for e in range(first, last):
            k, p = np.intp(index[e]), value[e] if value.size else out.dtype.type(1)
            for c in range(m, size):
                total[k, c] += p * out[o, c]


@loop_backward
def call_scatter(out, o, index, value, first, last, total):
    """Compute what `scatter` does, as a call that is not inlined."""
    scatter(out, o, index, value, first, last, total)


@row_backward
def gather_adjoints(total, group, reaching, first, place):
    """Set total[g] to what reaches the outputs of `group` samples from outside and from the next layer."""
    total[:] = total.dtype.type(0)
    if reaching.output.size:
        for g in range(group):
            for m in range(reaching.output.shape[1]):
                total[g, m] = reaching.output[first + g, m]
    if reaching.next_adjoint.size:
        if not reaching.next_weights.size:
            for g in range(group):
                for m in range(total.shape[1]):
                    total[g, m] += reaching.next_adjoint[place + g, m]
        else:
            add_products(total, group, reaching.next_adjoint, place, reaching.next_weights)


@loop_backward
def call_gather(total, group, reaching, first, place):
    """Compute what `gather_adjoints` does, as a call that is not inlined."""
    gather_adjoints(total, group, reaching, first, place)
