r"""Eligibilities: how each synapse has moved its neuron's state, carried forward in time a window at a time.

Of a neuron let x be what one step hands to the next: the fields of its state that are read again, and its spikes
filtered by the readout's decay :math:`\kappa`. All paths through the neuron alone are

.. math::
    x[t] = A[t] \, x[t-1] + d[t] \, I[t], \qquad E_{ij} = \partial x_i / \partial W_{ij}, \qquad
    \frac{dL}{dW_{ij}} = \sum_t \Lambda_i[t] \, E^{\bar s}_{ij}[t]

with :math:`\Lambda` what the rule sends to the filtered spikes. Stepping E would touch every synapse in every step.
Over a window, E at its end is linear in E at its start and in what arrived between, and so is the gradient; both
follow from adjoints of x over the window, which are as small as the neurons. A synapse is touched once a window,
by two products of matrices, and the sums are the same numbers.

Legend: n steps of a window, B batch, N neurons, K presynaptic signals, P adjoints side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer
from sgbench.networks.walk import Jacobians, TimeWindow, differentiated


class Eligibility:
    """Holds the traces of one layer's synapses, and the gradients that they make.

    Where all neurons of a layer have one decay and forget their spikes, a field's trace is the same in all of them
    and is kept once. After a filter that forgets at once, no trace of filtered spikes is kept; then all traces are
    of what arrives, as large as the neurons before, and the weights may be those of a convolution.

    Args:
        layer: of neurons that take one current; one that is not dense fulfils `why_not_shared`.
        kappa: decay of the filter after its spikes.
    """

    def __init__(self, layer: Layer, kappa: float | Tensor) -> None:
        self.layer = layer
        self.kappa = kappa
        self.filters = filters(kappa)
        self.shared = layer.neuron.filters_alike
        self.fields: list[int] | None = None  # of the state, those that a next step reads
        self.dense: list[Tensor] = []  # of each of x [B, N or 1, K]: inputs, bias and all-to-all recurrence
        self.paired: list[Tensor] = []  # of each of x [B, N]: one-to-one recurrence

    def advance(self, window: TimeWindow, learning: Tensor) -> None:
        """Add a window's share to the gradients, and move the traces to its end.

        Args:
            window: with Jacobians.
            learning: what the rule sends to the filtered spikes [n, B, N].
        """
        local: Jacobians = window.local  # type: ignore[assignment]
        if self.fields is None:
            self.fields = _carried_fields(local)
        loss, ends = self._functionals(local, window.before._fields.index("s"), learning)
        heard = self.layer.arriving(window.arriving)
        pre = self._presynaptic(heard, window.before.s)
        if isinstance(self.layer, ConvLayer):
            self._add_convolved(loss, pre, heard.shape[2])
        else:
            self._add_dense(loss, pre, heard.shape[2])
        self.dense = self._advance_traces(self.dense, ends, pre)
        if self.layer.recurrence == "one_to_one":
            self._advance_paired(loss, ends, window.before.s)

    def _functionals(
        self, local: Jacobians, spike: int, learning: Tensor
    ) -> tuple[_Functional, list[_Functional]]:
        """Return the window's share of the loss, and each entry of x at its end; one of equal neurons is run."""
        fields: list[int] = self.fields  # type: ignore[assignment]
        entries, filtered = range(len(fields)), [len(fields)] if self.filters else []
        if not self.shared:
            loss, *ends = _adjoints(local, fields, spike, self.kappa, learning, [*entries, *filtered])
            return loss, ends
        loss, *last = _adjoints(local, fields, spike, self.kappa, learning, filtered)
        one = _first_neuron(local)
        _, *ends = _adjoints(one, fields, spike, self.kappa, learning[:, :1, :1], entries)
        return loss, [*ends, *last]

    def _presynaptic(self, heard: Tensor, spikes: Tensor) -> Tensor:
        """Return the presynaptic input of each step [n, B, K]: inputs, 1 for the bias, and the last spikes."""
        parts = [heard, heard.new_ones(*heard.shape[:2], 1)]
        if self.layer.recurrence in ("all_to_all", "convolution"):
            parts.append(spikes)
        return torch.cat(parts, 2)

    def _advance_traces(self, traces: list[Tensor], ends: list[_Functional], pre: Tensor) -> list[Tensor]:
        """Advance the traces to the end of the window, in place where none depends on one moved before it."""
        by_sample = pre.transpose(0, 1)
        # Filtered spikes depend on all the rest and nothing on them, so the last trace moves first.
        old = traces if _is_triangular(ends) else [trace.clone() for trace in traces]
        advanced = list(traces) or [pre.new_empty(0)] * len(ends)
        for index in range(len(ends) - 1, -1, -1):
            of_current = ends[index].current.permute(1, 2, 0).expand(len(by_sample), -1, -1)
            if not traces:
                advanced[index] = torch.bmm(of_current, by_sample)
                continue
            factors = [start[..., None] for start in ends[index].start[: len(ends)]]
            moved = advanced[index].mul_(factors[index])
            for source, factor in enumerate(factors):
                if source != index and factor.any():
                    moved.addcmul_(factor, old[source])
            moved.baddbmm_(of_current, by_sample)
        return advanced

    def _advance_paired(self, loss: _Functional, ends: list[_Functional], spikes: Tensor) -> None:
        """Advance the traces of synapses from each neuron onto itself."""
        gradient, *moved = ((each.current * spikes).sum(0) for each in (loss, *ends))
        for source, trace in enumerate(self.paired):
            gradient = gradient + loss.start[source] * trace
            moved = [
                trace_before + each.start[source] * trace
                for trace_before, each in zip(moved, ends, strict=True)
            ]
        add_gradient(self.layer.recurrent, gradient.sum(0))
        self.paired = moved

    def _add_dense(self, loss: _Functional, pre: Tensor, inputs: int) -> None:
        """Add the gradients of weights between all pairs."""
        outer = loss.current.flatten(0, 1).T @ pre.flatten(0, 1)
        for start, trace in zip(loss.start, self.dense, strict=False):
            outer += torch.einsum("bn,bnk->nk", start, trace)
        add_gradient(self.layer.weight, outer[:, :inputs])
        add_gradient(self.layer.bias, outer[:, inputs])
        if self.layer.recurrence == "all_to_all":
            add_gradient(self.layer.recurrent, outer[:, inputs + 1 :])

    def _add_convolved(self, loss: _Functional, pre: Tensor, inputs: int) -> None:
        """Add the gradients of weights shared by many positions, from the window's steps and from traces."""
        layer: ConvLayer = self.layer  # type: ignore[assignment]
        slopes = torch.cat([loss.current.flatten(0, 1), *loss.start[: len(self.dense)]])
        signals = torch.cat([pre.flatten(0, 1), *(trace[:, 0] for trace in self.dense)])
        arriving, ones, spikes = signals.split([inputs, 1, signals.shape[1] - inputs - 1], 1)
        weight, bias = layer.weight_gradients(arriving, ones, slopes)
        add_gradient(layer.weight, weight)
        if layer.bias is not None:
            add_gradient(layer.bias, bias)
        if layer.recurrence == "convolution":
            add_gradient(layer.recurrent, layer.recurrent_gradient(spikes, slopes))


class Filtered:
    """Filters spikes by a leaky readout's decay, and computes the gradient of weights after them.

    Args:
        kappa: the decay.
    """

    def __init__(self, kappa: float | Tensor) -> None:
        self.kappa = kappa
        self.last: Tensor | None = None
        self.window = torch.empty(0)

    def series(self, spikes: Tensor) -> Tensor:
        """Filter a window of spikes [n, B, N] on from the last one; return the filtered value of each step."""
        filtered = []
        for now in spikes.unbind(0):
            self.last = now if self.last is None else self.kappa * self.last + now
            filtered.append(self.last)
        self.window = torch.stack(filtered)
        return self.window

    def paired(self, signal: Tensor) -> Tensor:
        """Compute the gradient [C, N] of the last window, from the slopes of outputs [n, B, C]."""
        return signal.flatten(0, 1).T @ self.window.flatten(0, 1)

    def advance(self, spikes: Tensor, signal: Tensor) -> Tensor:
        """Filter a window of spikes and return the gradient that its slopes make."""
        self.series(spikes)
        return self.paired(signal)


class _Functional(NamedTuple):
    """Holds a linear functional of x over a window, by what it depends on."""

    current: Tensor  # [n, B, N]
    start: tuple[Tensor, ...]  # of each of x before the window [B, N]


def _adjoints(
    local: Jacobians,
    fields: list[int],
    spike: int,
    kappa: float | Tensor,
    learning: Tensor,
    ends: Sequence[int],
) -> list[_Functional]:
    """Compute the window's share of the loss, and then the values at its end of these entries of x."""
    steps, passes = len(learning), len(ends) + 1
    of_x = [learning.new_zeros(passes, *learning.shape[1:]) for _ in range(len(fields) + 1)]
    for number, entry in enumerate(ends):
        of_x[entry][1 + number] = 1.0
    current = learning.new_zeros(passes, *learning.shape)
    for t in range(steps - 1, -1, -1):
        of_x[-1][0] += learning[t]
        of_fields = dict(zip(fields, of_x, strict=False))
        of_fields[spike] = of_fields[spike] + of_x[-1] if spike in of_fields else of_x[-1]
        for field, value in of_fields.items():
            drive = local.by_current[field]
            if drive is not None:
                current[:, t].addcmul_(drive[t], value)
        before = [torch.zeros_like(of_x[-1]) for _ in fields]
        for field, value in of_fields.items():
            for into, source in zip(before, fields, strict=True):
                slope = local.by_state[field][source]
                if slope is not None:
                    into.addcmul_(slope[t], value)
        of_x = [*before, kappa * of_x[-1]]
    return [_Functional(current[each], tuple(start[each] for start in of_x)) for each in range(passes)]


def _first_neuron(local: Jacobians) -> Jacobians:
    """Select the first neuron of the first sample [n, 1, 1]."""

    def first(slopes: Iterable[Tensor | None]) -> tuple[Tensor | None, ...]:
        return tuple(None if slope is None else slope[:, :1, :1] for slope in slopes)

    return Jacobians(first(local.by_current), tuple(first(row) for row in local.by_state))


def _is_triangular(ends: list[_Functional]) -> bool:
    """Return whether each of x at the end depends on those before it at the start, and on none after it."""
    count = len(ends)
    return not any(
        ends[target].start[source].any() for target in range(count) for source in range(target + 1, count)
    )


def _carried_fields(local: Jacobians) -> list[int]:
    """Name the fields of a state that a synapse moves and the next step reads."""
    fields = range(len(local.by_state))
    moved = {field for field in fields if local.by_current[field] is not None}
    for _ in fields:
        moved |= {
            field for field in fields if any(local.by_state[field][source] is not None for source in moved)
        }
    return [field for field in sorted(moved) if any(row[field] is not None for row in local.by_state)]


def traces_of(layer: Layer, kappa: float | Tensor) -> tuple[int, int]:
    """Count the traces that a layer keeps of each signal that arrives, and those of each synapse."""
    neuron = layer.neuron
    one = layer.weight.new_zeros(1, layer.neurons)
    fields = len(_carried_fields(differentiated(neuron, one, neuron.initial_state(one))[2]))
    filtered = int(filters(kappa))
    return (fields, filtered) if neuron.filters_alike else (0, fields + filtered)


def filters(kappa: float | Tensor) -> bool:
    """Return whether a filter of this decay hands anything to the next step."""
    return isinstance(kappa, Tensor) or kappa != 0.0


def why_not_shared(layer: ConvLayer, kappa: float | Tensor) -> tuple[str, str] | None:
    """Explain why traces of shared weights differ by position, and an override that avoids it, or None."""
    if not layer.neuron.filters_alike:
        return (
            "shares weights between neurons whose traces are not alike",
            "neuron=synaptic, neuron.reset=subtract and neuron.reset_gradient=detached",
        )
    if filters(kappa):
        return "shares weights, and its readout remembers the slopes of each place", "readout.beta=0"
    if layer.pool_out is not None and layer.pool_out.kind == "max":
        return "hands on the largest current of each window, of changing places", "network.pooling_of=spikes"
    return None


def add_gradient(parameter: Tensor | None, gradient: Tensor) -> None:
    """Add a gradient to the `.grad` of a parameter."""
    if parameter is not None:
        parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient
