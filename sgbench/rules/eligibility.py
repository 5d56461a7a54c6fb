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

from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.networks.layers import Layer
from sgbench.networks.walk import Jacobians, TimeWindow, differentiated
from sgbench.neurons.base import Neuron


class Eligibility:
    """Holds the traces of one layer's synapses, and the gradients that they make.

    Where all neurons of a layer decay alike and forget their spikes, a field's trace is the same in all of them and
    is kept once.

    Args:
        layer: dense, of neurons that take one current.
        kappa: decay of the filter behind its spikes.
    """

    def __init__(self, layer: Layer, kappa: float | Tensor) -> None:
        self.layer = layer
        self.kappa = kappa
        self.alike = has_equal_traces(layer.neuron)
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
        spike = window.before._fields.index("s")
        if self.fields is None:
            self.fields = _read_again(local)
        adjoints = _adjoints(local, self.fields, spike, self.kappa, learning)
        pre = self._presynaptic(window)
        outer = adjoints.current[0].flatten(0, 1).T @ pre.flatten(0, 1)
        for start, trace in zip(adjoints.start, self.dense, strict=bool(self.dense)):
            outer += torch.einsum("bn,bnk->nk", start[0], trace)
        self._add_dense(outer, window.arriving.shape[2])
        self.dense = self._moved(self.dense, adjoints, pre)
        if self.layer.recurrence == "one_to_one":
            self._advance_paired(adjoints, window.before.s)

    def _presynaptic(self, window: TimeWindow) -> Tensor:
        """Return the presynaptic input of each step [n, B, K]: inputs, 1 for the bias, and the last spikes."""
        one = window.arriving.new_ones(*window.arriving.shape[:2], 1)
        parts = [window.arriving, one]
        if self.layer.recurrence == "all_to_all":
            parts.append(window.before.s)
        return torch.cat(parts, 2)

    def _moved(self, traces: list[Tensor], adjoints: _Adjoints, pre: Tensor) -> list[Tensor]:
        """Advance the traces to the end of the window, in place where none depends on one moved before it."""
        by_sample, last = pre.transpose(0, 1), len(adjoints.start) - 1
        # Filtered spikes depend on all the rest and nothing on them, so the last trace moves first.
        old = traces if _is_triangular(adjoints) else [trace.clone() for trace in traces]
        advanced = list(traces) or [pre.new_empty(0)] * (last + 1)
        for place in range(last, -1, -1):
            neurons = slice(0, 1) if self.alike and place < last else slice(None)
            of_current = adjoints.current[1 + place][..., neurons].permute(1, 2, 0)
            if not traces:
                advanced[place] = torch.bmm(of_current, by_sample)
                continue
            factors = [start[1 + place][:, neurons, None] for start in adjoints.start]
            moved = advanced[place].mul_(factors[place])
            for source, factor in enumerate(factors):
                if source != place and factor.any():
                    moved.addcmul_(factor, old[source])
            moved.baddbmm_(of_current, by_sample)
        return advanced

    def _advance_paired(self, adjoints: _Adjoints, spikes: Tensor) -> None:
        """Advance the traces of synapses from each neuron onto itself."""
        sums = (adjoints.current * spikes).sum(1)
        gradient = sums[0]
        moved = list(sums[1:])
        for start, trace in zip(adjoints.start, self.paired, strict=bool(self.paired)):
            gradient = gradient + start[0] * trace
            moved = [trace_before + start[1 + place] * trace for place, trace_before in enumerate(moved)]
        add_gradient(self.layer.recurrent, gradient.sum(0))
        self.paired = moved

    def _add_dense(self, outer: Tensor, inputs: int) -> None:
        add_gradient(self.layer.weight, outer[:, :inputs])
        add_gradient(self.layer.bias, outer[:, inputs])
        if self.layer.recurrence == "all_to_all":
            add_gradient(self.layer.recurrent, outer[:, inputs + 1 :])


class Filtered:
    """Filters spikes by a leaky readout's decay, and computes the gradient of weights behind them.

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


class _Adjoints(NamedTuple):
    """Holds P linear functionals of x over a window, by what they depend on.

    The first is the window's share of the loss; the others are the values of x at its end.
    """

    current: Tensor  # [P, n, B, N]
    start: list[Tensor]  # of each of x before the window [P, B, N]


def _adjoints(
    local: Jacobians, fields: list[int], spike: int, kappa: float | Tensor, learning: Tensor
) -> _Adjoints:
    steps, passes = len(learning), len(fields) + 2
    of_x = [learning.new_zeros(passes, *learning.shape[1:]) for _ in range(len(fields) + 1)]
    for place, impulse in enumerate(of_x):
        impulse[1 + place] = 1.0
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
    return _Adjoints(current, of_x)


def _is_triangular(adjoints: _Adjoints) -> bool:
    """Return whether each of x at the end depends on those before it at the start, and on none behind it."""
    count = len(adjoints.start)
    return not any(
        adjoints.start[source][1 + place].any()
        for place in range(count)
        for source in range(place + 1, count)
    )


def _read_again(local: Jacobians) -> list[int]:
    """Name the fields of a state that the next step reads."""
    count = len(local.by_state)
    return [field for field in range(count) if any(row[field] is not None for row in local.by_state)]


def traces_of(layer: Layer) -> tuple[int, int]:
    """Count the traces that a layer keeps of each signal that arrives, and those of each synapse."""
    neuron = layer.neuron
    one = layer.weight.new_zeros(1, layer.neurons)
    fields = len(_read_again(differentiated(neuron, one, neuron.initial_state(one))[2]))
    return (fields, 1) if has_equal_traces(neuron) else (0, fields + 1)


def has_equal_traces(neuron: Neuron) -> bool:
    """Return whether a synapse's trace depends on what arrives alone, not on the neuron or its spikes.

    >>> from sgbench.neurons.leaky_readout import LeakyReadout
    >>> has_equal_traces(LeakyReadout(4, beta=0.9, learn_beta="none"))
    True
    """
    spec = neuron.recurrence_spec()
    if spec is None or spec.reset == "zero" or not (spec.detached or spec.reset == "none"):
        return False
    numbers = (
        spec.decay,
        spec.input,
        spec.coupling,
        spec.second_decay,
        spec.second_potential,
        spec.second_input,
    )
    return not any(isinstance(number, Tensor) for number in numbers) and not _acts(spec.second_spike)


def _acts(value: object) -> bool:
    return isinstance(value, Tensor) or value != 0.0


def add_gradient(parameter: Tensor | None, gradient: Tensor) -> None:
    """Add a gradient to the `.grad` of a parameter."""
    if parameter is not None:
        parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient
