"""A layer's numbers as the loops over blocks of samples take them: rows as wide as whole vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sgbench.engine.arrays import FLOATS, NOTHING, rows_of
from sgbench.engine.kernels import codes, pieces
from sgbench.engine.kernels.arguments import InputCurrent, Reaching, Readout, ReadoutBack, States, Sums
from sgbench.engine.kernels.backward import backward_block
from sgbench.engine.kernels.forward import advance
from sgbench.engine.kernels.sums import TOGETHER
from sgbench.engine.kernels.vectors import NARROW
from sgbench.engine.numba_events import Rows
from sgbench.engine.numba_steps import curve_of, layer_of, saved_rows, slope_of
from sgbench.engine.plan import Carry, LayerPlan, SavedActivations
from sgbench.engine.spec import Coefficient

MANY_A_ROW = 32  # events, from which on a layer's neurons are gone through by pieces
LANES = NARROW  # numbers of which a row has a multiple: what is too much is 0 and stays so


@functools.lru_cache(maxsize=256)
def _repeated(value: float, neurons: int, width: int, number: type) -> np.ndarray:
    """Return a row with one number for each neuron and zeros after them; it is not written into."""
    row = np.zeros(width, number)
    row[:neurons] = value
    return row


def in_pieces(weights: np.ndarray, columns: int = LANES) -> np.ndarray:
    """Copy rows of weights [K, M] into pieces of so many columns, one behind the other [M / columns K, columns]."""
    rows = torch.from_numpy(weights)  # whose memory begins where a vector does; NumPy's begins anywhere
    return rows.view(len(rows), -1, columns).transpose(0, 1).contiguous().view(-1, columns).numpy()


class BlockLayer:
    """Holds one layer's numbers, none of them as long as time.

    Args:
        plan: of the layer.
        weight: [M, K].
        bias: [M].
        back: [M, K] by which gradient goes back to what arrives; W itself mostly.
        events_a_row: of the events that are given, on average.
    """

    def __init__(
        self, plan: LayerPlan, weight: Tensor, bias: Tensor, back: Tensor, events_a_row: float = 0.0
    ) -> None:
        self.plan = plan
        self.back = back
        self.number = FLOATS[weight.dtype]
        neurons = plan.shape[2]
        self.width = -(-neurons // LANES) * LANES
        self.inputs = weight.shape[1]
        self.by_pieces = events_a_row >= MANY_A_ROW and neurons % pieces.PIECE == 0
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
        """Read the layer's present weights: a view where they lie as the loops read them, else a copy."""
        columns, self.begin = (self._padded(weight) for weight in self.weights)
        self.columns = in_pieces(columns, pieces.PIECE) if self.by_pieces else columns

    def _padded_coefficient(self, value: Coefficient) -> np.ndarray:
        """Expand a coefficient to one number for each neuron, padded with zeros [width]."""
        neurons = self.plan.shape[2]
        if not isinstance(value, Tensor):
            return _repeated(value, neurons, self.width, self.number)
        layout = self.plan.layout
        coefficient = layout.flat(value.detach().to(self.plan.nothing).expand(layout.features))
        return self._padded(coefficient.contiguous().numpy())

    def _padded(self, array: np.ndarray) -> np.ndarray:
        """Pad the last axis with zeros to `self.width`, contiguous; no copy is made where none is needed."""
        missing = self.width - array.shape[-1]
        if not missing:
            return np.ascontiguousarray(array)
        room = np.zeros((*array.shape[:-1], self.width), array.dtype)
        room[..., : array.shape[-1]] = array
        return room

    def rest(self) -> Carry:
        """Return the state before the first step."""
        u, s = (torch.zeros(self.plan.shape[1], self.width, dtype=self.plan.nothing.dtype) for _ in range(2))
        return Carry(u, torch.zeros_like(u) if self.plan.second else self.plan.nothing, s)

    def seen(self, carry: Carry) -> Carry:
        """Remove from a state the padding that only fills up vectors."""
        neurons = self.plan.shape[2]
        return Carry(*(field[:, :neurons] if field.numel() else field for field in carry))

    def arriving(self, rows: Rows, words: np.ndarray) -> InputCurrent:
        """Return what makes the layer's current: events in its float type, or the packed spikes that arrive."""
        events = rows.indptr, rows.index, rows.value_as(self.number)
        return InputCurrent(self.begin[None], *events, words, self.columns, self.begin)

    def arriving_summed(self, saved: SavedActivations, rows: Rows) -> InputCurrent:
        """Return what stands for a current that is summed by pieces, where x is to be written: no events."""
        current, indptr = rows_of(saved.x, self.width), np.zeros(len(rows.indptr), np.int64)
        given = self.arriving(rows._replace(indptr=indptr), NOTHING[np.uint64])
        return given._replace(current=current, columns=NOTHING[self.number])

    @property
    def traces(self) -> bool:
        """Return whether the layer is a readout of one decay, which the loop of the layer before can compute.

        Its gradient then goes back to the spikes of all steps, so that no window and no layer apart has it.
        """
        plan = self.plan
        more = plan.fires or plan.second or plan.gained or plan.layer.recurrent is not None
        cut = plan.apart or plan.window is not None
        return self.layer.uniform and not (more or cut)

    @property
    def decay(self) -> float:
        """Return the decay that all neurons share."""
        return self.layer.coefficients.decay[0]  # type: ignore[no-any-return]

    def read_forward(self, output: Tensor, carry: Carry) -> Readout:
        """Return the arguments by which the previous loop advances this readout; see `kernels.readout`."""
        state = rows_of(carry.u, self.width)
        return Readout(self.columns, self.begin, state, self.decay, rows_of(output, self.plan.shape[2]))

    def bound_forward(
        self, rows: Rows, words: np.ndarray, saved: SavedActivations, carry: Carry, readout: Readout
    ) -> Callable[[int, int], tuple[int, int]]:
        """Return the loop forward, to be called for ranges of samples.

        A layer `by_pieces` first sums the currents of all steps, one piece of its neurons after another. Any other
        layer sums the current of a step within the loop.
        """
        layer = self.layer._replace(wires=self.columns_of_wires())  # V as it is in this pass
        states = States(*(rows_of(field, self.width) for field in carry))
        kept, batch = saved_rows(saved, self.plan.shape[2]), self.plan.shape[1]
        if not self.by_pieces:
            return functools.partial(advance, layer, self.arriving(rows, words), states, kept, readout, batch)
        summed, events = self.arriving_summed(saved, rows), self.arriving(rows, words)

        def forward(low: int, high: int) -> tuple[int, int]:
            row_events = events.indptr, events.index, events.value
            pieces.gather_pieces(
                *row_events, self.columns.ravel(), self.begin, summed.current, batch, low, high
            )
            return advance(layer, summed, states, kept, readout, batch, low, high)  # type: ignore[no-any-return]

        return forward

    def bound_backward(
        self, rows: Rows, words: np.ndarray, saved: SavedActivations, gradient: Tensor | None
    ) -> Callable[..., None]:
        """Return the loop backward, to be called with the adjoint that arrives, what is written and the samples."""
        _, batch, neurons = self.plan.shape
        layer, events = self.layer._replace(wires=self.rows_of_wires()), self.arriving(rows, words)
        arriving = self.arriving_summed(saved, rows) if self.by_pieces else events
        kept, window = saved_rows(saved, neurons), self.plan.window or self.plan.shape[0]
        nothing = NOTHING[self.number]
        reaching = Reaching(*self.gradient_rows(gradient), *[nothing] * 5)

        def backward(
            next_adjoint: np.ndarray, next_weights: np.ndarray, readout: ReadoutBack, out: np.ndarray,
            sums: Sums, low: int, high: int,
        ) -> None:  # fmt: skip
            if self.by_pieces:
                out = np.empty((self.plan.shape[0] * (high - low), self.width), self.number)
            curve = self.curve._replace(psi=self.psi(saved, low, high))
            reached = reaching._replace(next_adjoint=next_adjoint, next_weights=next_weights)
            backward_block(
                layer, curve, reached, readout, kept, arriving, out, sums, window, batch, low, high
            )
            if self.by_pieces:
                row_events = events.indptr, events.index, events.value
                pieces.scatter_pieces(*row_events, out, sums.columns.ravel(), batch, low, high)

        return backward

    def rows_of_weights(self) -> np.ndarray:
        """Copy the weights of the way back into padded rows as wide as the layer before."""
        (neurons, inputs), rows = self.back.shape, -(-self.plan.shape[2] // TOGETHER) * TOGETHER
        room = np.zeros((rows, -(-inputs // LANES) * LANES), self.number)
        room[:neurons, :inputs] = self.back.numpy()
        return room

    def columns_of_wires(self) -> np.ndarray:
        """Return the present V transposed, padded rows [M, width] or [1, width]; empty without recurrence."""
        if self.matrix is None:
            return NOTHING[self.number]
        return self._padded((self.matrix[None] if self.matrix.dim() == 1 else self.matrix.T).numpy())

    def rows_of_wires(self) -> np.ndarray:
        """Copy V, or what is in its place on the way back, into pieces of [width, width] or a row [1, width].

        An empty array is returned where no gradient crosses it.
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
        """Create zeros for the gradients of columns, bias and V, in one piece that begins where a vector does."""
        inputs = self.inputs
        wires = 0 if self.matrix is None else 1 if self.matrix.dim() == 1 else len(self.matrix)
        room = self.plan.nothing.new_zeros(inputs + 1 + wires, self.width).numpy()  # NumPy's begins anywhere
        columns = room[:inputs].reshape(-1, pieces.PIECE if self.by_pieces else self.width)
        return Sums(columns, room[inputs], room[inputs + 1 :] if wires else NOTHING[self.number])

    def rows_of_gradient(self, columns: np.ndarray) -> np.ndarray:
        """Return the gradient of columns as rows [K, width]."""
        if not self.by_pieces:
            return columns
        rows = columns.reshape(-1, self.inputs, pieces.PIECE).transpose(1, 0, 2)
        return rows.reshape(self.inputs, self.width)

    def gradient_rows(self, gradient: Tensor | None) -> tuple[np.ndarray, int]:
        """Reshape an output's gradient to rows, and return its rows a step: 0 where all steps share one."""
        if gradient is None:
            return NOTHING[self.number], 0
        same = gradient.shape[0] > 1 and gradient.stride(0) == 0
        array = (gradient[0] if same else gradient).detach().contiguous().numpy()
        return array.reshape(-1, gradient.shape[-1]), 0 if same else self.plan.shape[1]

    def psi(self, saved: SavedActivations, low: int, high: int) -> np.ndarray:
        """Compute the surrogate derivative of a block whose surrogate has no compiled form."""
        surrogate = self.plan.spec.surrogate
        if surrogate is None or self.curve.shape != codes.GIVEN:
            return NOTHING[self.number]
        if self.slope is not None:
            return rows_of(self.slope.of(saved.x, low, high), self.plan.shape[2])
        slope = surrogate.derivative(saved.x[:, low:high].contiguous())
        return rows_of(slope.contiguous(), self.plan.shape[2])
