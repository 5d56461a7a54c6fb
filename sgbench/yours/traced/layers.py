"""Presents a user's neurons to the engine as a layer: with the weights before them, and their feedback."""

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


class WeightedNeurons(nn.Module):
    """A layer as the engine takes it: neurons, the weights and bias before them, and their own recurrent weights.

    Without weights its input is the neurons' current. `wired`: module of the feedback, such as an RLeaky's linear
    layer or its one factor for each neuron; None without feedback.
    """

    cut = False
    recurrence = "none"
    recurrent: Tensor | None

    def __init__(
        self,
        name: str,
        neuron: Neuron,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        wired: Any = None,
        features: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.neuron, self.recurrent = name, neuron, None
        self.given = weight, bias
        self.back: tuple[Callable[[Tensor], Tensor], ...] = ()  # a tuple, since a module would be registered
        if wired is None:
            return
        self.back = (wired,)
        if isinstance(wired, nn.Linear):
            self.recurrence, self.recurrent = "all_to_all", wired.weight
            own_bias, matrix = wired.bias, wired.weight  # the feedback's bias flows in each step, as the input's does
            if own_bias is not None:
                self.given = weight, own_bias if bias is None else bias + own_bias
            self.back = (lambda s: s @ matrix.T,)
        elif isinstance(wired, nn.Conv2d):
            self.recurrence, self.recurrent = "convolution", wired.weight
        else:
            self.recurrence, self.recurrent = "one_to_one", torch.as_tensor(wired.V).flatten().expand(features)

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
    """Runs one module of neurons over all steps: snnTorch's, those of the catalogue, or a user's own.

    Raises:
        InputError: the engine cannot run it.
    """

    def __init__(self, name: str, module: Any, features: Sequence[int]) -> None:
        self.name, self.features = name, torch.Size(features)
        self.is_ours = isinstance(module, Neuron)
        if self.is_ours and module.sees_all_steps:
            raise InputError(f"module '{name}' sees all steps at once")
        self.neuron = (
            module if self.is_ours else (Integrator if can_integrate(module) else SnnTorchNeuron)(module, name)
        )
        if not self.is_ours:
            self._require_shapes(getattr(module, "recurrent", None))

    def _require_shapes(self, wired: Any) -> None:
        """Raise an `InputError` unless each parameter, and the feedback, has a value for all neurons or each."""
        for key, value in self.neuron.numbers.items():
            if isinstance(value, Tensor):
                try:
                    fits = torch.broadcast_shapes(value.shape, self.features) == self.features
                except RuntimeError:
                    fits = False
                if not fits:
                    raise InputError(f"module '{self.name}' has {key} of shape {tuple(value.shape)}")
        if type(wired).__name__ == "RecurrentOneToOne":
            value = torch.as_tensor(wired.V)
            if value.numel() != 1 and (len(self.features), value.numel()) != (1, self.features.numel()):
                raise InputError(f"module '{self.name}' has V of shape {tuple(value.shape)}")
        if isinstance(wired, nn.Linear) and len(self.features) != 1:
            raise InputError(f"module '{self.name}' feeds back along the last axis of several")

    def layer(self, module: Any, weight: Tensor | None, bias: Tensor | None) -> WeightedNeurons:
        if not self.is_ours:
            self.neuron.refresh(module)
        wired = None if self.is_ours else getattr(module, "recurrent", None)
        return WeightedNeurons(self.name, self.neuron, weight, bias, wired, self.features.numel())

    def results(
        self, module: Any, output: Tensor, centred: Tensor | None, *, with_spikes: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return what neurons send, and potentials, from the engine's output and its potential.

        Potentials of neurons of ours are those minus the threshold; those that do not fire send them.
        """
        if self.is_ours:
            return output, output if centred is None else centred
        if not self.sends_ones:  # an integrator, whose output is its potential
            spikes, potential = module.spike_grad(output - module.threshold) if with_spikes else None, output
        else:
            spikes, potential = output, None if centred is None else centred + self.neuron.numbers["threshold"]
        if not with_spikes or spikes is None:
            return None, potential
        return spikes if sends_plain_ones(module) else spikes * module.graded_spikes_factor, potential

    def has_fired(self, module: Any, output: Tensor, begin: Any) -> bool:
        """Return whether neurons that were taken to stay silent have a potential at which they fire and reset.

        They are taken for neurons that fire from then on.
        """
        if self.sends_ones or self.neuron.reset == "none":
            return False
        potentials = [output] if begin is None else [output, begin.u]
        if all(bool((each <= module.threshold).all()) for each in potentials):
            return False
        self.neuron = SnnTorchNeuron(module, self.name)
        return True

    @property
    def sends_ones(self) -> bool:
        """Return whether the engine's output is the spikes that the module sends, but for a factor of graded ones."""
        return not isinstance(self.neuron, Integrator)


def sends_plain_ones(module: Any) -> bool:
    """Return whether the spikes of neurons are ones, and not graded."""
    if isinstance(module, Neuron):
        return True
    factor = module.graded_spikes_factor
    return not factor.requires_grad and factor.numel() == 1 and float(factor) == 1
