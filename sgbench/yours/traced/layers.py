"""Runs sequences of neurons' calls on the engine, with the weights before them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.yours.snntorch_neurons import Integrator, SnnTorchNeuron, can_integrate

SPARSE_SHARE = 0.25
"""Largest share of non-zero inputs for which matrix products process them one by one, as events."""


class GivenCurrent(nn.Module):
    """Wraps neurons as an engine layer without weights, whose input is the current itself."""

    cut = False
    recurrence = "none"
    recurrent: Tensor | None

    def __init__(self, name: str, neuron: Neuron) -> None:
        super().__init__()
        self.name, self.neuron = name, neuron
        self.recurrent = None

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        return None

    def current(self, x: Tensor) -> Tensor:
        return x

    def feedback(self, s: Tensor) -> Tensor:
        return torch.zeros_like(s)


class WithWeights(GivenCurrent):
    """Holds a layer of a user's neurons for one pass, with the weights that they have now."""

    def __init__(
        self, name: str, neuron: Neuron, weight: Tensor | None, bias: Tensor | None, module: Any, features: int
    ) -> None:
        super().__init__(name, neuron)
        self.given = weight, bias
        self.back: tuple[Callable[[Tensor], Tensor], ...] = ()  # a tuple, since a module would be registered
        wired = getattr(module, "recurrent", None)
        if wired is None:
            return
        self.back = (wired,)
        if isinstance(wired, nn.Linear):
            self.recurrence, self.recurrent = "all_to_all", wired.weight
            extra, matrix = wired.bias, wired.weight
            self.given = weight, extra if bias is None else bias if extra is None else bias + extra
            self.back = (lambda s: s @ matrix.T,)
        elif isinstance(wired, nn.Conv2d):
            self.recurrence, self.recurrent = "convolution", wired.weight
        else:
            value = torch.as_tensor(wired.V)
            self.recurrence, self.recurrent = "one_to_one", value.flatten().expand(features)

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        weight, bias = self.given
        return None if weight is None else (weight, bias)

    def current(self, x: Tensor) -> Tensor:
        weight, bias = self.given
        if weight is not None:
            return nn.functional.linear(x, weight, bias)
        return x if bias is None else x + bias

    def feedback(self, s: Tensor) -> Tensor:
        return self.back[0](s) if self.back else torch.zeros_like(s)


class NeuronLayer:
    """Runs one module of a user's neurons over all steps.

    Raises:
        InputError: the engine cannot run it.
    """

    def __init__(self, name: str, module: Any, features: Sequence[int]) -> None:
        self.name = name
        self.features = torch.Size(features)
        integrates = can_integrate(module)
        self.neuron: SnnTorchNeuron = (Integrator if integrates else SnnTorchNeuron)(module, name)
        self._require_shapes(module)

    def _require_shapes(self, module: Any) -> None:
        for key, value in self.neuron.numbers.items():
            if isinstance(value, Tensor):
                try:
                    fits = torch.broadcast_shapes(value.shape, self.features) == self.features
                except RuntimeError:
                    fits = False
                if not fits:
                    raise InputError(f"module '{self.name}' has {key} of shape {tuple(value.shape)}")
        wired: Any = getattr(module, "recurrent", None)
        if type(wired).__name__ == "RecurrentOneToOne":
            value = torch.as_tensor(wired.V)
            count = value.numel()
            if count != 1 and not (len(self.features) == 1 and count == self.features.numel()):
                raise InputError(f"module '{self.name}' has V of shape {tuple(value.shape)}")
        if isinstance(wired, nn.Linear) and len(self.features) != 1:
            raise InputError(f"module '{self.name}' feeds back along the last axis of several")

    def layer(self, module: Any, weight: Tensor | None, bias: Tensor | None) -> WithWeights:
        self.neuron.refresh(module)
        wired = module if getattr(module, "recurrent", None) is not None else None
        return WithWeights(self.name, self.neuron, weight, bias, wired, self.features.numel())

    def results(
        self, module: Any, output: Tensor, centred: Tensor | None, *, with_spikes: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return spikes, as the module sends them, and potentials, from the engine's output and its potential."""
        threshold = self.neuron.numbers["threshold"]
        if isinstance(self.neuron, Integrator):
            spikes, potential = module.spike_grad(output - module.threshold) if with_spikes else None, output
        else:
            spikes, potential = output, None if centred is None else centred + threshold
        if not with_spikes or spikes is None:
            return None, potential
        factor = module.graded_spikes_factor
        if factor.requires_grad or factor.numel() != 1 or float(factor) != 1:
            spikes = spikes * factor
        return spikes, potential

    def has_fired(self, module: Any, output: Tensor, begin: Any) -> bool:
        """Return whether neurons that were taken to stay silent have a potential at which they fire and reset.

        They are taken for neurons that fire from then on.
        """
        if not isinstance(self.neuron, Integrator) or self.neuron.reset == "none":
            return False
        potentials = [output] if begin is None else [output, begin.u]
        if all(bool((each <= module.threshold).all()) for each in potentials):
            return False
        self.neuron = SnnTorchNeuron(module, self.name)
        return True

    @property
    def sends_ones(self) -> bool:
        """Return whether the engine's output is the spikes that the module sends."""
        return not isinstance(self.neuron, Integrator)


class OurNeurons:
    """Runs neurons of the catalogue, or of a user's own, over all steps; see `NeuronLayer`."""

    sends_ones = True

    def has_fired(self, module: Any, output: Tensor, begin: Any) -> bool:
        return False

    def __init__(self, name: str, module: Any, features: Sequence[int]) -> None:
        self.name, self.neuron, self.features = name, module, torch.Size(features)
        if module.sees_all_steps:
            raise InputError(f"module '{name}' sees all steps at once")

    def layer(self, module: Any, weight: Tensor | None, bias: Tensor | None) -> WithWeights:
        return WithWeights(self.name, module, weight, bias, None, self.features.numel())

    def results(
        self, module: Any, output: Tensor, centred: Tensor | None, *, with_spikes: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return what the neurons send, and their potential minus the threshold."""
        return output, output if centred is None else centred
