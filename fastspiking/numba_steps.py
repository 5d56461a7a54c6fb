"""Steps of one layer by the compiled loops of `kernels`: which loop runs its neurons, and with which arguments.

Only a loop that is called is compiled, so a run waits for the loops of its own neurons alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastspiking.arrays import FLOATS, NOTHING, bits_of, in_parts, rows_of
from fastspiking.kernels import backward, backward_leaky, codes, forward
from fastspiking.kernels.arguments import (
    ArrivingGradients,
    Coefficients,
    InputCurrent,
    KeptAdjoints,
    NeuronArrays,
    Readout,
    ReadoutBack,
    ReadoutRows,
    Saved,
    Scratch,
    SlopeSource,
    States,
    Sums,
)
from fastspiking.kernels.codes import ALL_TO_ALL, ONE_TO_ONE, SUBTRACT, ZERO
from fastspiking.kernels.sums import TOGETHER
from fastspiking.matmul import multiply
from fastspiking.numba_events import ProductSum, absent_current, no_readout, unpack_spikes
from fastspiking.paths import default_loops_dir
from fastspiking.plan import Adjoint, Carry, ChunkAdjoints, Drive, IncomingGradients, LayerPlan, SavedActivations

if TYPE_CHECKING:
    from fastspiking.codegen.slopes import Slope
    from fastspiking.spec import SurrogateDerivative

TORCH = {np.dtype(number): dtype for dtype, number in FLOATS.items()}


def _zeros(number: np.dtype, rows: int, size: int) -> np.ndarray:
    return torch.zeros(rows, size, dtype=TORCH[number]).numpy()  # torch aligns memory to whole vectors, NumPy does not


Loop = Callable[..., Any]


def forward_loop(layer: NeuronArrays, threshold: float) -> Loop:
    """Return the fastest loop that can run a layer forward; a uniform layer's neurons all have this threshold."""
    is_leaky = layer.uniform and not (layer.second or layer.gained or layer.wiring == ONE_TO_ONE)
    resets_by_threshold = layer.reset == SUBTRACT and threshold > 0
    if is_leaky and (resets_by_threshold or not layer.fires):
        return forward.advance_leaky
    return forward.advance_any


def backward_loop(layer: NeuronArrays) -> Loop:
    """Return the loop that runs a layer backward by blocks of samples."""
    special = layer.attached or layer.reset == ZERO or layer.wiring == ONE_TO_ONE
    is_leaky = layer.uniform and not (layer.second or layer.gained or special)
    return backward_leaky.backward_leaky if is_leaky else backward.backward_any


def advance(
    layer: NeuronArrays, arriving: InputCurrent, states: States, saved: Saved, readout: Readout, batch: int, low: int,
    high: int,
) -> tuple[int, int]:  # fmt: skip
    """Run one layer through all steps of samples [low, high); return how many packed spikes it and its readout got.

    `layer`: the layer's neurons. `arriving`: its input current. `states`: those before the first step; afterwards those
    of the last. `saved`: arrays of size > 0 are written. `readout`: a readout that the layer's spikes advance, or an
    absent one. `batch`: B.
    """
    size, base = states.u.shape[1], layer.coefficients.threshold
    names = np.empty(max(size, len(arriving.columns)), np.int32)
    loop = forward_loop(layer, base[0])
    if loop is forward.advance_leaky:
        scratch = np.empty(size, np.int32)
    else:
        scratch = _zeros(states.u.dtype, 4, size)  # rows as in `forward.advance_any`
        scratch[3] = base
    return loop(layer, arriving, states, saved, readout, names, scratch, batch, low, high)  # type: ignore[no-any-return]


def _room(number: np.dtype, together: int, size: int, inputs: int) -> Scratch:
    names, fired = np.empty(max(size, inputs), np.int32), np.empty(size, np.int32)
    return Scratch(_zeros(number, together, size), _zeros(number, 1, size)[0], names, fired)


def _readout_rows(back: ReadoutBack, count: int) -> ReadoutRows:
    """Create the zero `ReadoutRows` of a block of `count` samples; they have no rows if the readout is absent."""
    samples, number = count if back.gradient.size else 0, back.d_begin.dtype
    drive, trace = (_zeros(number, samples, back.weights.shape[1]) for _ in range(2))
    return ReadoutRows(drive, trace, _zeros(number, samples, back.d_begin.size))


def backward_block(
    layer: NeuronArrays, curve: SlopeSource, reaching: ArrivingGradients, readout: ReadoutBack, saved: Saved,
    arriving: InputCurrent, out: np.ndarray, sums: Sums, window: int, batch: int, low: int, high: int,
) -> None:  # fmt: skip
    """Compute the backward pass of one layer over all steps of samples [low, high) of B; add its gradients to `sums`.

    `layer`: the layer's neurons. `curve`: the surrogate derivative; if it is given as numbers, then of these samples
    alone. `reaching`: gradients from outside. `readout`: a readout that follows the layer; may be absent. `saved`: of
    the forward pass. `arriving`: the layer's input current. `out`: written with the adjoint of the layer's current
    [T n, M]; of size 0 where nobody wants it. `window`: steps after which adjoints start again from 0 (truncated
    backpropagation through time). `batch`: B.
    """
    size, count, number = sums.bias.size, high - low, sums.bias.dtype
    together = count if layer.wiring == ALL_TO_ALL else TOGETHER
    rows, room = _readout_rows(readout, count), _room(number, together, size, len(sums.columns))
    lu, bounds = _zeros(number, count, size), (window, batch, low, high)
    loop = backward_loop(layer)
    if loop is backward_leaky.backward_leaky:
        loop(layer, curve, reaching, readout, rows, saved, arriving, out, sums, lu, room, *bounds)
        return
    adjoint = States(lu, *(_zeros(number, count, size) for _ in range(2)))
    kept = KeptAdjoints(*[NOTHING[number.type]] * 4)
    loop(layer, curve, reaching, readout, rows, saved, arriving, out, kept, sums, adjoint, room, *bounds)


def backward_chunk(
    layer: NeuronArrays, curve: SlopeSource, reaching: ArrivingGradients, readout: ReadoutBack, saved: Saved,
    arriving: InputCurrent, out: np.ndarray, kept: KeptAdjoints, sums: Sums, adjoint: States, batch: int, low: int,
    high: int,
) -> None:  # fmt: skip
    """Compute the backward pass of one layer over a chunk of steps, for samples [low, high).

    Arguments are those of `backward_block`, with the rows of the chunk, but for three. `out` [steps B, M] may share
    memory with the output's gradient. `kept` are adjoints that are written if wanted. `adjoint` is that of the state
    of the step after the chunk; afterwards that of its first step. The readout is absent, and `sums` is empty:
    gradients of weights are computed elsewhere from `out`.
    """
    room = _room(adjoint.u.dtype, TOGETHER, adjoint.u.shape[1], 0)
    is_leaky = layer.fires and not (layer.second or layer.gained or layer.attached or layer.wiring)
    other_gradients = reaching.x.size + reaching.u.size + reaching.w.size + kept.spikes.size
    if is_leaky and reaching.output.size and layer.reset != ZERO and not other_gradients:
        given = reaching.output, saved.x, curve, adjoint.u, layer.coefficients.decay, out, kept.u, kept.x
        backward_leaky.chunk_leaky(*given, room.slope, low, high)
        return
    backward.backward_any(
        layer, curve, reaching, readout, _readout_rows(readout, 0), saved, arriving, out, kept, sums, adjoint, room,
        len(saved.x) // batch, batch, low, high,
    )  # fmt: skip


RESETS = {
    "subtract": codes.SUBTRACT,
    "subtract_decayed": codes.SUBTRACT_DECAYED,
    "zero": codes.ZERO,
    "none": codes.NONE,
}
WIRINGS = {"none": codes.UNWIRED, "one_to_one": codes.ONE_TO_ONE, "all_to_all": codes.ALL_TO_ALL}
SHAPES = {"atan": codes.ATAN, "fast_sigmoid": codes.FAST_SIGMOID, "triangle": codes.TRIANGLE}
FOLD_BELOW = 64  # number of neurons below which a readout's samples share one row, to fill the loops' vectors


def slope_of(surrogate: SurrogateDerivative | None, dtype: torch.dtype) -> Slope | None:
    """Return a compiled surrogate derivative, if the surrogate has a formula and loops can be cached; else None."""
    tree = None if surrogate is None else surrogate.as_formula()
    if tree is None or default_loops_dir() is None:
        return None
    from fastspiking.codegen.slopes import slope

    return slope(tree, dtype)


def layer_of(plan: LayerPlan, coefficients: Iterable[np.ndarray], wires: np.ndarray, *, uniform: bool) -> NeuronArrays:
    """Return a layer's neurons as the loops take them.

    `plan`: how the layer runs. `coefficients`: of each neuron [M], in the order of `spec.COEFFICIENTS`. `wires`:
    recurrent weights, in the layout of the pass. `uniform`: whether all neurons share one decay and one threshold, and
    rows are whole vectors.
    """
    return NeuronArrays(
        Coefficients(*coefficients), RESETS[plan.spec.reset], not plan.spec.detached, plan.second, plan.gained,
        plan.fires, uniform, WIRINGS[plan.layer.recurrence], wires,
    )  # fmt: skip


def curve_of(surrogate: SurrogateDerivative | None, number: type) -> SlopeSource:
    """Return the shape of the surrogate derivative for the loops, GIVEN if they do not know it by name."""
    kernel = None if surrogate is None else surrogate.kernel()
    if kernel is None:
        return SlopeSource(codes.GIVEN, number(0), number(0), NOTHING[number])
    return SlopeSource(SHAPES[kernel.shape], number(kernel.steepness), number(kernel.height), NOTHING[number])


def saved_rows(saved: SavedActivations, width: int) -> Saved:
    x, w, now, spikes = (rows_of(field, width) for field in saved[:-1])
    return Saved(x, w, now, spikes, bits_of(saved.words))


class NumbaSteps:
    """Runs the steps of one layer by compiled loops; see `plan.Steps`."""

    uses_words = True

    def __init__(self) -> None:
        self.fixed: _Fixed | None = None  # set by the first pass

    def advance(self, plan: LayerPlan, saved: SavedActivations, carry: Carry, drive: Drive) -> None:
        """Run all steps forward by one compiled loop on several threads; see `plan.Steps`."""
        arrays = _LoopArrays(self._shared_arguments(plan), saved, carry)
        arriving, rows = absent_current(arrays.number), drive.rows
        if drive.current is not None:
            arriving = arriving._replace(current=rows_of(drive.current, arrays.width))
        elif drive.columns is not None and drive.begin is not None:
            arriving = arriving._replace(
                indptr=rows.indptr, index=rows.index, value=rows.value_as(arrays.number),
                columns=drive.columns.numpy(), begin=drive.begin.numpy(),
            )  # fmt: skip
        readout, _ = no_readout(arrays.number)
        arguments = arrays.layer, arriving, arrays.states, arrays.saved, readout, arrays.per_step
        in_parts(advance, arrays.per_step, saved.x.numel(), *arguments)

    def backward(self, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> Adjoint:
        return _Backward(self._shared_arguments(plan), plan, saved, carry)

    def add_matrix_gradient(self, saved: SavedActivations, first: int, out: Tensor, total: Tensor) -> None:
        """Add to `total` [M, M] the gradient of recurrent weights from the steps from `first` on.

        It is the product of their adjoints `out` with the spikes one step earlier.
        """
        ProductSum(len(total)).add(unpack_spikes(saved.words[first - 1 : first - 1 + len(out)]), out, total.T)

    def _shared_arguments(self, plan: LayerPlan) -> _Fixed:
        if self.fixed is None:
            self.fixed = _Fixed.of(plan)
        return self.fixed


class _Fixed(NamedTuple):
    """Holds the arguments of the loops that all passes of a layer share; none depends on time."""

    number: type  # float type
    per_step: int  # rows of one step
    width: int  # of a row
    layer: NeuronArrays

    @staticmethod
    def of(plan: LayerPlan) -> _Fixed:
        """Return the shared arguments of a layer; all samples of a small readout become one long row."""
        _, batch, neurons = plan.shape
        number = FLOATS[plan.coefficients[0].dtype]
        wires = NOTHING[number]
        if plan.layer.recurrent is not None:
            matrix = plan.layer.recurrent.detach()
            wires = (matrix[None] if matrix.dim() == 1 else matrix.T).contiguous().numpy()
        repeats = 1 if plan.fires or neurons >= FOLD_BELOW else batch
        layer = layer_of(plan, _repeated(plan.coefficients, repeats), wires, uniform=False)
        return _Fixed(number, batch // repeats, repeats * neurons, layer)


def _repeated(coefficients: Sequence[Tensor], repeats: int) -> list[np.ndarray]:
    """Return each coefficient [M] repeated for samples that share a row [repeats M]; equal ones share memory."""
    rows = {coefficient: np.tile(coefficient.numpy(), repeats) for coefficient in set(coefficients)}
    return [rows[coefficient] for coefficient in coefficients]


class _LoopArrays:
    """Holds a layer's arrays of one pass in the layout that the compiled loops take."""

    def __init__(self, fixed: _Fixed, saved: SavedActivations, carry: Carry) -> None:
        self.number, self.per_step, self.width, self.layer = fixed
        self.saved = saved_rows(saved, self.width)
        self.states = States(*(rows_of(field, self.width) for field in carry))

    def rows(self, first: int, steps: int) -> slice:
        return slice(first * self.per_step, (first + steps) * self.per_step)


class _Backward(_LoopArrays):
    """Runs the chunks of one backward pass, from the last to the first; see `plan.Adjoint`."""

    def __init__(self, fixed: _Fixed, plan: LayerPlan, saved: SavedActivations, carry: Carry) -> None:
        super().__init__(fixed, saved, carry)
        layer, spec, nothing = plan.layer, plan.spec, NOTHING[self.number]
        self.surrogate = spec.surrogate
        self.slope = slope_of(spec.surrogate, plan.nothing.dtype)
        self.curve = curve_of(spec.surrogate, self.number)
        self.x, self.nothing = saved.x, plan.nothing
        self.later = carry.last  # adjoint of the current one step later
        all_to_all = plan.sends_back and layer.recurrence == "all_to_all"
        self.matrix: Tensor | None = plan.recurrent_back if all_to_all else None
        one_to_one = plan.sends_back and layer.recurrence == "one_to_one"
        wires = plan.recurrent_back[None].contiguous().numpy() if one_to_one else nothing
        wiring = codes.ONE_TO_ONE if one_to_one else codes.UNWIRED
        self.layer = self.layer._replace(wires=wires, wiring=wiring)
        if plan.forgets:
            repeats = self.width // plan.shape[2]  # of a readout's neurons in one long row
            coefficients = Coefficients(*_repeated(plan.adjoint_coefficients, repeats))
            self.layer = self.layer._replace(coefficients=coefficients, attached=False)
        self.sums = Sums(nothing, np.empty(0, self.number), nothing)
        self.around = no_readout(self.number)[1], absent_current(self.number)

    def __call__(self, incoming: IncomingGradients, first: int, out: Tensor, adjoints: ChunkAdjoints) -> None:
        """Run n steps from `first` on backward, and write the adjoint of their current to `out` [n, B, M].

        Adjoints of the state are carried on to the next call; `adjoints` is written where it has a size.
        """
        nothing, width = NOTHING[self.number], self.width
        spikes, x, u, w = (rows_of(field, width) for field in incoming)
        reaching = ArrivingGradients(spikes, self.per_step, x, u, w, nothing, nothing)
        kept = KeptAdjoints(*(rows_of(field, width) for field in adjoints))
        psi, adjoint = rows_of(self._psi(first, len(out)), width), rows_of(out, width)
        if self.matrix is None:
            self._call(self.rows(first, len(out)), reaching, psi, adjoint, kept)
            return
        # Each step needs the next step's product with the recurrent weights.
        later = self.later
        for t in range(len(out) - 1, -1, -1):
            fed_back = multiply(later, self.matrix)
            if incoming.spikes.numel():
                fed_back += incoming.spikes[t]
            own = self.rows(t, 1)
            here = reaching._replace(output=fed_back.numpy(), x=x[own])
            kept_here = KeptAdjoints(*(field[own] for field in kept))
            self._call(self.rows(first + t, 1), here, psi[own], adjoint[own], kept_here)
            reaching = reaching._replace(u=nothing, w=nothing)
            later = out[t]
        self.later.copy_(later)

    def _psi(self, first: int, steps: int) -> Tensor:
        """Return the surrogate derivative of a chunk [n, B, M]; empty if the loops compute it."""
        if self.surrogate is None or self.curve.shape != codes.GIVEN:
            return self.nothing
        x = self.x[first : first + steps]
        return self.surrogate.derivative(x) if self.slope is None else self.slope.of(x)

    def _call(
        self, rows: slice, reaching: ArrivingGradients, psi: np.ndarray, out: np.ndarray, kept: KeptAdjoints
    ) -> None:
        """Run the compiled backward pass over a chunk of steps, in parts on several threads."""
        nothing = NOTHING[self.number]
        saved = Saved(self.saved.x[rows], self.saved.w[rows], nothing, nothing, NOTHING[np.uint64])
        curve, (readout, arriving) = self.curve._replace(psi=psi), self.around
        arguments = self.layer, curve, reaching, readout, saved, arriving, out, kept, self.sums, self.states
        in_parts(backward_chunk, self.per_step, out.size, *arguments, self.per_step)
