"""Neurons of snnTorch as neurons that the engine runs, with the numbers that they have now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sgbench.custom import CustomSurrogate
from sgbench.errors import InputError
from sgbench.exchange.snntorch_weights import neurons_of_snntorch
from sgbench.neurons.base import Neuron
from sgbench.surrogates.atan import Atan
from sgbench.surrogates.base import Surrogate
from sgbench.surrogates.fast_sigmoid import FastSigmoid
from sgbench.surrogates.sigmoid import Sigmoid

STATES = ("mem", "syn", "spk")
"""Buffers that `init_hidden` keeps, which are no numbers of the neuron."""
KINDS = ("Leaky", "Synaptic", "RLeaky", "RSynaptic")
KNOWN: dict[str, Callable[[dict[str, Any]], Surrogate]] = {
    "atan": lambda given: Atan(alpha=given["alpha"], width_fwhm=None, normalisation="raw", scale=1.0),
    "fast_sigmoid": lambda given: FastSigmoid(
        slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0
    ),
    "sigmoid": lambda given: Sigmoid(slope=given["slope"], width_fwhm=None, normalisation="raw", scale=1.0),
}
"""snnTorch's functions that the compiled engine knows by name, from what they were made with."""


def converted(module: Any, name: str, features: tuple[int, ...] | None, by: str = "accelerate") -> Neuron:
    """Make neurons of ours that do what a module of snnTorch does, for features of this shape where it is known.

    Args:
        module: of snnTorch.
        name: of the module, for messages.
        features: shape of one step of one sample; None where it is unknown.
        by: the function that was called, for messages.

    Raises:
        InputError: the module has an option that the engine does not do, or is another kind of neuron.
    """
    _require_plain(module, name, by)
    tensors = {key: value for key, value in module.state_dict().items() if key.split(".")[0] not in STATES}
    return neurons_of_snntorch(name, tensors, lambda: _surrogate(module), features)


def _require_plain(neuron: Any, name: str, by: str) -> None:
    """Refuse kinds and options of neurons that the engine treats otherwise, each by its name."""
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
    unsupported = next((option for option, given in options.items() if given), None)
    if unsupported is not None:
        raise InputError(
            f"{by}: module '{name}' has {unsupported}, which the engine does not do; leave it out"
        )


def _surrogate(neuron: Any) -> Surrogate:
    """Find the neuron's surrogate: our own object, one known by name, or one read off its backward pass."""
    given = neuron.spike_grad
    if isinstance(given, Surrogate):
        return given
    name = getattr(given, "__qualname__", "").partition(".")[0]
    cells = getattr(given, "__closure__", None) or ()
    if getattr(given, "__module__", "") == "snntorch.surrogate" and name in KNOWN:
        names = given.__code__.co_freevars
        return KNOWN[name]({key: cell.cell_contents for key, cell in zip(names, cells, strict=True)})

    def slope(u: Tensor) -> Tensor:
        with torch.enable_grad():
            free = u.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(given(free).sum(), free)
        return gradient

    return CustomSurrogate(slope)
