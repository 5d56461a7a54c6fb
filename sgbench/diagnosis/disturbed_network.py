"""Disturbances of a trained network: coarse or noisy weights, unequal thresholds, longer steps.

Each function returns a disturbed copy and leaves the network unchanged.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.neurons.quantity import Decay, Quantity, Threshold

LOWEST_THRESHOLD = 0.05  # least factor on a neuron's threshold, which must stay above 0


def weights(network: Network) -> list[nn.Parameter]:
    own = {id(parameter) for layer in network.layers for parameter in layer.neuron.parameters()}  # type: ignore[union-attr, operator]
    own |= {id(parameter) for parameter in network.learnt_feedback}
    return [parameter for parameter in network.parameters() if id(parameter) not in own]


@torch.no_grad()
def with_bits(network: Network, severity: float, generator: torch.Generator) -> Network:
    r"""Round the weights of each tensor to b bits, evenly spaced and symmetric about 0.

    .. math:: w \mapsto q \, \mathrm{round}(w / q), \qquad q = \max|w| \,/\, (2^{b - 1} - 1)

    Source: Krishnamoorthi 2018, arXiv:1806.08342, section 2: symmetric uniform quantisation after training.
    """
    copied = copy.deepcopy(network)
    levels = 2 ** (int(severity) - 1) - 1
    for weight in weights(copied):
        quantum = weight.abs().max() / levels
        if quantum > 0:
            weight.copy_((weight / quantum).round() * quantum)
    return copied


@torch.no_grad()
def with_noise(network: Network, severity: float, generator: torch.Generator) -> Network:
    copied = copy.deepcopy(network)
    for weight in weights(copied):
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.add_(severity * weight.square().mean().sqrt() * drawn.to(weight))
    return copied


@torch.no_grad()
def with_mismatch(network: Network, severity: float, generator: torch.Generator) -> Network:
    """Multiply the threshold of each neuron by a Gaussian factor of mean 1."""
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
        layer.neuron.threshold = fixed(layer.neuron.threshold, values)
    return copied


@torch.no_grad()
def with_longer_steps(network: Network, severity: float, generator: torch.Generator) -> Network:
    r"""Let leaky neurons decay in one step as before in k steps, :math:`\beta \mapsto \beta^k`."""
    copied = copy.deepcopy(network)
    layers: list[Any] = list(copied.layers)
    for layer in layers:
        neuron = layer.neuron
        quantities = {name: quantity for name, quantity in neuron.named_children() if isinstance(quantity, Quantity)}
        gain = getattr(neuron, "input_gain", None)
        is_leaky = all(isinstance(quantity, Decay | Threshold) for quantity in quantities.values())
        if neuron.recurrence_spec() is None or not is_leaky or layer.taps or not quantities:
            raise InputError(f"layer '{layer.name}': only leaky neurons are defined by decays in longer steps")
        if gain is not None and gain.kind != "one":
            raise InputError(f"layer '{layer.name}': input_gain={gain.kind} changes with the step; it needs one")
        for name, quantity in quantities.items():
            if isinstance(quantity, Decay):
                setattr(neuron, name, fixed(quantity, quantity() ** int(severity)))
    return copied


def fixed(quantity: Quantity, value: Tensor | float) -> Quantity:
    """Return a quantity of the same kind and name that is not learnt.

    `quantity`: the neuron's decay or threshold; `value`: the new value, one number for the layer or one for each neuron
    [N].
    """
    options: dict[str, Any] = {"learn": "none", "features": None}
    if isinstance(value, Tensor) and value.ndim == 0:
        value = float(value)
    first = float(torch.as_tensor(value).flatten()[0])
    constant = (
        Threshold(first, **options)
        if isinstance(quantity, Threshold)
        else type(quantity)(quantity.name, first, **options)  # type: ignore[arg-type]
    )
    constant.spread = value if isinstance(value, Tensor) else None
    return constant
