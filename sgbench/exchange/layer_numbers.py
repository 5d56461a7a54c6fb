"""A layer's neurons and weights as plain numbers, for export to other libraries."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from sgbench.engine.spec import Coefficient, LinearSpec
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

    layer: Layer  # whose name, images, stride and pooling hold
    weight: Tensor  # W
    bias: Tensor | None  # b, or None
    # V [N] (one to one), [N, N] (all to all) or of filters; None where no spike comes back.
    among: Tensor | None
    decay: Tensor  # beta, float64 [N]
    synapse: Tensor | None  # alpha, float64 [N]; None where currents are gone after their step
    threshold: Tensor | None  # theta, float64 [N]; None where nothing fires
    reset: str  # "subtract", "subtract_decayed", "zero" or "none", as `ResetPotential` has them
    note: str = ""  # on what stands in V and is no weight of the network

    @property
    def name(self) -> str:
        """Return the layer's name."""
        return self.layer.name

    def scaled(self, gain: Tensor, reader: str) -> LayerNumbers:
        """Multiply each neuron's input by a gain, float64 [N].

        Raises:
            InputError: gains that differ within an image, whose weights are shared.
        """
        if bool((gain == 1).all()):
            return self
        rows = gain
        if isinstance(self.layer, ConvLayer):
            rows = gain.view(len(self.weight), -1)
            if bool((rows != rows[:, :1]).any()):
                raise self.refused(
                    reader, "gains that differ within an image cannot go into its shared weights"
                )
            rows = rows[:, 0]
        among = self.among
        if among is not None:
            among = _times(among, gain if among.dim() == 1 else rows)
        bias = None if self.bias is None else _times(self.bias, rows)
        return dataclasses.replace(self, weight=_times(self.weight, rows), bias=bias, among=among)

    def fed_back(self, weight: Tensor, note: str, reader: str) -> LayerNumbers:
        """Add a recurrent weight from each neuron to itself, one step later, float64 [N].

        Raises:
            InputError: a convolution among the neurons, which has no room for it.
        """
        weight, among = weight.to(self.weight.dtype), self.among
        if among is not None and among.dim() not in (1, 2):
            raise self.refused(
                reader, f"reset={self.reset} cannot be joined with a convolution among neurons"
            )
        joined = weight if among is None else among + (weight if among.dim() == 1 else weight.diag())
        return dataclasses.replace(self, among=joined, note=note)

    def refused(self, reader: str, reason: str) -> InputError:
        """Return the error of a layer that cannot be exported to a reader."""
        fact, mark, remedy = reason.partition("; ")
        return InputError(f"layer '{self.name}': {fact}, so {reader} cannot hold it{mark}{remedy}")


def numbers_of(network: Network, reader: str) -> list[LayerNumbers]:
    """List the layers of a network as plain numbers.

    Args:
        network: a chain of dense and convolutional layers, in evaluation mode.
        reader: for whom, as messages say it.

    Raises:
        InputError: a network or neurons that such numbers do not tell.
    """
    if not isinstance(network, Chain):
        raise InputError(f"{reader}: {type(network).__name__} is no chain of layers, which alone is written")
    return [_numbers(require_steps(layer, reader), reader) for layer in network.layers]


def require_steps(layer: object, reader: str) -> Layer:
    """Require a dense or convolutional layer that is simulated step by step, and return it."""
    if not isinstance(layer, Layer) or layer.needs_all_steps is not None:
        reason = getattr(layer, "needs_all_steps", None) or f"layer '{getattr(layer, 'name', layer)}'"
        raise InputError(f"{reader} has no such layer: {reason}")
    return layer


def require_linear(layer: Layer, reader: str) -> LinearSpec:
    """Return the coefficients of a layer's leaky neurons, with a synapse or without.

    Raises:
        InputError: other neurons, or spikes that are not those of a step at threshold.
    """
    kind = type(layer.neuron).__name__
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        raise InputError(
            f"layer '{layer.name}': {kind} is none of {reader}'s neurons, whose equations are linear"
        )
    if spec.surrogate is not None:
        _require_step(layer.name, spec.surrogate, reader)
    absent = (spec.second_potential, spec.second_spike, spec.threshold_slope)
    synapse = spec.second is not None and is_zero(spec.input)
    if not all(map(is_zero, absent)) or not (synapse or (spec.second is None and is_zero(spec.coupling))):
        raise InputError(
            f"layer '{layer.name}': {kind} adapts or couples variables as none of {reader}'s neurons does"
        )
    return spec


def is_zero(value: Coefficient) -> bool:
    """Return whether a coefficient is 0 for all neurons."""
    return bool((torch.as_tensor(value) == 0).all())


def _require_step(name: str, surrogate: Surrogate, reader: str) -> None:
    """Refuse spikes of any function but a step at threshold."""
    if surrogate.output != "binary" or surrogate.stochastic or surrogate.firing is not None:
        raise InputError(
            f"layer '{name}': its spikes are not those of a step at threshold, which {reader}'s are; use a run of "
            f"firing=step and a surrogate without spikes of its own"
        )


def _numbers(layer: Layer, reader: str) -> LayerNumbers:
    """Read a layer's weights and coefficients; the weights include the gain of its currents."""
    spec = require_linear(layer, reader)
    weight, bias = layer.acting()

    def each(value: Coefficient) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64).detach().cpu().flatten().expand(layer.neurons)

    plain = LayerNumbers(
        layer=layer,
        weight=_kept(weight),
        bias=None if bias is None else _kept(bias),
        among=None if layer.recurrent is None else _kept(layer.recurrent_acting()),
        decay=each(spec.decay),
        synapse=None if spec.second is None else each(spec.second_decay),
        threshold=None if spec.surrogate is None else each(spec.threshold),
        reset=spec.reset if spec.surrogate is not None else "none",
    )
    gain = each(spec.input) if spec.second is None else each(spec.second_input) * each(spec.coupling)
    return plain.scaled(gain, reader)


def _kept(weight: Tensor) -> Tensor:
    return weight.detach().cpu().contiguous().clone()


def _times(weight: Tensor, gain: Tensor) -> Tensor:
    """Multiply each row by a gain, rounding once."""
    column = gain.view(-1, *[1] * (weight.dim() - 1))
    return (weight.double() * column).to(weight.dtype)
