"""Spikes to bits: a comparison of vectors in place of a shift for each neuron."""

from __future__ import annotations

import numpy as np

from sgbench.engine.kernels.codes import WORD, row
from sgbench.engine.kernels.vectors import bits_above, load, wide


@row
def write_bits(x, r, words, q):
    """Write one bit for each x[r] > 0 into words[q], the rest of the last word by single comparisons."""
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
