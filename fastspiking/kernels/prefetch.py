"""Prefetching of rows: arrays over time are read or written once, in memory far from the core."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastspiking.kernels.codes import row, row_of_written

AHEAD = 4  # rows between the one that is prefetched and the one in work
LINE_BYTES = 64
NEAREST, DATA = 3, 1  # arguments of LLVM's prefetch: into all cache levels, and data rather than instructions


def _asking(write: int) -> Any:
    """Return a function of (rows, row, column), for loops, that prefetches that entry to write (1) or to read (0)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # The address of the entry, row * width + column behind the array's begin, and a call of LLVM's prefetch.
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        _, width = cgutils.unpack_tuple(builder, array.shape)
        place = builder.add(builder.mul(arguments[1], width), arguments[2])
        pointer = builder.bitcast(builder.gep(array.data, [place]), ir.IntType(8).as_pointer())
        whole = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, whole, whole, whole])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(ask, [pointer, whole(write), whole(NEAREST), whole(DATA)])
        return context.get_dummy_value()

    def ask(_typing: Any, rows: Any, _row: Any, _column: Any) -> Any:
        return types.void(rows, types.intp, types.intp), generate

    return intrinsic(ask)


ask_to_read: Any = _asking(0)
ask_to_write: Any = _asking(1)


@row
def row_ahead(rows, r, low, high, b, turn):
    """Return the row that a loop works on AHEAD rows after row r, of sample b in a block [low, high) of samples.

    `rows` is an array over time; `turn` is the number of its rows per step, negative if the loop goes backward.
    """
    place = r + AHEAD
    if b + AHEAD >= high:
        place += turn - (high - low)
    return min(max(place, 0), rows.shape[0] - 1)


@row_of_written
def ask_row_to_read(rows, r, low, high, b, turn):
    place = row_ahead(rows, r, low, high, b, turn)
    for m in range(0, rows.shape[1], LINE_BYTES // rows.itemsize):
        ask_to_read(rows, place, m)


@row_of_written
def ask_row_to_write(rows, r, low, high, b, turn):
    place = row_ahead(rows, r, low, high, b, turn)
    for m in range(0, rows.shape[1], LINE_BYTES // rows.itemsize):
        ask_to_write(rows, place, m)
