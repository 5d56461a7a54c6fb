"""The steps of a chunk, and products with events, by the compiled loops of `kernels`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.engine import kernels
from sgbench.engine.plan import Carry, Course, Gradients, Kept, Plan
from sgbench.surrogates.base import Surrogate

RESETS = {
    "subtract": kernels.SUBTRACT,
    "subtract_decayed": kernels.SUBTRACT_DECAYED,
    "zero": kernels.ZERO,
    "none": kernels.NONE,
}
WIRINGS = {"none": kernels.UNWIRED, "one_to_one": kernels.ONE_TO_ONE, "all_to_all": kernels.ALL_TO_ALL}
SHAPES = {"atan": kernels.ATAN, "fast_sigmoid": kernels.FAST_SIGMOID, "triangle": kernels.TRIANGLE}
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
            for low, high in zip(borders[1:-1], borders[2:], strict=True)
        ]
        kernel(*arguments, 0, int(borders[1]))
        for part in rest:
            part.result()


def array(tensor: Tensor, dimensions: int) -> np.ndarray:
    """The same memory for numba; what is not there becomes an array without size."""
    found = tensor.detach().numpy()
    return found if found.ndim == dimensions else found.reshape((0,) * dimensions)


class NumbaSteps:
    """Compiled steps of one layer.

    Args:
        recurrent: V of the layer, or None.
    """

    uses_words = True

    def __init__(self, recurrent: Tensor | None) -> None:
        matrix = None if recurrent is None else recurrent.detach()
        self.wires = None if matrix is None else matrix.reshape(-1, matrix.shape[-1]).T.contiguous().numpy()
        if matrix is not None and matrix.dim() == 1:
            self.wires = matrix[None].contiguous().numpy()

    def advance(self, plan: Plan, current: Tensor, carry: Carry, out: Course) -> None:
        """Forward, in place of `carry` and `out`."""
        in_parts(
            kernels.advance,
            plan.shape[1],
            current.numel(),
            array(current, 3),
            *(array(each, 2) for each in carry),
            tuple(array(each, 1) for each in plan.coefficients),
            RESETS[plan.spec.reset],
            plan.second,
            plan.fires,
            WIRINGS[plan.layer.recurrence],
            self._wires(carry.u),
            *(array(each, 3) for each in (out.x, out.w, out.now, out.spikes)),
            array(out.words, 3).view(np.uint64),
        )

    def _wires(self, like: Tensor) -> np.ndarray:
        return array(like.new_empty(0), 2) if self.wires is None else self.wires

    def adjoint(
        self, plan: Plan, given: Gradients, course: Course, carry: Carry, out: Tensor, kept: Kept
    ) -> None:
        """Backward, into `out`, `carry` and `kept`."""
        shape, steepness, height, psi = _derivative(plan.spec.surrogate, course.x)
        number = out.numpy().dtype.type
        one_to_one = plan.layer.recurrence == "one_to_one" and not plan.layer.cut
        in_parts(
            kernels.adjoint,
            plan.shape[1],
            out.numel(),
            *(array(each, 3) for each in (given.spikes, given.x)),
            *(array(each, 2) for each in (given.u, given.w)),
            *(array(each, 3) for each in (psi, course.x, course.w)),
            *(array(each, 2) for each in carry),
            tuple(array(each, 1) for each in plan.coefficients),
            RESETS[plan.spec.reset],
            not plan.spec.detached,
            plan.second,
            plan.fires,
            kernels.ONE_TO_ONE if one_to_one else kernels.UNWIRED,
            self._wires(carry.u),
            shape,
            number(steepness),
            number(height),
            array(out, 3),
            *(array(each, 3) for each in kept),
        )

    def add_matrix_gradient(
        self, plan: Plan, course: Course, steps: tuple[int, int], out: Tensor, total: Tensor
    ) -> None:
        """Add to `total` [M, M] what `out`, the adjoint of `steps`, makes of the spikes one step earlier."""
        add_products(unpacked(course.words[steps[0] - 1 : steps[1] - 1]), out, total.T)


def _derivative(surrogate: Surrogate | None, x: Tensor) -> tuple[int, float, float, Tensor]:
    """Number, steepness and height of a shape that the kernel knows; otherwise its values, made by torch."""
    empty = x.new_empty(0)
    if surrogate is None:
        return kernels.GIVEN, 0.0, 0.0, empty
    kernel = surrogate.kernel()
    if kernel is None:
        return kernels.GIVEN, 0.0, 0.0, surrogate.derivative(x)
    return SHAPES[kernel.shape], kernel.steepness, kernel.height, empty


class Rows(NamedTuple):
    """Events of some rows: those of row r are index[indptr[r]:indptr[r + 1]]."""

    indptr: Tensor  # int64 [R + 1], need not start at 0
    index: Tensor  # int32
    value: Tensor  # without size where all values are 1

    @property
    def count(self) -> int:
        """Number of events."""
        return int(self.indptr[-1] - self.indptr[0])


def unpacked(words: Tensor) -> Rows:
    """Rows of packed spikes [n, B, blocks]."""
    steps, batch, blocks = words.shape
    bits = words.view(steps * batch, blocks).numpy().view(np.uint64)
    indptr = torch.empty(steps * batch + 1, dtype=torch.int64)
    kernels.count_bits(bits, indptr.numpy())
    index = torch.empty(int(indptr[-1]), dtype=torch.int32)
    kernels.unpack(bits, indptr.numpy(), index.numpy())
    return Rows(indptr, index, torch.empty(0))


def add_rows(rows: Rows, weights: Tensor, out: Tensor) -> None:
    """out[r] += value weights[index], summed over the events of each row r; out is [..., M]."""
    in_parts(
        kernels.gather,
        len(rows.indptr) - 1,
        out.numel(),
        rows.indptr.numpy(),
        rows.index.numpy(),
        array(rows.value.to(out.dtype), 1),
        array(weights, 2),
        array(out.view(-1, out.shape[-1]), 2),
    )


def add_products(rows: Rows, dense: Tensor, out: Tensor) -> None:
    """out[k] += value dense[r], summed over the events (r, k); dense is [..., M].

    The events are sorted by k first, so that each row of `out` is a sum that one thread makes in a fixed order.
    """
    value = rows.value.to(out.dtype)
    indptr = torch.empty(len(out) + 1, dtype=torch.int64)
    index = torch.empty(rows.count, dtype=torch.int32)
    new_value = out.new_empty(rows.count if value.numel() else 0)
    kernels.transpose(
        rows.indptr.numpy(), rows.index.numpy(), array(value, 1), indptr.numpy(), index.numpy(), new_value.numpy()
    )
    in_parts(
        kernels.gather,
        len(out),
        rows.count * out.shape[1],
        indptr.numpy(),
        index.numpy(),
        new_value.numpy(),
        array(dense.view(-1, dense.shape[-1]), 2),
        array(out, 2),
    )
