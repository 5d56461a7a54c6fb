"""Spikes to bits, sixteen at a time: one comparison of vectors in place of sixteen shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sgbench.engine.kernels.codes import WORD, row

LANES = 16  # values that are compared together


def _above(_typing: Any, rows: Any, _row: Any, _column: Any) -> Any:
    """Compute sixteen bits, the lowest first, that say whether rows[row, column + i] > 0 in row-major rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        array = context.make_array(kind)(context, builder, arguments[0])
        _, width = cgutils.unpack_tuple(builder, array.shape)
        place = builder.add(builder.mul(arguments[1], width), arguments[2])
        number = context.get_value_type(kind.dtype)
        vector = ir.VectorType(number, LANES)
        pointer = builder.bitcast(builder.gep(array.data, [place]), vector.as_pointer())
        values = builder.load(pointer)
        values.align = kind.dtype.bitwidth // 8
        zero = ir.Constant(vector, [0.0] * LANES)
        bits = builder.bitcast(builder.fcmp_ordered(">", values, zero), ir.IntType(LANES))
        return builder.zext(bits, ir.IntType(WORD))

    return types.uint64(rows, types.intp, types.intp), generate


above: Any = intrinsic(_above)


@row
def write_bits(x, r, words, q):
    """Write one bit for each x[r] > 0 into words[q], the rest of the last word by single comparisons."""
    size = x.shape[1]
    whole = size // WORD
    for block in range(whole):
        first = block * WORD
        words[q, block] = (above(x, r, first) | (above(x, r, first + 16) << np.uint64(16))) | (
            (above(x, r, first + 32) << np.uint64(32)) | (above(x, r, first + 48) << np.uint64(48))
        )
    if whole < words.shape[1]:
        first = whole * WORD
        word = np.uint64(0)
        for m in range(first, size):
            word |= np.uint64(x[r, m] > 0) << np.uint64(m - first)
        words[q, whole] = word
