"""Reads a layer's neurons and weights as plain numbers, for export to other libraries."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from fastspiking.spec import Coefficient, LinearSpec
from sgbench.errors import InputError
from sgbench.networks.base import Chain, DenseLayer, Network
from sgbench.networks.convolution import ConvLayer
from sgbench.surrogates.base import Surrogate

Layer = DenseLayer | ConvLayer


@dataclasses.dataclass(frozen=True)
class LayerNumbers:
    r"""Describes one layer by numbers, with the gains of its currents in the weights.

    .. math::
        i[t] &= \alpha i[t-1] + W x[t] + b + V s[t-1] \\
        u[t] &= \mathrm{kept}(\beta, u[t-1], s[t-1]) + i[t], \qquad s[t] = H(u[t] - \theta)
    """

    layer: Layer  # the layer, for its name, images, stride and pooling
    weight: Tensor  # W: [N, inputs], or filters [channels, inputs, height, width]
    bias: Tensor | None  # b, one for each row of W; None without biases
    # Recurrent weights V: [N] from each neuron to itself, [N, N], or filters; None without recurrence.
    recurrent: Tensor | None
    decay: Tensor  # beta, decay of the potential per step, float64 [N]
    synapse: Tensor | None  # alpha, decay of the current per step, float64 [N]; None for currents of one step
    threshold: Tensor | None  # theta, float64 [N]; None where nothing fires
    reset: str  # "subtract", "subtract_decayed" (before the decay), "zero" or "none"
    note: str = ""  # comment on what was added to V and is no weight of the network

    @property
    def name(self) -> str:
        return self.layer.name

    def scaled(self, gain: Tensor, reader: str) -> LayerNumbers:
        """Multiply the weights by a gain of each neuron's input, float64 [N]; `reader` is the library's name."""
        if bool((gain == 1).all()):
            return self
        rows = gain
        if isinstance(self.layer, ConvLayer):
            rows = gain.view(len(self.weight), -1)
            if bool((rows != rows[:, :1]).any()):
                raise self.refused(reader, "gains that differ within an image cannot go into its shared weights")
            rows = rows[:, 0]
        recurrent = self.recurrent
        if recurrent is not None:
            recurrent = _times(recurrent, gain if recurrent.dim() == 1 else rows)
        bias = None if self.bias is None else _times(self.bias, rows)
        return dataclasses.replace(self, weight=_times(self.weight, rows), bias=bias, recurrent=recurrent)

    def fed_back(self, weight: Tensor, note: str, reader: str) -> LayerNumbers:
        """Add to V a weight from each neuron to itself, float64 [N], and a note on it."""
        weight, recurrent = weight.to(self.weight.dtype), self.recurrent
        if recurrent is not None and recurrent.dim() not in (1, 2):
            raise self.refused(reader, f"reset={self.reset} cannot be joined with a convolution among neurons")
        total = weight
        if recurrent is not None:
            total = recurrent + (weight if recurrent.dim() == 1 else weight.diag())
        return dataclasses.replace(self, recurrent=total, note=note)

    def refused(self, reader: str, reason: str) -> InputError:
        fact, mark, remedy = reason.partition("; ")
        return InputError(f"layer '{self.name}': {fact}, so {reader} cannot hold it{mark}{remedy}")


def numbers_of(network: Network, reader: str) -> list[LayerNumbers]:
    if not isinstance(network, Chain):
        raise InputError(f"{reader}: {type(network).__name__} is no chain of layers, which alone is written")
    return [_numbers(require_steps(layer, reader), reader) for layer in network.layers]


def require_steps(layer: object, reader: str) -> Layer:
    """Return a layer; raise an `InputError` unless it is dense or convolutional and simulated step by step."""
    if not isinstance(layer, Layer) or layer.needs_all_steps is not None:
        reason = getattr(layer, "needs_all_steps", None) or f"layer '{getattr(layer, 'name', layer)}'"
        raise InputError(f"{reader} has no such layer: {reason}")
    return layer


def require_linear(layer: Layer, reader: str) -> LinearSpec:
    """Return the coefficients of a layer's leaky neurons, with a synaptic current or without."""
    kind = type(layer.neuron).__name__
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        raise InputError(f"layer '{layer.name}': {kind} is none of {reader}'s neurons, whose equations are linear")
    if isinstance(spec.surrogate, Surrogate):
        _require_step(layer.name, spec.surrogate, reader)
    absent = (spec.second_potential, spec.second_spike, spec.threshold_slope)
    synapse = spec.second is not None and is_zero(spec.input)
    if not all(map(is_zero, absent)) or not (synapse or (spec.second is None and is_zero(spec.coupling))):
        raise InputError(f"layer '{layer.name}': {kind} adapts or couples variables as none of {reader}'s neurons does")
    return spec


def is_zero(value: Coefficient) -> bool:
    return bool((torch.as_tensor(value) == 0).all())


def _require_step(name: str, surrogate: Surrogate, reader: str) -> None:
    """Raise an `InputError` unless neurons fire exactly where their potential exceeds the threshold."""
    if surrogate.output != "binary" or surrogate.stochastic or surrogate.firing is not None:
        raise InputError(
            f"layer '{name}': its spikes are not those of a step at threshold, which {reader}'s are; use a run of "
            f"firing=step and a surrogate without spikes of its own"
        )


def _numbers(layer: Layer, reader: str) -> LayerNumbers:
    spec = require_linear(layer, reader)
    weight, bias = layer.weights_in_use()

    def per_neuron(value: Coefficient) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64).detach().cpu().flatten().expand(layer.neurons)

    plain = LayerNumbers(
        layer=layer,
        weight=_copy(weight),
        bias=None if bias is None else _copy(bias),
        recurrent=None if layer.recurrent is None else _copy(layer.recurrent_in_use()),
        decay=per_neuron(spec.decay),
        synapse=None if spec.second is None else per_neuron(spec.second_decay),
        threshold=None if spec.surrogate is None else per_neuron(spec.threshold),
        reset=spec.reset if spec.surrogate is not None else "none",
    )
    if spec.second is None:
        return plain.scaled(per_neuron(spec.input), reader)
    return plain.scaled(per_neuron(spec.second_input) * per_neuron(spec.coupling), reader)


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().cpu().contiguous().clone()


def _times(weight: Tensor, gain: Tensor) -> Tensor:
    """Multiply each row of weights by a gain, float64 [rows], and round once to the weights' dtype."""
    column = gain.view(-1, *[1] * (weight.dim() - 1))
    return (weight.double() * column).to(weight.dtype)
