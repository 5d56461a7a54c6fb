"""Layers over time by compiled loops on a CPU: spikes are followed, not multiplied, and little is remembered."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sgbench.engine import scan
from sgbench.engine.layer import Layer, LayerRun
from sgbench.engine.layout import Layout
from sgbench.engine.recursion import Outcome
from sgbench.spikes import Events, Signal, dense

WEIGHT_DENSE = 0.2
"""Density of events above which the gradient of weights is a dense product."""


def refusal(layer: Layer, device: torch.device) -> str | None:
    """Why this layer cannot run here, or None where it can."""
    if device.type != "cpu":
        return "its loops are compiled for the CPU"
    if importlib.util.find_spec("numba") is None:
        return "numba is not installed"
    return scan.refusal(layer, device)


def unroll(layer: Layer, signal: Signal, state: Any, *, keep_u: bool, packed: bool) -> LayerRun:
    """Run one layer over time; see `reference.unroll`."""
    from sgbench.engine.numba_steps import NumbaSteps

    synapses = layer.synapses()
    steps = NumbaSteps(layer.recurrent)
    if synapses is None or not isinstance(signal, Events) or signal.density > scan.FORWARD_DENSE:
        current = layer.current(dense(signal))
        return scan.unroll_current(layer, current, state, steps, keep_u=keep_u, packed=packed)
    weight, bias = synapses
    like = weight.new_empty(signal.shape[1], weight.shape[0])
    layout = Layout.of(like, leading=1)
    begin = layer.neuron.initial_state(like) if state is None else state
    inputs = (signal.carrier, weight, bias)
    plan = scan.make_plan(
        layer, layout, begin, like, steps,
        count=signal.shape[0], packed=packed, keep_x=keep_u or scan.learns(layer, *inputs),
    )  # fmt: skip
    outcome = Outcome(plan, Gathered(signal, weight, bias), *inputs)
    return scan.finish(plan, outcome, begin, keep_u=keep_u)


class Gathered:
    """A current summed up from the weights of those inputs that are not zero, chunk by chunk.

    Args:
        events: input.
        weight: [M, K].
        bias: [M] or None.
    """

    def __init__(self, events: Events, weight: Tensor, bias: Tensor | None) -> None:
        self.events = replace(events, carrier=None)
        self.batch = events.shape[1]
        self.weight = weight.detach()
        self.rows = self.weight.T.contiguous()  # no copy where the weight lies by columns, as a layer's does
        self.bias = None if bias is None else bias.detach()
        self.sends_back = events.carrier is not None and events.carrier.requires_grad
        self.buffer: Tensor | None = None
        self.d_signal: Tensor | None = None
        self.d_rows: Tensor | None = None
        self.d_bias: Tensor | None = None

    def chunk(self, first: int, last: int) -> Tensor:
        """Current [n, B, M] in a buffer that the next chunk overwrites."""
        from sgbench.engine.numba_steps import add_rows

        out = self.slot(first, last)
        if self.bias is None:
            out.zero_()
        else:
            out.copy_(self.bias.expand_as(out))
        add_rows(self.events, first * self.batch, last * self.batch, self.rows, out)
        return out

    def slot(self, first: int, last: int) -> Tensor:
        """The buffer."""
        if self.buffer is None or len(self.buffer) < last - first:
            self.buffer = self.rows.new_empty(last - first, self.batch, self.rows.shape[1])
        return self.buffer[: last - first]

    def filled(self, first: int, last: int) -> None:
        """Add to the gradients of weight and bias, and send back to the layer that fired."""
        from sgbench.engine.numba_steps import add_products

        out = self.slot(first, last).view(-1, self.rows.shape[1])
        begin, end = first * self.batch, last * self.batch
        if self.d_rows is None:
            self.d_rows = torch.zeros_like(self.rows)
        if self.events.density > WEIGHT_DENSE:
            self.d_rows.addmm_(self.events.window(first, last).dense().flatten(0, 1).T, out)
        else:
            add_products(self.events, begin, end, out, self.d_rows)
        if self.bias is not None:
            self.d_bias = out.sum(0) if self.d_bias is None else self.d_bias + out.sum(0)
        if self.sends_back:
            if self.d_signal is None:
                self.d_signal = out.new_empty(self.events.shape)
            torch.mm(out, self.weight, out=self.d_signal[first:last].view(end - begin, -1))

    def gradients(self) -> tuple[Tensor | None, ...]:
        """Of the signal, the weight and the bias; given away, so that a second backward starts anew."""
        found = (self.d_signal, None if self.d_rows is None else self.d_rows.T, self.d_bias)
        self.buffer = self.d_signal = self.d_rows = self.d_bias = None
        return found
