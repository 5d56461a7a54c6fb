"""The steps of a chunk by the compiled loops of `kernels`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sgbench.engine.arrays import FLOATS, NOTHING, bits_of, in_parts, rows_of
from sgbench.engine.kernels import backward, codes, forward
from sgbench.engine.matmul import multiply
from sgbench.engine.numba_events import ProductSum, no_events, unpacked
from sgbench.engine.plan import (
    Adjoint,
    Carry,
    ChunkAdjoints,
    Drive,
    IncomingGradients,
    LayerPlan,
    SavedActivations,
)
from sgbench.paths import default_loops_dir

if TYPE_CHECKING:
    from sgbench.engine.codegen.slopes import Slope
    from sgbench.surrogates.base import Surrogate

RESETS = {
    "subtract": codes.SUBTRACT,
    "subtract_decayed": codes.SUBTRACT_DECAYED,
    "zero": codes.ZERO,
    "none": codes.NONE,
}
WIRINGS = {"none": codes.UNWIRED, "one_to_one": codes.ONE_TO_ONE, "all_to_all": codes.ALL_TO_ALL}
SHAPES = {"atan": codes.ATAN, "fast_sigmoid": codes.FAST_SIGMOID, "triangle": codes.TRIANGLE}
FOLD_BELOW = 64  # neurons: so short a row does not fill the vectors of a loop


def slope_of(surrogate: Surrogate | None, dtype: torch.dtype) -> Slope | None:
    """Return the compiled loop of a derivative that is written as a formula, or None where torch computes it."""
    tree = None if surrogate is None else surrogate.written()
    if tree is None or default_loops_dir() is None:
        return None
    from sgbench.engine.codegen.slopes import slope

    return slope(tree, dtype)


class NumbaSteps:
    """Makes the steps of one layer by compiled loops."""

    uses_words = True

    def __init__(self) -> None:
        self.fixed: _Fixed | None = None  # from the first pass on

    def advance(self, plan: LayerPlan, saved: SavedActivations, carry: Carry, drive: Drive) -> None:
        """Run all steps forward, written into `saved` and `carry`."""
        bound = _Bound(self._of(plan), saved, carry)
        nothing = NOTHING[bound.number]
        if drive.current is None:
            rows = drive.rows
            given = (nothing, rows.indptr, rows.index, rows.value_as(bound.number))
        else:
            given = (rows_of(drive.current, bound.width), *no_events(bound.number))
        in_parts(
            forward.advance,
            bound.per_step,
            saved.x.numel(),
            *given,
            nothing if drive.columns is None else drive.columns.numpy(),
            nothing[0:0].reshape(-1) if drive.begin is None else drive.begin.numpy(),
            *bound.states,
            bound.coefficients,
            RESETS[plan.spec.reset],
            plan.second,
            plan.gained,
            plan.fires,
            WIRINGS[plan.layer.recurrence],
            bound.wires,
            *bound.saved,
            bits_of(saved.words),
        )

    def backward(self, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> Adjoint:
        """Bind the arrays of one backward pass and return what runs its chunks."""
        return _Backward(self._of(plan), plan, saved, carry)

    def add_matrix_gradient(self, saved: SavedActivations, first: int, out: Tensor, total: Tensor) -> None:
        """Add to `total` [M, M] the product of the steps' adjoint `out` with the spikes one step earlier."""
        ProductSum(len(total)).add(unpacked(saved.words[first - 1 : first - 1 + len(out)]), out, total.T)

    def _of(self, plan: LayerPlan) -> _Fixed:
        """Return the values that all passes of a layer share, made at the first."""
        if self.fixed is None:
            self.fixed = _Fixed.of(plan)
        return self.fixed


class _Fixed(NamedTuple):
    """Holds what the loops take of a layer in every pass; nothing that is as long as time."""

    number: type
    per_step: int  # rows of a step
    width: int  # of a row
    coefficients: tuple[np.ndarray, ...]
    wires: np.ndarray

    @staticmethod
    def of(plan: LayerPlan) -> _Fixed:
        """Build a layer's constants for the loops; a readout's samples become one long row."""
        _, batch, neurons = plan.shape
        number = FLOATS[plan.coefficients[0].dtype]
        wires = NOTHING[number]
        if plan.layer.recurrent is not None:
            matrix = plan.layer.recurrent.detach()
            wires = (matrix[None] if matrix.dim() == 1 else matrix.T).contiguous().numpy()
        if plan.fires or neurons >= FOLD_BELOW:
            return _Fixed(
                number, batch, neurons, tuple(coefficient.numpy() for coefficient in plan.coefficients), wires
            )
        rows = {coefficient: np.tile(coefficient.numpy(), batch) for coefficient in set(plan.coefficients)}
        return _Fixed(
            number, 1, batch * neurons, tuple(rows[coefficient] for coefficient in plan.coefficients), wires
        )


class _Bound:
    """Holds a layer's arrays as the loops take them, made once for a pass."""

    def __init__(self, fixed: _Fixed, saved: SavedActivations, carry: Carry) -> None:
        self.number, self.per_step, self.width, self.coefficients, self.wires = fixed
        self.saved = [rows_of(field, self.width) for field in saved[:4]]
        self.states = [rows_of(field, self.width) for field in carry]

    def rows(self, first: int, steps: int) -> slice:
        """Return the rows of so many steps from `first` on."""
        return slice(first * self.per_step, (first + steps) * self.per_step)


class _Backward(_Bound):
    """Makes the backward passes of chunks."""

    def __init__(self, fixed: _Fixed, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> None:
        super().__init__(fixed, saved, carry)
        layer, spec = plan.layer, plan.spec
        if plan.forgets:
            repeats = self.width // plan.shape[2]  # of a readout's neurons in one long row
            self.coefficients = tuple(
                np.tile(coefficient.numpy(), repeats) for coefficient in plan.adjoint_coefficients
            )
        self.surrogate = spec.surrogate
        self.slope = slope_of(spec.surrogate, plan.nothing.dtype)
        self.x, self.nothing = saved.x, plan.nothing
        self.later = carry.last  # adjoint of the current one step later
        all_to_all = plan.sends_back and layer.recurrence == "all_to_all"
        self.matrix: Tensor | None = plan.recurrent_back if all_to_all else None
        one_to_one = plan.sends_back and layer.recurrence == "one_to_one"
        wires = plan.recurrent_back[None].contiguous().numpy() if one_to_one else self.wires
        wiring = codes.ONE_TO_ONE if one_to_one else codes.UNWIRED
        kinds = (plan.second, plan.gained, plan.fires)
        attached = not (spec.detached or plan.forgets)
        self.options = (RESETS[spec.reset], attached, *kinds, wiring, wires)
        kernel = None if spec.surrogate is None else spec.surrogate.kernel()
        self.shape = codes.GIVEN if kernel is None else SHAPES[kernel.shape]
        self.steepness = self.number(0.0 if kernel is None else kernel.steepness)
        self.height = self.number(0.0 if kernel is None else kernel.height)

    def __call__(self, incoming: IncomingGradients, first: int, out: Tensor, adjoints: ChunkAdjoints) -> None:
        """Run the steps of `out` [n, B, M] backward, the last first."""
        here = self.rows(first, len(out))
        over_time = [
            rows_of(field, self.width)
            for field in (incoming.spikes, incoming.x, self._psi(first, len(out)), out)
        ]
        over_time += [
            self.saved[0][here],
            self.saved[1][here],
            *(rows_of(field, self.width) for field in adjoints),
        ]
        ends = [rows_of(field, self.width) for field in (incoming.u, incoming.w)]
        if self.matrix is None:
            self._call(over_time, ends)
            return
        # Each step waits for the product with V of the next.
        later = self.later
        for t in range(len(out) - 1, -1, -1):
            fed_back = multiply(later, self.matrix)
            if incoming.spikes.numel():
                fed_back += incoming.spikes[t]
            step = self.rows(t, 1)
            self._call([fed_back.numpy(), *(rows[step] for rows in over_time[1:])], ends)
            ends = [NOTHING[self.number]] * 2
            later = out[t]
        self.later.copy_(later)

    def _psi(self, first: int, steps: int) -> Tensor:
        """Compute by torch the surrogate derivative of a chunk, where the surrogate has no compiled form."""
        if self.surrogate is None or self.shape != codes.GIVEN:
            return self.nothing
        x = self.x[first : first + steps]
        return self.surrogate.derivative(x) if self.slope is None else self.slope.of(x)

    def _call(self, over_time: list[np.ndarray], ends: list[np.ndarray]) -> None:
        """Call the loop for a range of steps."""
        gs, gx, psi, out, x, w, *adjoints = over_time
        in_parts(
            backward.adjoint,
            self.per_step,
            out.size,
            gs, gx, *ends, psi, x, w, *self.states, self.coefficients, *self.options,
            self.shape, self.steepness, self.height, out, *adjoints,
        )  # fmt: skip
