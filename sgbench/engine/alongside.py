"""Parts that a neuron's generated loops compute too: a current from events, and a readout after the layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sgbench.engine import scan
from sgbench.engine.arrays import FLOATS, NOTHING, bits_of
from sgbench.engine.block_layer import BlockLayer
from sgbench.engine.kernels.arguments import InputCurrent, ReadoutBack, Taken
from sgbench.engine.layer import EngineLayer, LayerRun, synapses_of, ways_back
from sgbench.engine.layout import Layout
from sgbench.engine.numba_events import Rows, Sent, no_readout
from sgbench.engine.numba_steps import NumbaSteps
from sgbench.engine.plan import Carry, Keep
from sgbench.engine.recursion import LayerOutcome
from sgbench.signals.spikes import SparseSpikes


class ArrivingEvents:
    """Holds events that arrive at a layer, and the weights that make its current of them.

    Args:
        rows: of the events.
        weight: [M, K].
        bias: [M] or None.
    """

    @staticmethod
    def of(events: SparseSpikes, weight: Tensor, bias: Tensor | None) -> ArrivingEvents:
        """Take packed spikes."""
        value = None if events.value is None else events.value.numpy()
        return ArrivingEvents(Rows(events.indptr.numpy(), events.index.numpy(), value), weight, bias)

    def __init__(self, rows: Rows, weight: Tensor, bias: Tensor | None) -> None:
        self.number = FLOATS[weight.dtype]
        self.columns = weight.detach().T.contiguous()
        self.learns_bias = bias is not None
        self.bias = self.columns.new_zeros(self.columns.shape[1]) if bias is None else bias.detach()
        self.events = (rows.indptr, rows.index, rows.value_as(self.number))

    def driven(self) -> InputCurrent:
        """Return the arguments of the forward loop."""
        nothing, words = NOTHING[self.number], NOTHING[np.uint64]
        return InputCurrent(
            nothing, *self.events, words, self.columns.numpy(), self.bias.contiguous().numpy()
        )

    def taken(self, sums: Tensor) -> Taken:
        """Return the arguments of the backward loop, its sums [K + 1, M] those of a part of the batch."""
        gradients = sums.numpy()
        return Taken(*self.events, gradients[:-1], gradients[-1])

    def gradients(self, sums: Tensor) -> list[Tensor | None]:
        """Return the gradients of weight and bias, from the sums over the batch."""
        return [sums[:-1].T, sums[-1] if self.learns_bias else None]

    def zeros(self) -> Tensor:
        """Create sums of gradients: of the columns, and of the bias in the last row."""
        return self.columns.new_zeros(len(self.columns) + 1, self.columns.shape[1])


class ReadoutAlong:
    """Runs a readout in the loops of the layer before it; see `kernels.readout`.

    Args:
        layer: that `generated.goes_along`.
        room: of its output [T, B, M].
        keep_u: whether potentials are wanted.
    """

    def __init__(self, layer: EngineLayer, room: Tensor, *, keep_u: bool) -> None:
        steps, like = len(room), room[0]
        self.begin = layer.neuron.initial_state(like)
        self.keep_u = keep_u
        weight, bias = synapses_of(layer)
        self.learns_bias = bias is not None
        keep = Keep(words=False, spikes=True, x=keep_u)
        layout, spec = Layout.of(like, leading=1), scan.spec_of(layer)
        self.plan = scan.make_plan(layer, spec, layout, self.begin, like, NumbaSteps(), steps, keep)
        weight = weight.detach()
        bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        back = ways_back(layer).weight
        self.block = BlockLayer(self.plan, weight, bias, weight if back is None else back.detach())
        self.carry: Carry = self.block.rest()
        self.output = room

    def sent(self, words: Tensor) -> Sent:
        """Return the arguments of the forward loop."""
        return bits_of(words), self.block.read_forward(self.output, self.carry)

    def last(self) -> Tensor:
        """Return the potential after the last step."""
        return self.block.seen(self.carry).u

    def outcome(self, output: Tensor, last: Tensor) -> LayerRun:
        """Return the readout's run from its output and last potential, which carry gradient."""
        return scan.layer_run(
            self.plan, LayerOutcome(output, None, last, None, None), self.begin, keep_u=self.keep_u
        )

    def gradients(self, columns: np.ndarray, bias: np.ndarray) -> list[Tensor | None]:
        """Return the gradients of weight and bias, in the shapes that these have, from the sums over the batch."""
        classes = self.plan.shape[2]
        d_bias = torch.from_numpy(bias)[:classes] if self.learns_bias else None
        return [torch.from_numpy(columns)[:, :classes].T, d_bias]

    def read_back(self, output: Tensor | None, last: Tensor | None, words: Tensor) -> ReadoutBack:
        """Return the values that all parts of the batch share in the backward pass."""
        if last is not None:
            output = torch.zeros_like(self.output) if output is None else output.clone()
            output[-1] += last
        _, back = no_readout(self.block.number)
        gradient, per_step = self.block.gradient_rows(output)
        return back._replace(
            gradient=gradient, per_step=per_step, weights=self.block.rows_of_weights(), decay=self.block.decay,
            words=bits_of(words),
        )  # fmt: skip
