"""Vectors in compiled loops against NumPy, number by number."""

import ast
import re

import numba
import numpy as np
import pytest

from fastspiking.kernels import vectors
from fastspiking.kernels.codes import entry, loop
from fastspiking.kernels.disk_cache import ROOM
from tests.rooms import PACKAGE, syntax

WIDTHS = {"wide": vectors.WIDE, "narrow": vectors.NARROW}
NUMBERS = [np.float32, np.float64]
every = pytest.mark.parametrize("number", NUMBERS)


def rows(number: type, seed: int = 0) -> np.ndarray:
    """[3, 70], more than a wide vector and no multiple of either, with ties and both zeros."""
    drawn = np.random.Generator(np.random.PCG64(seed)).normal(size=(3, 70)).round(1).astype(number)
    drawn[:, :3] = [0.0, -0.0, 1.0]
    return drawn


@numba.njit
def sums(x, y, out):
    kind = vectors.wide(x)
    a, b = vectors.load(kind, x, 1, 2), vectors.load(kind, y, 2, 3)
    vectors.store(out, 0, 1, a + b)
    vectors.store(out, 1, 1, (a - b) * a)
    vectors.store(out, 2, 1, a / (vectors.spread(kind, 3.0) + b * b))


@numba.njit
def parts(x, out, count):
    kind = vectors.narrow(x)
    vectors.store_part(out, 1, 5, count, vectors.load_part(kind, x, 2, 60, count))


@numba.njit
def whole_of_part(x, out, count):
    vectors.store(out, 0, 0, vectors.load_part(vectors.narrow(x), x, 2, 60, count))


@numba.njit
def lines(line, out):
    kind = vectors.narrow(line)
    vectors.store_line(out, 1, vectors.load_line(kind, line, 2))


@numba.njit
def comparisons(x, y, out):
    kind = vectors.wide(x)
    a, b = vectors.load(kind, x, 0, 0), vectors.load(kind, y, 0, 0)
    vectors.store(out, 0, 0, vectors.where_above(a, b, a, b))
    short = vectors.load(vectors.narrow(x), x, 0, 0)
    other = vectors.load(vectors.narrow(x), y, 0, 0)
    return (
        vectors.bits_above(a),
        vectors.bits_above(short),
        vectors.bits_differing(a, b),
        vectors.bits_differing(short, other),
    )


@every
def test_sums_are_those_of_numpy_to_the_bit(number):
    x, y, out = rows(number), rows(number, 1), np.zeros((3, 70), number)
    sums(x, y, out)
    a, b = x[1, 2:66], y[2, 3:67]
    for row, expected in zip(out, (a + b, (a - b) * a, a / (number(3) + b * b)), strict=True):
        assert np.array_equal(row[1:65], expected)
        assert not row[0]
        assert not row[65:].any()


@every
@pytest.mark.parametrize("count", [0, 1, 10, 16, 40])
def test_a_part_neither_reads_nor_writes_behind_its_end(number, count):
    x, out = rows(number), np.full((3, 70), 7, number)
    parts(x, out, count)
    inside = min(count, vectors.NARROW)
    expected = np.full((3, 70), 7, number)
    taken = x.reshape(-1)[2 * 70 + 60 :][:inside]  # the last row ends after ten
    expected[1, 5 : 5 + min(inside, 10)] = taken[:10]
    assert np.array_equal(out[:, :15], expected[:, :15])
    assert (out[1, 5 + inside :] == 7).all()


@every
def test_what_is_missing_of_a_part_is_zero(number):
    x, out = rows(number), np.full((3, 70), 7, number)
    whole_of_part(x, out, 4)
    assert np.array_equal(out[0, :16], [*x[2, 60:64], *[0] * 12])


@every
def test_lines_are_read_and_written_from_a_place_on(number):
    line, out = rows(number)[0], np.zeros(70, number)
    lines(line, out)
    assert np.array_equal(out[1:17], line[2:18])
    assert not out[0]
    assert not out[17:].any()


@every
def test_comparisons_are_those_of_numpy(number):
    x, y = rows(number), rows(number, 1)
    x[0, 5] = np.nan
    y[0, 6] = np.nan
    out = np.zeros((3, 70), number)
    above, short_above, differing, short_differing = comparisons(x, y, out)
    a, b = x[0, :64], y[0, :64]
    assert np.array_equal(out[0, :64], np.where(a > b, a, b), equal_nan=True)

    def bits(flags: np.ndarray) -> int:
        return sum(1 << place for place, flag in enumerate(flags) if flag)

    assert (above, differing) == (bits(a > 0), bits(a != b))
    assert (short_above, short_differing) == (bits((a > 0)[:16]), bits((a != b)[:16]))


def test_kinds_do_not_mix():
    @numba.njit
    def mixed(x):
        return vectors.load(vectors.wide(x), x, 0, 0) + vectors.load(vectors.narrow(x), x, 0, 0)

    with pytest.raises(numba.TypingError):
        mixed(rows(np.float32))


def test_a_loop_that_creates_an_array_is_refused_and_an_entry_is_not():
    def may(count):
        return np.zeros(count).sum()

    def may_not(count):
        return np.zeros(count).sum()

    assert entry(may)(3) == 0
    with pytest.raises(numba.core.errors.NumbaError, match="returning of array"):
        loop(may_not)(3)


def python_calls(kinds: set[str]) -> set[str]:
    """Functions of the room of these kinds that a module outside of it names, by the room's module or its alias."""
    paths = (path for folder in (PACKAGE, ROOM.parent) for path in folder.rglob("*.py"))
    texts = (path.read_text() for path in paths if path.parent != ROOM)
    text = "\n".join(text for text in texts if "kernels" in text)  # others cannot name the room
    found = set()
    for path in ROOM.glob("*.py"):
        module = path.stem
        names = "|".join({module, *re.findall(rf"import {module} as (\w+)", text)})
        for node in ast.walk(syntax(path.read_text())):
            if not isinstance(node, ast.FunctionDef) or not {*map(ast.unparse, node.decorator_list)} & kinds:
                continue
            taken = rf"\b({names})\.{node.name}\b(?!`)|kernels\.{module} import [^\n]*\b{node.name}\b"
            if re.search(taken, text):
                found.add(f"{module}.{node.name}")
    return found


def test_python_calls_no_row_and_no_inner_loop():
    """Must match: none, for they have no address for Python. Must differ: what it calls is found, by alias too."""
    assert python_calls({"row", "row_backward", "inner", "inner_backward"}) == set()
    assert python_calls({"loop", "entry"}) >= {"events.gather", "delays.delay", "spike_times.simulate"}
