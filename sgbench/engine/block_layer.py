"""A layer's numbers as the loops over blocks of samples take them: rows as wide as whole vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sgbench.engine.arrays import FLOATS, NOTHING, bits_of, rows_of
from sgbench.engine.kernels import codes
from sgbench.engine.kernels.sums import TOGETHER
from sgbench.engine.kernels.vectors import NARROW
from sgbench.engine.numba_events import Rows
from sgbench.engine.numba_steps import RESETS, SHAPES, WIRINGS, slope_of
from sgbench.engine.plan import Carry, LayerPlan, SavedActivations
from sgbench.engine.spec import Coefficient

LANES = NARROW  # numbers of which a row has a multiple: what is too much is 0 and stays so


@functools.lru_cache(maxsize=256)
def _repeated(value: float, neurons: int, width: int, number: type) -> np.ndarray:
    """Return a row with one number for each neuron and zeros behind them, which nobody writes into."""
    row = np.zeros(width, number)
    row[:neurons] = value
    return row


class BlockLayer:
    """Holds one layer's numbers, none of them as long as time.

    Args:
        plan: of the layer.
        weight: [M, K].
        bias: [M].
        back: [M, K] by which gradient goes back to what arrives; W itself mostly.
    """

    def __init__(self, plan: LayerPlan, weight: Tensor, bias: Tensor, back: Tensor) -> None:
        self.plan = plan
        self.back = back
        self.number = FLOATS[weight.dtype]
        neurons = plan.shape[2]
        self.width = -(-neurons // LANES) * LANES
        self.coefficients = tuple(self._wide_coefficient(value) for value in plan.spec.coefficients())
        decay, threshold = plan.spec.decay, plan.spec.threshold
        self.uniform = not isinstance(decay, Tensor) and not isinstance(threshold, Tensor)
        self.weights = (weight.T.numpy(), bias.numpy())
        self.columns, self.begin = (self._wide(weight) for weight in self.weights)
        self.matrix = None if plan.layer.recurrent is None else plan.layer.recurrent.detach()
        spec = plan.spec
        self.forward_options = (
            RESETS[spec.reset], plan.second, plan.gained, plan.fires, WIRINGS[plan.layer.recurrence],
        )  # fmt: skip
        attached = not spec.detached
        reset, *others = self.forward_options
        self.backward_options = (reset, attached, *others)
        kernel = None if spec.surrogate is None else spec.surrogate.kernel()
        known = (0.0, 0.0) if kernel is None else (kernel.steepness, kernel.height)
        shape = codes.GIVEN if kernel is None else SHAPES[kernel.shape]
        self.slope = slope_of(spec.surrogate, weight.dtype)
        self.curve = (shape, *(self.number(value) for value in known))

    def refresh(self) -> None:
        """Read the layer's present weights: a view where they lie as the loops read them, else a copy."""
        self.columns, self.begin = (self._wide(weight) for weight in self.weights)

    def _wide_coefficient(self, value: Coefficient) -> np.ndarray:
        """Expand a coefficient to the neurons, padded as the rows are."""
        neurons = self.plan.shape[2]
        if not isinstance(value, Tensor):
            return _repeated(value, neurons, self.width, self.number)
        layout = self.plan.layout
        coefficient = layout.flat(value.detach().to(self.plan.nothing).expand(layout.features))
        return self._wide(coefficient.contiguous().numpy())

    def _wide(self, array: np.ndarray) -> np.ndarray:
        """Pad an array with zeros to a whole number of vectors; return it unchanged if it already is one."""
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

    def events(self, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return indptr, index and value of events, the values in the layer's float type."""
        return rows.indptr, rows.index, rows.value_as(self.number)

    @property
    def traces(self) -> bool:
        """Return whether the layer is a readout of one decay, which can go along in the loop of the layer before.

        Its gradient then goes back to the spikes of all steps, so that no window and no layer apart has it.
        """
        plan = self.plan
        more = plan.fires or plan.second or plan.gained or plan.layer.recurrent is not None
        cut = plan.apart or plan.window is not None
        return self.uniform and not (more or cut)

    def read_forward(self, saved: SavedActivations, carry: Carry) -> tuple[Any, ...]:
        """Return the arguments by which the previous loop advances this readout; see `kernels.readout`."""
        state, output = rows_of(carry.u, self.width), rows_of(saved.x, self.plan.shape[2])
        return self.columns, self.begin, state, self.coefficients[0][0], output

    def nothing_to_read(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Return the placeholder of an absent readout, forward and backward."""
        rows, line, none = NOTHING[self.number], np.empty(0, self.number), self.number(0)
        return (rows, line, rows, none, rows), (rows, 0, rows, none, rows, line)

    def bound_forward(
        self,
        kernel: Callable[..., tuple[int, int]],
        rows: Rows,
        arriving: np.ndarray,
        saved: SavedActivations,
        carry: Carry,
        readout: tuple[Any, ...],
    ) -> Callable[[int, int], tuple[int, int]]:
        """Return the loop forward, to be called for ranges of samples."""
        _, batch, neurons = self.plan.shape
        wires = NOTHING[self.number]
        if self.matrix is not None:
            wires = self._wide((self.matrix[None] if self.matrix.dim() == 1 else self.matrix.T).numpy())
        return functools.partial(
            kernel,
            *self.events(rows),
            arriving,
            self.columns,
            self.begin,
            *(rows_of(field, self.width) for field in carry),
            self.coefficients,
            self.uniform,
            *self.forward_options,
            wires,
            *(rows_of(field, neurons) for field in (saved.x, saved.w, saved.spikes)),
            bits_of(saved.words),
            readout,
            batch,
        )

    def bound_backward(
        self,
        kernel: Callable[..., None],
        rows: Rows,
        arriving: np.ndarray,
        saved: SavedActivations,
        gradient: Tensor | None,
    ) -> Callable[..., None]:
        """Return the loop backward, to be called with what comes from behind, what is written and the samples."""
        grad_output, per_step = self.gradient_rows(gradient)
        _, batch, neurons = self.plan.shape
        x, seconds = rows_of(saved.x, neurons), rows_of(saved.w, neurons)
        window = self.plan.window or self.plan.shape[0]
        wires, words, events = self.rows_of_wires(), bits_of(saved.words), self.events(rows)

        def backward(
            next_adjoint: np.ndarray, next_weights: np.ndarray, readout: tuple[Any, ...], out: np.ndarray,
            sums: tuple[np.ndarray, ...], low: int, high: int,
        ) -> None:  # fmt: skip
            kernel(
                grad_output, per_step, next_adjoint, next_weights, readout, self.psi(saved, low, high), x,
                seconds, self.coefficients, self.uniform, *self.backward_options, wires, *self.curve, out,
                *events, arriving, words, *sums, window, batch, low, high,
            )  # fmt: skip

        return backward

    def rows_of_weights(self) -> np.ndarray:
        """Copy the weights of the way back into padded rows as wide as the layer before."""
        (neurons, inputs), rows = self.back.shape, -(-self.plan.shape[2] // TOGETHER) * TOGETHER
        room = np.zeros((rows, -(-inputs // LANES) * LANES), self.number)
        room[:neurons, :inputs] = self.back.numpy()
        return room

    def rows_of_wires(self) -> np.ndarray:
        """Copy V, or what is in its place on the way back, into padded rows [width, width] or [1, width].

        An empty array is returned where no gradient crosses it.
        """
        if not self.plan.sends_back:
            return NOTHING[self.number]
        back = self.plan.recurrent_back
        if back.dim() == 1:
            return self._wide(back[None].numpy())
        room = np.zeros((self.width, self.width), self.number)
        neurons = self.plan.shape[2]
        room[:neurons, :neurons] = back.numpy()
        return room

    def zero_gradients(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Create zeros for the gradients of columns, bias and V, in one piece that begins where a vector does."""
        inputs = len(self.columns)
        wires = 0 if self.matrix is None else 1 if self.matrix.dim() == 1 else len(self.matrix)
        room = self.plan.nothing.new_zeros(inputs + 1 + wires, self.width).numpy()  # NumPy's begins anywhere
        return room[:inputs], room[inputs], room[inputs + 1 :] if wires else NOTHING[self.number]

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
        if surrogate is None or self.curve[0] != codes.GIVEN:
            return NOTHING[self.number]
        if self.slope is not None:
            return rows_of(self.slope.of(saved.x, low, high), self.plan.shape[2])
        slope = surrogate.derivative(saved.x[:, low:high].contiguous())
        return rows_of(slope.contiguous(), self.plan.shape[2])
