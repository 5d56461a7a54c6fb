"""A numba type for vectors of 16, 32 or 64 floats with functions for loops, and prefetching of rows.

A sum over rows then stays in registers from the first row to the last. No loop over a short row checks again how
long it is and whether its arrays overlap. The argument `kind` of a function is a vector that is used for its
type alone, so that one function serves all widths. Only functions named `_part` check the end of a row.

Arrays over time are read or written once, in memory far from the core: their rows are prefetched.
"""

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

from fastspiking.kernels.codes import row, row_of_written

WIDE, HALF, NARROW = 64, 32, 16  # lanes; a word has 64 bits, and padded rows are multiples of 16


class Vector(types.Type):
    """Declares numba's type of a vector of `lanes` floats of type `number`."""

    def __init__(self, number: types.Type, lanes: int) -> None:
        self.number = number
        self.lanes = lanes
        super().__init__(f"vector of {lanes} {number}")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """Stores a vector as a vector of LLVM."""

    def __init__(self, manager: Any, kind: Vector) -> None:
        entry = ir.FloatType() if kind.number == types.float32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(entry, kind.lanes))


def in_loops(code: Callable[..., Any]) -> Any:
    """Turn a function that generates LLVM code into one that compiled loops can call."""
    return intrinsic(code)


def _register(symbol: Callable[..., Any], instruction: str) -> None:
    """Compile a Python operator on two vectors of one type to an LLVM instruction, such as `fadd`."""

    class Typed(AbstractTemplate):
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Vector) and args[0] == args[1]:  # noqa: PLR2004
                return signature(args[0], *args)
            return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)

    infer_global(symbol)(Typed)  # pyright: ignore[reportOptionalCall] - without a type it returns a decorator
    lower_builtin(symbol, Vector, Vector)(generate)


for _symbol, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _register(_symbol, _instruction)


def _zeros(lanes: int) -> Any:
    """Return a function for loops that makes a vector of zeros, of so many lanes and of an array's float type."""

    def zeros(_typing: Any, array: Any) -> Any:
        kind = Vector(array.dtype, lanes)

        def generate(context: Any, _builder: Any, _signature: Any, _arguments: Any) -> Any:
            return ir.Constant(context.get_value_type(kind), [0.0] * lanes)

        return kind(array), generate

    return in_loops(zeros)


wide: Any = _zeros(WIDE)
half: Any = _zeros(HALF)
narrow: Any = _zeros(NARROW)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, place: Any, vector: Any) -> Any:
    """Return the LLVM pointer to a vector in an array: at [index] of a line, or at [row, column] of a matrix."""
    made = context.make_array(kind)(context, builder, array)
    if len(place) > 1:
        _, width = cgutils.unpack_tuple(builder, made.shape)
        place = [builder.add(builder.mul(place[0], width), place[1])]
    return builder.bitcast(builder.gep(made.data, place), context.get_value_type(vector).as_pointer())


@in_loops
def load(_typing: Any, kind: Any, rows: Any, row: Any, column: Any) -> Any:
    """Read a vector of the type of `kind` from rows[row, column] on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, array, *_ = signature.args
        value = builder.load(_pointer(context, builder, array, arguments[1], arguments[2:], vector))
        value.align = array.dtype.bitwidth // 8
        return value

    return kind(kind, rows, types.intp, types.intp), generate


@in_loops
def load_line(_typing: Any, kind: Any, line: Any, place: Any) -> Any:
    """Read a vector of the type of `kind` from line[place] on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, array, _ = signature.args
        value = builder.load(_pointer(context, builder, array, arguments[1], arguments[2:], vector))
        value.align = array.dtype.bitwidth // 8
        return value

    return kind(kind, line, types.intp), generate


def _write(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Store a vector in an array at the given indices; the array may be aligned to its numbers alone."""
    array, vector = signature.args[0], signature.args[-1]
    pointer = _pointer(context, builder, array, arguments[0], arguments[1:-1], vector)
    builder.store(arguments[-1], pointer).align = array.dtype.bitwidth // 8
    return context.get_dummy_value()


def _mask(builder: Any, vector: Any, count: Any) -> Any:
    """Return a vector of truths: whether each lane is one of the first `count`."""
    whole = ir.VectorType(count.type, vector.count)
    lanes = ir.Constant(whole, list(range(vector.count)))
    return builder.icmp_signed("<", lanes, _spread(builder, count, whole))


def _masked(builder: Any, name: str, vector: Any, result: Any, arguments: Any) -> Any:
    """Call LLVM's masked load or store, which touches no memory behind the end of a row."""
    entry = "f32" if isinstance(vector.element, ir.FloatType) else "f64"
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    symbol = f"llvm.masked.{name}.v{vector.count}{entry}.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, symbol), arguments)


@in_loops
def load_part(_typing: Any, kind: Any, rows: Any, row: Any, column: Any, count: Any) -> Any:
    """Read a vector's first `count` entries from rows[row, column] on; the others are taken from `kind`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, array, *_ = signature.args
        pointer = _pointer(context, builder, array, arguments[1], arguments[2:4], vector)
        value = context.get_value_type(vector)
        align = ir.IntType(32)(array.dtype.bitwidth // 8)
        mask = _mask(builder, value, arguments[4])
        return _masked(builder, "load", value, value, [pointer, align, mask, arguments[0]])

    return kind(kind, rows, types.intp, types.intp, types.intp), generate


@in_loops
def store_part(_typing: Any, rows: Any, row: Any, column: Any, count: Any, vector: Any) -> Any:
    """Write a vector's first `count` entries to rows[row, column] and the following columns."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, kind = signature.args[0], signature.args[-1]
        pointer = _pointer(context, builder, array, arguments[0], arguments[1:3], kind)
        align = ir.IntType(32)(array.dtype.bitwidth // 8)
        mask = _mask(builder, context.get_value_type(kind), arguments[3])
        _masked(builder, "store", arguments[4].type, ir.VoidType(), [arguments[4], pointer, align, mask])
        return context.get_dummy_value()

    return types.void(rows, types.intp, types.intp, types.intp, vector), generate


@in_loops
def store(_typing: Any, rows: Any, row: Any, column: Any, vector: Any) -> Any:
    """Write a vector to rows[row, column] and the following columns."""
    return types.void(rows, types.intp, types.intp, vector), _write


@in_loops
def store_line(_typing: Any, line: Any, place: Any, vector: Any) -> Any:
    """Write a vector to line[place] and the following places."""
    return types.void(line, types.intp, vector), _write


def _spread(builder: Any, number: Any, vector: Any) -> Any:
    """Fill all lanes of a vector with one number."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, first, mask)


@in_loops
def spread(_typing: Any, kind: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, given = signature.args
        entry = context.cast(builder, arguments[1], given, vector.number)
        return _spread(builder, entry, context.get_value_type(vector))

    return kind(kind, number), generate


@in_loops
def where_above(_typing: Any, left: Any, right: Any, chosen: Any, other: Any) -> Any:
    """Return a vector with the entries of `chosen` where left > right, and of `other` elsewhere."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments[:2]), *arguments[2:])

    return chosen(left, right, chosen, other), generate


@in_loops
def where_larger(_typing: Any, left: Any, right: Any, chosen: Any, other: Any) -> Any:
    """Return a vector with the entries of `chosen` where left > right or left is NaN, and of `other` elsewhere."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        left = arguments[0]
        larger = builder.or_(builder.fcmp_ordered(">", *arguments[:2]), builder.fcmp_unordered("uno", left, left))
        return builder.select(larger, *arguments[2:])

    return chosen(left, right, chosen, other), generate


def _bits(builder: Any, kind: Vector, flags: Any) -> Any:
    """Pack a vector of truths to a word of 64 bits."""
    bits = builder.bitcast(flags, ir.IntType(kind.lanes))
    return bits if kind.lanes == WIDE else builder.zext(bits, ir.IntType(WIDE))


@in_loops
def bits_above(_typing: Any, vector: Any) -> Any:
    """Return a 64-bit word whose bit m is set where entry m of the vector is above 0."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (kind,) = signature.args
        zero = ir.Constant(context.get_value_type(kind), [0.0] * kind.lanes)
        return _bits(builder, kind, builder.fcmp_ordered(">", arguments[0], zero))

    return types.uint64(vector), generate


@in_loops
def bits_differing(_typing: Any, left: Any, right: Any) -> Any:
    """Return a 64-bit word whose bit m is set where entry m differs between two vectors."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _bits(builder, signature.args[0], builder.fcmp_unordered("!=", *arguments))

    return types.uint64(left, right), generate


@in_loops
def count_ones(_typing: Any, word: Any) -> Any:
    """Return the number of set bits of a 64-bit word."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(word), generate


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
    """Ask the processor to fetch a row that will be read `turn` turns later, a cache line at a time."""
    place = row_ahead(rows, r, low, high, b, turn)
    for m in range(0, rows.shape[1], LINE_BYTES // rows.itemsize):
        ask_to_read(rows, place, m)


@row_of_written
def ask_row_to_write(rows, r, low, high, b, turn):
    """Ask the processor to fetch a row that will be written `turn` turns later, a cache line at a time."""
    place = row_ahead(rows, r, low, high, b, turn)
    for m in range(0, rows.shape[1], LINE_BYTES // rows.itemsize):
        ask_to_write(rows, place, m)
