"""The steps of a chunk, and products with events, by the compiled loops of `kernels`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.engine.kernels import backward, codes, events, forward
from sgbench.engine.plan import Carry, Course, Gradients, Kept, Plan
from sgbench.surrogates.base import Surrogate

RESETS = {
    "subtract": codes.SUBTRACT,
    "subtract_decayed": codes.SUBTRACT_DECAYED,
    "zero": codes.ZERO,
    "none": codes.NONE,
}
WIRINGS = {"none": codes.UNWIRED, "one_to_one": codes.ONE_TO_ONE, "all_to_all": codes.ALL_TO_ALL}
SHAPES = {"atan": codes.ATAN, "fast_sigmoid": codes.FAST_SIGMOID, "triangle": codes.TRIANGLE}
MIN_WORK = 2**15  # entries of an array below which a second thread costs more than it saves


def in_parts(kernel: Callable[..., None], count: int, entries: int, *arguments: object) -> None:
    """Call a kernel for all of its samples or rows, by as many threads as torch uses.

    Each part is written by one thread alone, so the bits do not depend on their number. Threads of Python, not of
    OpenMP: kernels release the interpreter's lock, and a busy neighbour delays a pool less than a barrier.
    """
    threads = min(torch.get_num_threads(), count)
    if threads <= 1 or entries < MIN_WORK:
        kernel(*arguments, 0, count)
        return
    borders = np.linspace(0, count, threads + 1).astype(int)
    with ThreadPoolExecutor(threads - 1) as pool:
        rest = [
            pool.submit(kernel, *arguments, int(low), int(high))
            for low, high in itertools.pairwise(borders[1:])
        ]
        kernel(*arguments, 0, int(borders[1]))
        for part in rest:
            part.result()


FLOATS = {torch.float32: np.float32, torch.float64: np.float64}
NOTHING = {kind: np.empty((0, 0), kind) for kind in (np.float32, np.float64, np.uint64)}
FOLD_BELOW = 64  # neurons: so short a row does not fill the vectors of a loop


def rows_of(tensor: Tensor, width: int) -> np.ndarray:
    """The same memory as rows of `width`; what is not there becomes an array without size."""
    if tensor.numel() == 0:
        return NOTHING[FLOATS[tensor.dtype]]
    return tensor.detach().numpy().reshape(-1, width)


def bits_of(words: Tensor) -> np.ndarray:
    """Packed spikes as rows of unsigned words."""
    if words.numel() == 0:
        return NOTHING[np.uint64]
    return words.numpy().reshape(-1, words.shape[-1]).view(np.uint64)


class Bound(NamedTuple):
    """A run's arrays as the loops take them."""

    of: int  # address of x of the course that they belong to
    per_step: int  # rows: samples, or one where all samples are a single long row
    width: int
    numbers: tuple[np.ndarray, ...]
    course: tuple[np.ndarray, ...]  # x, w, now, spikes
    words: np.ndarray
    wires: np.ndarray


class NumbaSteps:
    """Compiled steps of one layer in one run.

    Args:
        recurrent: V of the layer, or None.
    """

    uses_words = True

    def __init__(self, recurrent: Tensor | None) -> None:
        self.wires: np.ndarray | None = None
        if recurrent is not None:
            matrix = recurrent.detach()
            self.wires = (matrix[None] if matrix.dim() == 1 else matrix.T).contiguous().numpy()
        self.bound: Bound | None = None

    def advance(self, plan: Plan, current: Tensor, carry: Carry, course: Course, first: int) -> None:
        """Steps from `first` on forward, in place of `carry` and `course`."""
        parts = self._bound(plan, course)
        last = first + len(current)
        begin, end = first * parts.per_step, last * parts.per_step
        words = parts.words[first * plan.shape[1] : last * plan.shape[1]]
        in_parts(
            forward.advance,
            parts.per_step,
            current.numel(),
            rows_of(current, parts.width),
            *(rows_of(each, parts.width) for each in carry),
            parts.numbers,
            RESETS[plan.spec.reset],
            plan.second,
            plan.fires,
            WIRINGS[plan.layer.recurrence],
            parts.wires,
            *(each[begin:end] for each in parts.course),
            words,
        )

    def adjoint(
        self, plan: Plan, given: Gradients, course: Course, first: int, carry: Carry, out: Tensor, kept: Kept
    ) -> None:
        """Steps from `first` on backward, into `out`, `carry` and `kept`."""
        last = first + len(out)
        parts = self._bound(plan, course)
        width, begin, end = parts.width, first * parts.per_step, last * parts.per_step
        x = course.x[first:last]
        shape, steepness, height, psi = _derivative(plan.spec.surrogate, x)
        number = FLOATS[out.dtype]
        one_to_one = plan.layer.recurrence == "one_to_one" and not plan.layer.cut
        over_time = [rows_of(each, width) for each in (given.spikes, given.x, psi, out, *kept)]
        over_time += [parts.course[0][begin:end], parts.course[1][begin:end]]
        states = [rows_of(each, width) for each in carry]
        ends = [rows_of(each, width) for each in (given.u, given.w)]
        constants = (
            parts.numbers, RESETS[plan.spec.reset], not plan.spec.detached, plan.second, plan.fires,
            codes.ONE_TO_ONE if one_to_one else codes.UNWIRED, parts.wires,
            shape, number(steepness), number(height),
        )  # fmt: skip

        def call(rows: list[np.ndarray], ends: list[np.ndarray]) -> None:
            gs, gx, psi, dcurrent, *kept, x, seconds = rows
            in_parts(
                backward.adjoint, parts.per_step, dcurrent.size,
                gs, gx, *ends, psi, x, seconds, *states, *constants, dcurrent, *kept,
            )  # fmt: skip

        if plan.layer.recurrence != "all_to_all" or plan.layer.cut or plan.layer.recurrent is None:
            call(over_time, ends)
            return
        # Each step waits for the product with V of the next.
        matrix = plan.layer.recurrent.detach()
        fed_back = torch.empty_like(carry.last)
        behind = carry.last
        for t in range(last - first - 1, -1, -1):
            if given.spikes.numel():
                torch.addmm(given.spikes[t], behind, matrix, out=fed_back)
            else:
                torch.mm(behind, matrix, out=fed_back)
            here = slice(t * parts.per_step, (t + 1) * parts.per_step)
            call([fed_back.numpy(), *(each[here] for each in over_time[1:])], ends)
            ends = [NOTHING[number]] * 2
            behind = out[t]
        carry.last.copy_(behind)

    def forget(self) -> None:
        """Let go of a run's memory."""
        self.bound = None

    def _bound(self, plan: Plan, course: Course) -> Bound:
        """Arrays of a whole run, made once."""
        if self.bound is not None and self.bound.of == course.x.data_ptr():
            return self.bound
        _, batch, neurons = plan.shape
        fold = not plan.fires and neurons < FOLD_BELOW
        per_step, width = (1, batch * neurons) if fold else (batch, neurons)
        self.bound = Bound(
            of=course.x.data_ptr(),
            per_step=per_step,
            width=width,
            numbers=tuple(np.tile(each.numpy(), batch if fold else 1) for each in plan.coefficients),
            course=tuple(rows_of(each, width) for each in course[:4]),
            words=bits_of(course.words),
            wires=NOTHING[FLOATS[course.x.dtype]] if self.wires is None else self.wires,
        )
        return self.bound

    def add_matrix_gradient(self, plan: Plan, course: Course, first: int, out: Tensor, total: Tensor) -> None:
        """Add to `total` [M, M] what `out`, the adjoint of these steps, makes of the spikes one step earlier."""
        add_products(unpacked(course.words[first - 1 : first - 1 + len(out)]), out, total.T)


def _derivative(surrogate: Surrogate | None, x: Tensor) -> tuple[int, float, float, Tensor]:
    """Number, steepness and height of a shape that the kernel knows; otherwise its values, made by torch."""
    empty = x.new_empty(0)
    if surrogate is None:
        return codes.GIVEN, 0.0, 0.0, empty
    kernel = surrogate.kernel()
    if kernel is None:
        return codes.GIVEN, 0.0, 0.0, surrogate.derivative(x)
    return SHAPES[kernel.shape], kernel.steepness, kernel.height, empty


class Rows(NamedTuple):
    """Events of some rows: those of row r are index[indptr[r]:indptr[r + 1]]."""

    indptr: np.ndarray  # int64 [R + 1], need not start at 0
    index: np.ndarray  # int32
    value: np.ndarray | None  # None where all are 1

    @property
    def count(self) -> int:
        """Number of events."""
        return int(self.indptr[-1] - self.indptr[0])


def unpacked(words: Tensor) -> Rows:
    """Rows of packed spikes [n, B, blocks]."""
    bits = bits_of(words)
    indptr = np.empty(len(bits) + 1, np.int64)
    events.count_bits(bits, indptr)
    index = np.empty(indptr[-1], np.int32)
    events.unpack(bits, indptr, index)
    return Rows(indptr, index, None)


def sum_rows(rows: Rows, weights: Tensor, begin: np.ndarray, out: Tensor) -> None:
    """out[r] = begin + value weights[index], summed over the events of each row r; out is [..., M]."""
    width = out.shape[-1]
    in_parts(
        events.gather,
        len(rows.indptr) - 1,
        out.numel(),
        rows.indptr,
        rows.index,
        _values(rows, out.dtype),
        rows_of(weights, width),
        begin,
        rows_of(out, width),
    )


def add_products(rows: Rows, dense: Tensor, out: Tensor) -> None:
    """out[k] += value dense[r], summed over the events (r, k); dense is [..., M].

    The events are sorted by k first, so that each row of `out` is a sum that one thread makes in a fixed order.
    """
    width = out.shape[-1]
    value = _values(rows, out.dtype)
    indptr = np.empty(len(out) + 1, np.int64)
    index = np.empty(rows.count, np.int32)
    new_value = np.empty(rows.count if value.size else 0, value.dtype)
    events.transpose(rows.indptr, rows.index, value, indptr, index, new_value)
    in_parts(
        events.gather,
        len(out),
        rows.count * width,
        indptr,
        index,
        new_value,
        rows_of(dense, width),
        np.empty(0, value.dtype),
        rows_of(out, width),
    )


def _values(rows: Rows, dtype: torch.dtype) -> np.ndarray:
    kind = FLOATS[dtype]
    return np.empty(0, kind) if rows.value is None else rows.value.astype(kind, copy=False)
