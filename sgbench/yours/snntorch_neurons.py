"""Converts snnTorch's neurons to neurons that the engine runs, with the same parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sgbench.custom import CustomSurrogate
from sgbench.errors import InputError
from sgbench.exchange.snntorch_weights import neurons_of_snntorch
from sgbench.networks.snntorch_modules import reset_gradient_of
from sgbench.neurons.base import Neuron
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.surrogates.sigmoid import Sigmoid

STATE_BUFFERS = ("mem", "syn", "spk")
"""Buffers of snnTorch's neurons that hold their state (with `init_hidden`), not parameters."""
KINDS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic")
KNOWN_SURROGATES: dict[str, Callable[[dict[str, Any]], Surrogate]] = {
    "atan": lambda given: Atan(alpha=given["alpha"], width_fwhm=None, normalisation="raw", scale=1.0),
    "fast_sigmoid": lambda given: FastSigmoid(
        slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0
    ),
    "sigmoid": lambda given: Sigmoid(slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0),
}
"""Maps snnTorch's surrogates that the catalogue also has to functions that make ours from their parameters."""


def convert_neuron(
    module: Any, name: str, features: tuple[int, ...] | None, by: str = "accelerate"
) -> Neuron:
    """Make a catalogue neuron that computes the same as a module of snnTorch.

    Args:
        module: neurons of snnTorch.
        name: name of the module, for messages.
        features: shape of the current in one step of one sample; None if unknown.
        by: name of the called function, for messages.

    Raises:
        InputError: the module has an option that the engine lacks, or is another kind of neuron.
    """
    _require_plain(module, name, by)
    tensors = {
        key: value for key, value in module.state_dict().items() if key.split(".")[0] not in STATE_BUFFERS
    }
    neuron = neurons_of_snntorch(name, tensors, lambda: surrogate_of(module), features)
    potential: Any = neuron.next_potential
    potential.detached = reset_gradient_of(module) == "detached"
    return neuron


def _require_plain(neuron: Any, name: str, by: str) -> None:
    """Raise an InputError if the engine lacks the kind or an option of snnTorch's neurons in the module `name`."""
    if type(neuron).__name__ not in KINDS:
        raise InputError(
            f"{by}: module '{name}' is a {type(neuron).__name__}; one of {', '.join(KINDS)} is expected"
        )
    learnt = [
        key
        for key, parameter in neuron.named_parameters(recurse=False)
        if parameter.requires_grad and key != "V"
    ]
    options = {
        "learn_beta, learn_alpha or learn_threshold": bool(learnt),
        "inhibition=True": bool(getattr(neuron, "inhibition", False)),
        "state_quant": bool(getattr(neuron, "state_quant", False)),
        "surrogate_disable=True": bool(getattr(neuron, "surrogate_disable", False)),
        "reset_delay=False": getattr(neuron, "reset_delay", True) is False,
        "all_to_all=False": getattr(neuron, "all_to_all", True) is False,
    }
    unsupported = next((option for option, is_set in options.items() if is_set), None)
    if unsupported is not None:
        raise InputError(
            f"{by}: module '{name}' has {unsupported}, which the engine does not do; leave it out"
        )


def surrogate_of(neuron: Any) -> Surrogate:
    """Return a neuron's surrogate: one of sgbench, a known one of snnTorch, or one read from its backward pass."""
    spike_grad = neuron.spike_grad
    if isinstance(spike_grad, Surrogate):
        return spike_grad
    name = getattr(spike_grad, "__qualname__", "").partition(".")[0]
    cells = getattr(spike_grad, "__closure__", None) or ()
    if getattr(spike_grad, "__module__", "") == "snntorch.surrogate" and name in KNOWN_SURROGATES:
        names = spike_grad.__code__.co_freevars
        return KNOWN_SURROGATES[name](
            {key: cell.cell_contents for key, cell in zip(names, cells, strict=True)}
        )

    def slope(u: Tensor) -> Tensor:  # the gradient of spike_grad's backward pass
        with torch.enable_grad():
            free = u.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(spike_grad(free).sum(), free)
        return gradient

    return CustomSurrogate(slope)
