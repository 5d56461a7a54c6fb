"""Disturbances of a trained network: coarse or noisy weights, unequal thresholds, longer steps.

Each returns a copy; the network itself stays as it is.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.neurons.quantity import Decay, Quantity, Threshold

LOWEST_THRESHOLD = 0.05
"""By the neuron's own, below which no mismatch goes: a threshold of 0 would be no neuron."""


def weights(network: Network) -> list[nn.Parameter]:
    """Collect the weights of synapses, biases among them: what is learnt but for the neurons' own numbers."""
    own = {id(parameter) for layer in network.layers for parameter in layer.neuron.parameters()}  # type: ignore[union-attr, operator]
    own |= {id(parameter) for parameter in network.learnt_feedback}
    return [parameter for parameter in network.parameters() if id(parameter) not in own]


@torch.no_grad()
def with_bits(network: Network, severity: float, generator: torch.Generator) -> Network:
    r"""Round the weights of each tensor to b bits, evenly spaced and symmetric about 0.

    .. math:: w \mapsto q \, \mathrm{round}(w / q), \qquad q = \max|w| \,/\, (2^{b - 1} - 1)

    Args:
        network: stays as it is.
        severity: b, at least 2.
        generator: nothing is drawn.

    Source: Krishnamoorthi 2018, arXiv:1806.08342, section 2: symmetric uniform quantisation after training.
    """
    copied = copy.deepcopy(network)
    levels = 2 ** (int(severity) - 1) - 1
    for weight in weights(copied):
        unit = weight.abs().max() / levels
        if unit > 0:
            weight.copy_((weight / unit).round() * unit)
    return copied


@torch.no_grad()
def with_noise(network: Network, severity: float, generator: torch.Generator) -> Network:
    """Add normal numbers to the weights.

    Args:
        network: stays as it is.
        severity: standard deviation, by the root of the mean square of each tensor's weights.
        generator: of the numbers.
    """
    copied = copy.deepcopy(network)
    for weight in weights(copied):
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.add_(severity * weight.square().mean().sqrt() * drawn.to(weight))
    return copied


@torch.no_grad()
def with_mismatch(network: Network, severity: float, generator: torch.Generator) -> Network:
    """Multiply the threshold of each neuron by a normal number around 1.

    Args:
        network: stays as it is.
        severity: standard deviation of the factor, which stays above 0.05.
        generator: of the factors.

    Raises:
        InputError: no neuron has a threshold of its own.
    """
    copied = copy.deepcopy(network)
    layers: list[Any] = [
        layer for layer in copied.layers if isinstance(getattr(layer.neuron, "threshold", None), Threshold)
    ]
    if not layers:
        raise InputError("no neurons of this network have a threshold that could differ")
    for layer in layers:
        factor = 1 + severity * torch.randn(layer.neurons, generator=generator, dtype=torch.float64)
        own = torch.as_tensor(layer.neuron.threshold(), dtype=torch.float64).cpu()
        values = (own * factor.clamp(min=LOWEST_THRESHOLD)).to(layer.weight)
        layer.neuron.threshold = held(layer.neuron.threshold, values)
    return copied


@torch.no_grad()
def with_longer_steps(network: Network, severity: float, generator: torch.Generator) -> Network:
    r"""Let leaky neurons decay by as much in one step as in k before, :math:`\beta \mapsto \beta^k`.

    Args:
        network: stays as it is.
        severity: k.
        generator: nothing is drawn.

    Raises:
        InputError: other neurons, whose equations are no decays alone, or weights that delay.
    """
    copied = copy.deepcopy(network)
    layers: list[Any] = list(copied.layers)
    for layer in layers:
        neuron = layer.neuron
        numbers = {
            name: quantity for name, quantity in neuron.named_children() if isinstance(quantity, Quantity)
        }
        gain = getattr(neuron, "input_gain", None)
        plain = all(isinstance(quantity, Decay | Threshold) for quantity in numbers.values())
        if neuron.recurrence_spec() is None or not plain or layer.taps or not numbers:
            raise InputError(
                f"layer '{layer.name}': only leaky neurons are defined by decays in longer steps"
            )
        if gain is not None and gain.kind != "one":
            raise InputError(
                f"layer '{layer.name}': input_gain={gain.kind} changes with the step; it needs one"
            )
        for name, quantity in numbers.items():
            if isinstance(quantity, Decay):
                setattr(neuron, name, held(quantity, quantity() ** int(severity)))
    return copied


def held(quantity: Quantity, value: Tensor | float) -> Quantity:
    """Return a neuron's number as a constant: not learnt, one for the layer or one a neuron."""
    options: dict[str, Any] = {"learn": "none", "features": None}
    if isinstance(value, Tensor) and value.ndim == 0:
        value = float(value)
    first = float(torch.as_tensor(value).flatten()[0])
    readouts = (
        Threshold(first, **options)
        if isinstance(quantity, Threshold)
        else type(quantity)(quantity.name, first, **options)  # type: ignore[arg-type]
    )
    readouts.spread = value if isinstance(value, Tensor) else None
    return readouts
