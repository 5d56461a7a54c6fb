"""A layer's arrays as the loops over blocks of samples take them: rows padded to whole vectors."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fastspiking.arrays import FLOATS, NOTHING, rows_of
from fastspiking.kernels import codes
from fastspiking.kernels.arguments import ArrivingGradients, InputCurrent, Readout, ReadoutBack, States, Sums
from fastspiking.kernels.sums import PIECE, TOGETHER, gather_pieces, scatter_pieces
from fastspiking.kernels.vectors import NARROW
from fastspiking.numba_events import Rows
from fastspiking.numba_steps import advance, backward_block, curve_of, layer_of, saved_rows, slope_of
from fastspiking.plan import Carry, LayerPlan, SavedActivations
from fastspiking.spec import Coefficient

MANY_A_ROW = 32  # mean number of events per row from which a layer is computed by pieces of its neurons
LANES = NARROW  # padded rows have a multiple of this many numbers; the padding is 0 and stays so


@functools.lru_cache(maxsize=256)
def _repeated(value: float, neurons: int, width: int, number: type) -> np.ndarray:
    """Return a row of `width` numbers: the value for each neuron, then zeros as padding."""
    row = np.zeros(width, number)
    row[:neurons] = value
    return row


def in_pieces(weights: np.ndarray, columns: int = LANES) -> np.ndarray:
    """Copy weights [K, M] into pieces of `columns` columns, one after the other: [M / columns K, columns]."""
    rows = torch.from_numpy(weights)  # torch aligns memory to whole vectors, NumPy does not
    return rows.view(len(rows), -1, columns).transpose(0, 1).contiguous().view(-1, columns).numpy()


class BlockLayer:
    """Holds the arrays of one layer that do not depend on time, and makes its loops of them.

    `plan`: how the layer runs. `weight`: W [M, K], from K inputs to M neurons. `bias`: [M]. `back`: weights [M, K] that
    carry gradient back to the inputs; W itself, unless the rule has others. `events_a_row`: mean number of events that
    arrive per step and sample; 0 for spikes of another layer.
    """

    def __init__(self, plan: LayerPlan, weight: Tensor, bias: Tensor, back: Tensor, events_a_row: float = 0.0) -> None:
        self.plan = plan
        self.back = back
        self.number = FLOATS[weight.dtype]
        neurons = plan.shape[2]
        self.by_pieces = events_a_row >= MANY_A_ROW and neurons >= PIECE
        lanes = PIECE if self.by_pieces else LANES
        self.width = -(-neurons // lanes) * lanes
        self.inputs = weight.shape[1]
        self.weights = (weight.T.numpy(), bias.numpy())
        self.refresh()
        matrix = plan.layer.recurrent
        self.matrix = None if matrix is None else matrix.detach()
        decay, threshold = plan.spec.decay, plan.spec.threshold
        uniform = not isinstance(decay, Tensor) and not isinstance(threshold, Tensor)
        coefficients = (self._padded_coefficient(value) for value in plan.spec.coefficients())
        self.layer = layer_of(plan, coefficients, NOTHING[self.number], uniform=uniform)
        self.slope = slope_of(plan.spec.surrogate, weight.dtype)
        self.curve = curve_of(plan.spec.surrogate, self.number)

    def refresh(self) -> None:
        """Read the layer's present weights again: a view if they have the layout of the loops, else a copy."""
        columns, self.begin = (self._padded(weight) for weight in self.weights)
        self.columns = in_pieces(columns, PIECE) if self.by_pieces else columns

    def _padded_coefficient(self, value: Coefficient) -> np.ndarray:
        """Expand a coefficient to one number for each neuron, then zeros: [width]."""
        neurons = self.plan.shape[2]
        if not isinstance(value, Tensor):
            return _repeated(value, neurons, self.width, self.number)
        layout = self.plan.layout
        coefficient = layout.flat(value.detach().to(self.plan.nothing).expand(layout.features))
        return self._padded(coefficient.contiguous().numpy())

    def _padded(self, array: np.ndarray) -> np.ndarray:
        """Pad the last axis with zeros to `self.width`; return a contiguous array, without a needless copy."""
        missing = self.width - array.shape[-1]
        if not missing:
            return np.ascontiguousarray(array)
        room = np.zeros((*array.shape[:-1], self.width), array.dtype)
        room[..., : array.shape[-1]] = array
        return room

    def initial_state(self) -> Carry:
        """Return the zero state before the first step, padded [B, width]."""
        u, s = (torch.zeros(self.plan.shape[1], self.width, dtype=self.plan.nothing.dtype) for _ in range(2))
        return Carry(u, torch.zeros_like(u) if self.plan.second else self.plan.nothing, s)

    def without_padding(self, carry: Carry) -> Carry:
        """Return a view of a state without the padding of its rows."""
        neurons = self.plan.shape[2]
        return Carry(*(field[:, :neurons] if field.numel() else field for field in carry))

    def input_current(self, rows: Rows, words: np.ndarray) -> InputCurrent:
        """Return what the loops compute the layer's current from.

        `rows`: events that arrive, of size 0 where packed spikes do; `words`: packed spikes that arrive, of size 0
        where events do.
        """
        events = rows.indptr, rows.index, rows.value_as(self.number)
        return InputCurrent(self.begin[None], *events, words, self.columns, self.begin)

    def summed_input_current(self, saved: SavedActivations, rows: Rows) -> InputCurrent:
        """Return the input current of a layer `by_pieces`: summed beforehand, in the memory of `saved.x`."""
        current, indptr = rows_of(saved.x, self.plan.shape[2]), np.zeros(len(rows.indptr), np.int64)
        given = self.input_current(rows._replace(indptr=indptr), NOTHING[np.uint64])
        return given._replace(current=current, columns=NOTHING[self.number])

    @property
    def can_join_loop(self) -> bool:
        """Return whether the layer is a readout of one shared decay, which the previous layer's loop can compute.

        The joined loop carries gradient to the spikes of all steps. So the layer's plan must neither truncate the
        gradient after a window of steps nor detach the previous layer's output.
        """
        plan, layer = self.plan, self.layer
        is_plain = not (layer.fires or layer.second or layer.gained or plan.layer.recurrent is not None)
        is_cut = plan.apart or plan.window is not None
        return layer.uniform and is_plain and not is_cut

    def as_readout(self) -> BlockLayer | None:
        """Return the layer as one that does not fire, for a gradient of its potentials alone.

        Return None if such a gradient would pass through its spikes, by recurrence or a reset.
        """
        if self.plan.layer.recurrent is not None or not self.plan.spec.filters_alike:
            return None
        silent = copy.copy(self)
        silent.layer, silent.curve = self.layer._replace(fires=False), self.curve._replace(shape=codes.ATAN)
        return silent

    @property
    def decay(self) -> float:
        """Return the decay per step that all neurons share."""
        return self.layer.coefficients.decay[0]  # type: ignore[no-any-return]

    def readout_arguments(self, output: Tensor, carry: Carry) -> Readout:
        """Return what the previous layer's loop needs to advance this readout; it writes `output` and `carry`."""
        state = rows_of(carry.u, self.width)
        return Readout(self.columns, self.begin, state, self.decay, rows_of(output, self.plan.shape[2]))

    def forward_loop(
        self, rows: Rows, words: np.ndarray, saved: SavedActivations, carry: Carry, readout: Readout
    ) -> Callable[[int, int], tuple[int, int]]:
        """Return the forward loop, a function of a range [low, high) of samples.

        It writes `saved` and `carry`, advances `readout`, and returns how many packed spikes the layer and the
        readout received. A layer `by_pieces` first sums the currents of all steps, piece after piece of its
        neurons.

        `rows`: events that arrive; see `input_current`. `words`: packed spikes that arrive. `saved`: values of all
        steps. `carry`: state before the first step, padded; afterwards that of the last step. `readout`: a readout that
        follows, or an absent one.
        """
        layer = self.layer._replace(wires=self.recurrent_columns())  # V as it is in this pass
        states = States(*(rows_of(field, self.width) for field in carry))
        kept, batch = saved_rows(saved, self.plan.shape[2]), self.plan.shape[1]
        if not self.by_pieces:
            return functools.partial(advance, layer, self.input_current(rows, words), states, kept, readout, batch)
        summed, events = self.summed_input_current(saved, rows), self.input_current(rows, words)

        def forward(low: int, high: int) -> tuple[int, int]:
            row_events = events.indptr, events.index, events.value
            gather_pieces(*row_events, self.columns.ravel(), self.begin, summed.current, batch, low, high)
            return advance(layer, summed, states, kept, readout, batch, low, high)

        return forward

    def backward_loop(
        self, rows: Rows, words: np.ndarray, saved: SavedActivations, gradient: Tensor | None
    ) -> Callable[..., None]:
        """Return the backward loop, a function of gradients and of a range [low, high) of samples.

        `rows`: events that arrived; see `input_current`. `words`: packed spikes that arrived. `saved`: values of all
        steps. `gradient`: of the layer's output [T, B, M], or None.
        """
        _, batch, neurons = self.plan.shape
        layer = self.layer._replace(wires=self.recurrent_back_pieces())
        events = self.input_current(rows, words)
        arriving = self.summed_input_current(saved, rows) if self.by_pieces else events
        kept, window = saved_rows(saved, neurons), self.plan.window or self.plan.shape[0]
        nothing = NOTHING[self.number]
        from_output = ArrivingGradients(*self.gradient_rows(gradient), *[nothing] * 5)

        def backward(
            next_adjoint: np.ndarray, next_weights: np.ndarray, readout: ReadoutBack, out: np.ndarray,
            sums: Sums, low: int, high: int,
        ) -> None:  # fmt: skip
            """Run samples [low, high) backward: write the adjoint of the current to `out`, add gradients to `sums`.

            Only a first layer is computed `by_pieces`, so nothing reads its `out`: a temporary array replaces it.
            """
            adjoint = out
            if self.by_pieces:
                adjoint = np.empty((self.plan.shape[0] * (high - low), self.width), self.number)
            curve = self.curve._replace(psi=self.psi(saved, low, high))
            reaching = from_output._replace(next_adjoint=next_adjoint, next_weights=next_weights)
            backward_block(layer, curve, reaching, readout, kept, arriving, adjoint, sums, window, batch, low, high)
            if self.by_pieces:
                row_events = events.indptr, events.index, events.value
                scatter_pieces(*row_events, adjoint, sums.columns.ravel(), batch, low, high)

        return backward

    def padded_back_weights(self, width: int = 0) -> np.ndarray:
        """Return the weights that carry gradient back, in padded rows of at least `width` numbers."""
        (neurons, inputs), rows = self.back.shape, -(-self.plan.shape[2] // TOGETHER) * TOGETHER
        room = np.zeros((rows, max(width, -(-inputs // LANES) * LANES)), self.number)
        room[:neurons, :inputs] = self.back.numpy()
        return room

    def recurrent_columns(self) -> np.ndarray:
        """Return the present recurrent weights: transposed [M, width], or [1, width]; empty without recurrence."""
        if self.matrix is None:
            return NOTHING[self.number]
        return self._padded((self.matrix[None] if self.matrix.dim() == 1 else self.matrix.T).numpy())

    def recurrent_back_pieces(self) -> np.ndarray:
        """Copy the recurrent weights of the backward pass into pieces, or a row [1, width] if one-to-one.

        An empty array is returned where no gradient crosses them.
        """
        if not self.plan.sends_back:
            return NOTHING[self.number]
        back = self.plan.recurrent_back
        if back.dim() == 1:
            return self._padded(back[None].numpy())
        room = np.zeros((self.width, self.width), self.number)
        neurons = self.plan.shape[2]
        room[:neurons, :neurons] = back.numpy()
        return in_pieces(room)

    def zero_gradients(self) -> Sums:
        """Create zeros for the gradients of input weights, bias and recurrent weights, in one aligned array."""
        inputs = self.inputs
        wires = 0 if self.matrix is None else 1 if self.matrix.dim() == 1 else len(self.matrix)
        room = self.plan.nothing.new_zeros(inputs + 1 + wires, self.width).numpy()  # aligned, as NumPy's is not
        columns = room[:inputs].reshape(-1, PIECE if self.by_pieces else self.width)
        return Sums(columns, room[inputs], room[inputs + 1 :] if wires else NOTHING[self.number])

    def weight_gradient(self, columns: np.ndarray) -> Tensor:
        """Return the gradient of the input weights [M, K] from its columns or pieces, stored as the weights are."""
        by_columns, neurons = torch.from_numpy(columns), self.plan.shape[2]
        if not self.by_pieces:
            return by_columns[:, :neurons].T
        by_pieces = by_columns.view(-1, self.inputs, PIECE)
        if self.weights[0].flags.c_contiguous:
            return by_pieces.transpose(0, 1).reshape(self.inputs, self.width)[:, :neurons].T
        return by_pieces.transpose(1, 2).reshape(self.width, self.inputs)[:neurons]

    def gradient_rows(self, gradient: Tensor | None) -> tuple[np.ndarray, int]:
        """Return an output's gradient [T, B, M] as rows, and its rows per step: 0 if all steps share them."""
        if gradient is None:
            return NOTHING[self.number], 0
        is_constant = gradient.shape[0] > 1 and gradient.stride(0) == 0  # expanded over time, as of a loss of a sum
        array = (gradient[0] if is_constant else gradient).detach().contiguous().numpy()
        return array.reshape(-1, gradient.shape[-1]), 0 if is_constant else self.plan.shape[1]

    def psi(self, saved: SavedActivations, low: int, high: int) -> np.ndarray:
        """Return the surrogate derivative [T n, M] of samples [low, high); empty if the loops compute it."""
        surrogate = self.plan.spec.surrogate
        if surrogate is None or self.curve.shape != codes.GIVEN:
            return NOTHING[self.number]
        if self.slope is not None:
            return rows_of(self.slope.of(saved.x, low, high), self.plan.shape[2])
        slope = surrogate.derivative(saved.x[:, low:high].contiguous())
        return rows_of(slope.contiguous(), self.plan.shape[2])
