"""Tells snnTorch's spiking modules from others, and passes a gradient through their reset; needs no snnTorch."""

import functools
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sgbench.neurons.base import Neuron
from sgbench.surrogates.base import Surrogate

ResetGradient = Literal["attached", "detached"]
RESET_METHODS = ("mem_reset", "reset_mem")
"""Methods of snnTorch's neurons that `set_reset_gradient` replaces on an instance."""


class SpikeReset:
    r"""Computes the spikes that reset a neuron of snnTorch, with or without their gradient.

    It stands in for the neuron's method `mem_reset`, which detaches: the reset of u' = beta u + I - theta s passes
    the surrogate's slope psi on, du'/du = beta - theta psi(u - theta), if `attached`, and else beta alone.

    `neuron`: whose threshold and `spike_grad` are read in each call. `attached`: whether the spikes carry their
    gradient.
    """

    def __init__(self, neuron: Any, *, attached: bool) -> None:
        self.neuron, self.attached = neuron, attached

    def __call__(self, mem: Tensor) -> Tensor:
        centred, spike = mem - self.neuron.threshold, self.neuron.spike_grad
        if self.attached:
            return spike(centred)  # type: ignore[no-any-return]
        with torch.no_grad():  # `fire` makes no step that a surrogate would count
            return spike.fire(centred) if isinstance(spike, Surrogate) else spike(centred)


def set_reset_gradient(neuron: Any, reset_gradient: ResetGradient) -> None:
    """Make the reset of a neuron of snnTorch pass a gradient on, or not."""
    neuron.mem_reset = SpikeReset(neuron, attached=reset_gradient == "attached")
    if hasattr(neuron, "reset_mem"):
        neuron.reset_mem = functools.partial(_reset_mem, neuron)


def _reset_mem(neuron: Any) -> Any:
    """Set a neuron to rest, and drop the graph of its last reset, so that it can be copied as before."""
    if isinstance(getattr(neuron, "reset", None), Tensor):
        neuron.reset = neuron.reset.detach()
    return type(neuron).reset_mem(neuron)


def is_snntorch(module: nn.Module) -> bool:
    """Return whether a module is a spiking layer of snnTorch, or of a class derived from one."""
    return hasattr(module, "spike_grad") and any(
        base.__module__.startswith("snntorch.") for base in type(module).__mro__
    )


def spiking_modules(network: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the names and modules of a network's spiking layers, those of snnTorch and ours."""
    for name, module in network.named_modules():
        if is_snntorch(module) or (isinstance(module, Neuron) and module.output == "binary"):
            yield name, module


def reset_gradient_of(neuron: Any) -> ResetGradient:
    """Return whether gradient passes through the reset of a neuron of snnTorch or of ours.

    The `mem_reset` of somebody's subclass is called once to find out.
    """
    if isinstance(neuron, Neuron):
        potential = getattr(neuron, "next_potential", None)
        return "detached" if potential is None or potential.detached else "attached"
    reset = getattr(neuron, "mem_reset", None)
    if isinstance(reset, SpikeReset):
        return "attached" if reset.attached else "detached"
    if reset is None or str(getattr(reset, "__module__", "")).startswith("snntorch."):
        return "detached"
    with torch.enable_grad():
        potential = torch.zeros_like(neuron.threshold, requires_grad=True)
        return "attached" if reset(potential).requires_grad else "detached"
