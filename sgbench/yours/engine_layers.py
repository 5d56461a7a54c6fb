"""Tells a replay of a user's network what its neurons are, and runs those of snnTorch on the engine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from fastspiking.replay.neurons import NeuronAdapter, NeuronLayer, WeightedNeurons
from sgbench import paths
from sgbench.errors import InputError
from sgbench.neurons.base import Neuron
from sgbench.yours.snntorch_neurons import Integrator, SnnTorchNeuron, can_integrate, is_far, state_fields, why_not


class SnnTorchLayer(NeuronLayer):
    """Runs one module of snnTorch's neurons over all steps.

    Raises:
        InputError: the engine cannot run it.
    """

    def __init__(self, name: str, module: Any, features: Sequence[int]) -> None:
        self.name, self.features, integrates = name, torch.Size(features), can_integrate(module)
        self.neuron = (Integrator if integrates else SnnTorchNeuron)(module, name)
        self._require_shapes(getattr(module, "recurrent", None))
        self.loses_potential = is_far(module) and not integrates
        self.sends_output = sends_plain_ones(module) and not integrates

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
        self.neuron.refresh(module)
        wired = getattr(module, "recurrent", None)
        return WeightedNeurons(self.name, self.neuron, weight, bias, wired, self.features.numel())

    def results(
        self, module: Any, output: Tensor, centred: Tensor | None, *, with_spikes: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return spikes and potential as snnTorch's module gives them, from what the engine computed."""
        if isinstance(self.neuron, Integrator):  # its output is its potential
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
        if not isinstance(self.neuron, Integrator) or self.neuron.reset == "none":
            return False
        potentials = [output] if begin is None else [output, begin.u]
        if all(bool((each <= module.threshold).all()) for each in potentials):
            return False
        self.neuron = SnnTorchNeuron(module, self.name)
        return True


def sends_plain_ones(module: Any) -> bool:
    """Return whether the spikes of snnTorch's neurons are ones, and not graded."""
    factor = module.graded_spikes_factor
    return not factor.requires_grad and factor.numel() == 1 and float(factor) == 1


NEURONS = NeuronAdapter(
    has_step=lambda module: isinstance(module, Neuron),
    state_fields=state_fields,
    kind=lambda module: (why_not(module), sends_plain_ones(module), can_integrate(module), is_far(module)),
    layer=SnnTorchLayer,
    all_neurons=lambda: snntorch.SpikingNeuron.instances,
    set_to_rest=lambda module: module.reset_mem(),
    library_folders=tuple(str(Path(str(package.__file__)).resolve().parent) for package in (snntorch, paths)),
)
"""Tells a replay of snnTorch's neurons, which hold their state, and of the catalogue's, which have a `step`."""
