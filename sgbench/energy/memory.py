"""What accesses cost in a memory of a given size."""

from __future__ import annotations

import math
from itertools import pairwise

from sgbench.energy.interval import BoundedValue
from sgbench.errors import InputError
from sgbench.records.energy import MemoryPrice


def access_pj(price: MemoryPrice, size_bytes: float) -> BoundedValue:
    """Compute the energy of one access [pJ] to a memory of this size.

    Between two published sizes: from the smaller's to the larger's, the value on a straight line over the logarithm
    of the size. At or below the smallest: at most its cost, at least its cost in proportion to the size, which is
    how two implementations of one paper (Lemaire 2022) differ.

    Raises:
        InputError: the memory is larger than any with a price.

    >>> from sgbench.records.energy import MemoryPrice
    >>> sram = MemoryPrice(operations=("weight_read",), per="word64", scope="per_op", basis="simulated",
    ...     node_nm=45, voltage_v=0.9, source="an example", mark="memory",
    ...     sizes=({"size_bytes": 8192, "access_pj": 10}, {"size_bytes": 32768, "access_pj": 20}))
    >>> access_pj(sram, 16384), access_pj(sram, 4096)
    (BoundedValue(value=15.0, low=10.0, high=20.0), BoundedValue(value=10.0, low=5.0, high=10.0))
    """
    smallest, largest = price.sizes[0], price.sizes[-1]
    if size_bytes <= smallest.size_bytes:
        part = smallest.access_pj * size_bytes / smallest.size_bytes
        return BoundedValue(smallest.access_pj, part, smallest.access_pj)
    for a, b in pairwise(price.sizes):
        if size_bytes <= b.size_bytes:
            share = math.log(size_bytes / a.size_bytes) / math.log(b.size_bytes / a.size_bytes)
            value = a.access_pj + share * (b.access_pj - a.access_pj)
            return BoundedValue(value, a.access_pj, b.access_pj)
    raise InputError(
        f"a memory of {size_bytes:,.0f} bytes is larger than any with a price, {largest.size_bytes:,.0f}"
    )
