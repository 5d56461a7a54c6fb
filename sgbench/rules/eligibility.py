r"""Eligibility traces: how each synapse has changed its neuron's state, updated once a window of steps.

Let x be what a neuron carries from step to step: the fields of its state that the next step reads, and its spikes
filtered by the readout's decay :math:`\kappa`. Along all paths through the neuron alone

.. math::
    x[t] = A[t] \, x[t-1] + d[t] \, I[t], \qquad E_{ij} = \partial x_i / \partial W_{ij}, \qquad
    \frac{dL}{dW_{ij}} = \sum_t \Lambda_i[t] \, E^{\bar s}_{ij}[t]

with the input current I, weights W, traces E and the learning signals :math:`\Lambda`, which the rule sends to the
filtered spikes. Updating E in every step would access every synapse in every step. But over a window, E at the end
and the gradient are linear in E at the start and in the presynaptic signals between. Their coefficients follow from
backward passes over the window, whose size is that of the neurons. So each synapse is accessed once a window, by
two matrix products, with the same result.

Legend: n steps of a window, B batch, N neurons, K presynaptic signals, P backward passes computed at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sgbench.networks.convolution import ConvLayer
from sgbench.networks.layers import Layer
from sgbench.networks.walk import Jacobians, TimeWindow, differentiate


class Eligibility:
    """Holds the eligibility traces of one layer's synapses, and adds their gradients to `.grad`.

    If all neurons of a layer filter their input alike, whatever they sent, a field's trace is equal for all of them
    and stored once. With kappa = 0 no trace of filtered spikes is needed; then there is one trace per presynaptic
    signal, and the weights may be those of a convolution.

    `layer`: a layer whose neurons take one current; dense, or one for which `why_traces_differ` returns None. `kappa`:
    decay of the filter of its spikes.
    """

    def __init__(self, layer: Layer, kappa: float | Tensor) -> None:
        self.layer = layer
        self.kappa = kappa
        self.has_filter = has_memory(kappa)
        self.shared = layer.neuron.filters_alike  # whether a trace is equal for all neurons
        self.fields: list[int] | None = None  # indices of the state's fields that x contains
        # For each entry of x [B, N or 1, K]: traces of inputs, bias and all-to-all recurrence.
        self.dense: list[Tensor] = []
        self.paired: list[Tensor] = []  # for each entry of x [B, N]: traces of one-to-one recurrence

    def advance(self, window: TimeWindow, learning: Tensor) -> None:
        """Add the gradients of a window's steps to `.grad`, and advance the traces to its end.

        `window`: states of the layer in the window, with the Jacobians of its neurons; `learning`: learning signals for
        the filtered spikes [n, B, N].
        """
        local: Jacobians = window.local  # type: ignore[assignment]
        if self.fields is None:
            self.fields = _carried_fields(local)
        loss, ends = self._window_functionals(local, window.before._fields.index("s"), learning)
        inputs = self.layer.arriving(window.arriving)
        pre = self._presynaptic(inputs, window.before.s)
        if isinstance(self.layer, ConvLayer):
            self._add_convolved(loss, pre, inputs.shape[2])
        else:
            self._add_dense(loss, pre, inputs.shape[2])
        self.dense = self._advance_traces(self.dense, ends, pre)
        if self.layer.recurrence == "one_to_one":
            self._advance_paired(loss, ends, window.before.s)

    def _window_functionals(
        self, local: Jacobians, spike: int, learning: Tensor
    ) -> tuple[_Functional, list[_Functional]]:
        """Compute the window's loss, and each entry of x at its end, as linear functionals.

        If all neurons filter alike, the state's entries are computed for one neuron only. `spike` is the index of the
        state's field of spikes.
        """
        fields: list[int] = self.fields  # type: ignore[assignment]
        state_entries, filter_entries = range(len(fields)), [len(fields)] if self.has_filter else []
        if not self.shared:
            entries = [*state_entries, *filter_entries]
            loss, *ends = _run_adjoints(local, fields, spike, self.kappa, learning, entries)
            return loss, ends
        loss, *filter_ends = _run_adjoints(local, fields, spike, self.kappa, learning, filter_entries)
        one_neuron = _first_neuron(local)
        _, *state_ends = _run_adjoints(one_neuron, fields, spike, self.kappa, learning[:, :1, :1], state_entries)
        return loss, [*state_ends, *filter_ends]

    def _presynaptic(self, inputs: Tensor, spikes: Tensor) -> Tensor:
        """Return the presynaptic signals of each step [n, B, K]: inputs, 1 for the bias, and the last spikes.

        The last spikes are those of the layer itself, if its recurrence is all-to-all or a convolution.
        """
        parts = [inputs, inputs.new_ones(*inputs.shape[:2], 1)]
        if self.layer.recurrence in ("all_to_all", "convolution"):
            parts.append(spikes)
        return torch.cat(parts, 2)

    def _advance_traces(self, traces: list[Tensor], ends: list[_Functional], pre: Tensor) -> list[Tensor]:
        """Return the traces at the end of the window, computed in place.

        `pre`: presynaptic signals of the window [n, B, K].
        """
        by_sample = pre.transpose(0, 1)
        # Mostly an entry depends on those before it only: then the last is updated first, else from copies.
        old = traces if _is_triangular(ends) else [trace.clone() for trace in traces]
        advanced = list(traces) or [pre.new_empty(0)] * len(ends)
        for index in range(len(ends) - 1, -1, -1):
            of_current = ends[index].current.permute(1, 2, 0).expand(len(by_sample), -1, -1)
            if not traces:  # the first window, before which all traces are 0
                advanced[index] = torch.bmm(of_current, by_sample)
                continue
            factors = [start[..., None] for start in ends[index].start[: len(ends)]]
            trace = advanced[index].mul_(factors[index])
            for source, factor in enumerate(factors):
                if source != index and factor.any():
                    trace.addcmul_(factor, old[source])
            trace.baddbmm_(of_current, by_sample)
        return advanced

    def _advance_paired(self, loss: _Functional, ends: list[_Functional], spikes: Tensor) -> None:
        """Add the gradient of one-to-one recurrent weights, and advance their traces to the end of the window.

        `ends`: entries of x at the end, as functionals; `spikes`: the layer's spikes of the step before each step [n,
        B, N].
        """
        gradient, *advanced = ((each.current * spikes).sum(0) for each in (loss, *ends))
        for source, trace in enumerate(self.paired):
            gradient = gradient + loss.start[source] * trace
            advanced = [partial + end.start[source] * trace for partial, end in zip(advanced, ends, strict=True)]
        add_gradient(self.layer.recurrent, gradient.sum(0))
        self.paired = advanced

    def _add_dense(self, loss: _Functional, pre: Tensor, inputs: int) -> None:
        """Add the gradients of dense weights: from this window's signals, and by the traces from earlier ones."""
        outer = loss.current.flatten(0, 1).T @ pre.flatten(0, 1)
        for start, trace in zip(loss.start, self.dense, strict=False):
            outer += torch.einsum("bn,bnk->nk", start, trace)
        add_gradient(self.layer.weight, outer[:, :inputs])
        add_gradient(self.layer.bias, outer[:, inputs])
        if self.layer.recurrence == "all_to_all":
            add_gradient(self.layer.recurrent, outer[:, inputs + 1 :])

    def _add_convolved(self, loss: _Functional, pre: Tensor, inputs: int) -> None:
        """Add the gradients of a convolution's weights, as `_add_dense` does those of dense ones."""
        layer: ConvLayer = self.layer  # type: ignore[assignment]
        # The signals and slopes of the window's steps, then each trace from earlier windows with its own slope.
        slopes = torch.cat([loss.current.flatten(0, 1), *loss.start[: len(self.dense)]])
        signals = torch.cat([pre.flatten(0, 1), *(trace[:, 0] for trace in self.dense)])
        arriving, ones, spikes = signals.split([inputs, 1, signals.shape[1] - inputs - 1], 1)
        weight, bias = layer.weight_gradients(arriving, ones, slopes)
        add_gradient(layer.weight, weight)
        if layer.bias is not None:
            add_gradient(layer.bias, bias)
        if layer.recurrence == "convolution":
            add_gradient(layer.recurrent, layer.recurrent_gradient(spikes, slopes))


class SpikeFilter:
    """Filters spikes by a leaky readout's decay, and computes the gradient of the weights that follow.

    `kappa`: decay of the filter per step.
    """

    def __init__(self, kappa: float | Tensor) -> None:
        self.kappa = kappa
        self.last: Tensor | None = None  # filtered value of the last step [B, N]
        self.window = torch.empty(0)  # filtered values of the last window [n, B, N]

    def filter(self, spikes: Tensor) -> Tensor:
        """Filter a window of spikes, continuing from the window before: [n, B, N] to [n, B, N]."""
        filtered = []
        for step in spikes.unbind(0):
            self.last = step if self.last is None else self.kappa * self.last + step
            filtered.append(self.last)
        self.window = torch.stack(filtered)
        return self.window

    def gradient(self, slopes: Tensor) -> Tensor:
        """Compute the gradient of weights [C, N] in the last window, from its slopes by the outputs [n, B, C]."""
        return slopes.flatten(0, 1).T @ self.window.flatten(0, 1)

    def advance(self, spikes: Tensor, slopes: Tensor) -> Tensor:
        """Filter a window of spikes [n, B, N], and return the gradient [C, N] by its slopes [n, B, C]."""
        self.filter(spikes)
        return self.gradient(slopes)


class _Functional(NamedTuple):
    """Holds a linear function of a window's currents and of x at its start, by its coefficients."""

    current: Tensor  # for the current of each step [n, B, N]
    start: tuple[Tensor, ...]  # for each entry of x before the window [B, N]


def _run_adjoints(
    local: Jacobians, fields: list[int], spike: int, kappa: float | Tensor, learning: Tensor, ends: Sequence[int]
) -> list[_Functional]:
    """Compute the window's loss, then some entries of x at its end, as linear functionals, by one backward loop.

    `local`: Jacobians of the neurons in the window. `fields`: indices of the state's fields that x contains; the
    filtered spikes are its last entry. `spike`: index of the state's field of spikes. `kappa`: decay of the filter.
    `learning`: learning signals [n, B, N]. `ends`: wanted entries of x.
    """
    steps, passes = len(learning), len(ends) + 1  # pass 0 is for the loss
    of_x = [learning.new_zeros(passes, *learning.shape[1:]) for _ in range(len(fields) + 1)]  # adjoint of each entry
    for number, entry in enumerate(ends):
        of_x[entry][1 + number] = 1.0
    current = learning.new_zeros(passes, *learning.shape)
    for t in range(steps - 1, -1, -1):
        of_x[-1][0] += learning[t]
        of_fields = dict(zip(fields, of_x, strict=False))
        # The filtered spikes are made of the step's spikes, which may be a field of the state, too.
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
    """Return the Jacobians of the first neuron in the first sample, of shape [n, 1, 1]."""

    def first(slopes: Iterable[Tensor | None]) -> tuple[Tensor | None, ...]:
        return tuple(None if slope is None else slope[:, :1, :1] for slope in slopes)

    return Jacobians(first(local.by_current), tuple(first(row) for row in local.by_state))


def _is_triangular(ends: list[_Functional]) -> bool:
    """Return whether no entry of x at the end depends on a later entry at the start."""
    count = len(ends)
    return not any(ends[target].start[source].any() for target in range(count) for source in range(target + 1, count))


def _carried_fields(local: Jacobians) -> list[int]:
    """Return the indices of the state's fields that depend on the current and that the next step reads."""
    fields = range(len(local.by_state))
    dependent = {field for field in fields if local.by_current[field] is not None}
    for _ in fields:  # over one more step each time, until no field is added
        for field, row in enumerate(local.by_state):
            if any(row[source] is not None for source in dependent):
                dependent.add(field)
    return [field for field in sorted(dependent) if any(row[field] is not None for row in local.by_state)]


def traces_per_synapse(layer: Layer, kappa: float | Tensor) -> tuple[int, int]:
    """Return the number of traces per presynaptic signal, and the number of traces per synapse, in that order."""
    neuron = layer.neuron
    current = layer.weight.new_zeros(1, layer.neurons)
    local = differentiate(neuron, current, neuron.initial_state(current))[2]
    fields, filtered = len(_carried_fields(local)), int(has_memory(kappa))
    return (fields, filtered) if neuron.filters_alike else (0, fields + filtered)


def has_memory(kappa: float | Tensor) -> bool:
    """Return whether a filter of this decay keeps anything for the next step: it is not 0, or a tensor."""
    return isinstance(kappa, Tensor) or kappa != 0.0


def why_traces_differ(layer: ConvLayer, kappa: float | Tensor) -> tuple[str, str] | None:
    """Explain why a convolution's traces differ by position, so that its weights cannot share them.

    Returns the end of an error message and overrides that avoid it; None if the traces can be shared.
    """
    if not layer.neuron.filters_alike:
        return (
            "shares weights between neurons whose traces are not alike",
            "neuron=synaptic, neuron.reset=subtract and neuron.reset_gradient=detached",
        )
    if has_memory(kappa):
        return "shares weights, and its readout remembers the slopes of each place", "readout.beta=0"
    if layer.pool_out is not None and layer.pool_out.kind == "max":
        return "hands on the largest current of each window, of changing places", "network.pooling_of=spikes"
    return None


def add_gradient(parameter: Tensor | None, gradient: Tensor) -> None:
    if parameter is not None:
        parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient
