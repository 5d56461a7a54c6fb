"""Parts that generated loops compute besides a layer's neurons: its current from events, and a readout after it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fastspiking import scan
from fastspiking.arrays import FLOATS, NOTHING, bits_of
from fastspiking.block_layer import BlockLayer
from fastspiking.kernels.arguments import EventGradients, InputCurrent, ReadoutBack
from fastspiking.layer import EngineLayer, LayerRun, synapses_of, ways_back
from fastspiking.layout import Layout
from fastspiking.numba_events import Rows, Sent, no_readout
from fastspiking.numba_steps import NumbaSteps
from fastspiking.plan import Carry, Keep
from fastspiking.recursion import LayerOutcome
from fastspiking.signals.spikes import SparseSpikes


class ArrivingEvents:
    """Holds the events that arrive at a layer, and the weights by which the loops compute its current from them.

    `events`: [T, B, K]; `weight`: [M, K], from K inputs to M neurons; `bias`: [M] or None.
    """

    def __init__(self, events: SparseSpikes, weight: Tensor, bias: Tensor | None) -> None:
        self.number = FLOATS[weight.dtype]
        self.columns = weight.detach().T.contiguous()
        self.learns_bias = bias is not None
        self.bias = self.columns.new_zeros(self.columns.shape[1]) if bias is None else bias.detach()
        rows = Rows.of(events)
        self.events = (rows.indptr, rows.index, rows.value_as(self.number))

    def driven(self) -> InputCurrent:
        """Return the events and weights as the argument `driven` of the forward loop."""
        nothing, words = NOTHING[self.number], NOTHING[np.uint64]
        return InputCurrent(nothing, *self.events, words, self.columns.numpy(), self.bias.contiguous().numpy())

    def taken(self, sums: Tensor) -> EventGradients:
        """Return the argument `taken` of the backward loop, which adds gradients to `sums` [K + 1, M]."""
        gradients = sums.numpy()
        return EventGradients(*self.events, gradients[:-1], gradients[-1])

    def gradients(self, sums: Tensor) -> list[Tensor | None]:
        """Return the gradients of weight and bias (None without one) from `sums` [K + 1, M] over the batch."""
        return [sums[:-1].T, sums[-1] if self.learns_bias else None]

    def zeros(self) -> Tensor:
        """Create zeros [K + 1, M] to sum gradients in: K rows of weights, and a last one of the bias."""
        return self.columns.new_zeros(len(self.columns) + 1, self.columns.shape[1])


class ReadoutAlong:
    """Runs a readout in the loops of the layer before it; see `kernels.readout`.

    `layer`: the readout, for which `generated.can_join_loop` is true; `room`: memory for its output [T, B, M];
    `keep_u`: whether its potentials are wanted.
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
        self.carry: Carry = self.block.initial_state()
        self.output = room

    def sent(self, words: Tensor) -> Sent:
        """Return the argument `sent` of the forward loop; `words` [T, B, blocks of 64] takes the packed spikes."""
        return bits_of(words), self.block.readout_arguments(self.output, self.carry)

    def last(self) -> Tensor:
        """Return the potential [B, M] after the last step."""
        return self.block.without_padding(self.carry).u

    def outcome(self, output: Tensor, last: Tensor) -> LayerRun:
        """Return the readout's run, given its output [T, B, M] and last potential [B, M] with autograd history."""
        return scan.layer_run(self.plan, LayerOutcome(output, None, last, None, None), self.begin, keep_u=self.keep_u)

    def gradients(self, columns: np.ndarray, bias: np.ndarray) -> list[Tensor | None]:
        """Return the gradients of weight and bias (None without one), given their padded sums over the batch."""
        classes = self.plan.shape[2]
        d_bias = torch.from_numpy(bias)[:classes] if self.learns_bias else None
        return [torch.from_numpy(columns)[:, :classes].T, d_bias]

    def read_back(self, output: Tensor | None, last: Tensor | None, words: Tensor) -> ReadoutBack:
        """Return the argument `read_back` of the backward loop, without the sums that each part of the batch has.

        `output` and `last` are the gradients of the readout's output and last potential, or None; `words` are the
        packed spikes that it received.
        """
        if last is not None:
            output = torch.zeros_like(self.output) if output is None else output.clone()
            output[-1] += last
        _, back = no_readout(self.block.number)
        gradient, per_step = self.block.gradient_rows(output)
        return back._replace(
            gradient=gradient, per_step=per_step, weights=self.block.padded_back_weights(), decay=self.block.decay,
            words=bits_of(words),
        )  # fmt: skip
