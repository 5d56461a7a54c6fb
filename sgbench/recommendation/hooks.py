"""Measure the spiking layers of a user's module of snnTorch in one forward pass, as its author wrote it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.diagnosis.passing import RecurrentLayer
from sgbench.errors import InputError
from sgbench.networks.watching import RECURRENT, Watcher, is_recurrent, run_watched, shown_by

__all__ = ["RECURRENT", "Hook", "recurrent_layers", "run_hooked"]
Hook = Callable[[Any, Any, Any], None]  # receives a layer, its current and its output after each call of it
SpikesAndPotential = tuple[Tensor, Tensor]
"""Spikes and potentials minus threshold of a layer in one time step."""


def run_hooked(network: nn.Module, batch: Any, hooks: Mapping[nn.Module, Hook]) -> None:
    """Run a batch through a network from rest, in evaluation mode, with a hook on each layer; see `run_watched`."""
    run_watched(network, batch, {layer: Watcher(hook, steps=True) for layer, hook in hooks.items()})


@torch.no_grad()
def recurrent_layers(network: nn.Module, batch: Any) -> tuple[list[RecurrentLayer], int, int]:
    """Run one forward pass, and record the recurrent layers.

    Returns the potentials of each recurrent layer that is called, the count of samples, and the count of their spikes.
    """
    layers = {name: layer for name, layer in network.named_modules() if is_recurrent(layer)}
    recorded: dict[str, list[SpikesAndPotential]] = {name: [] for name in layers}
    run_hooked(network, batch, {layer: _record_into(recorded[name]) for name, layer in layers.items()})
    called = {name: steps for name, steps in recorded.items() if steps}
    if not called:
        raise InputError(
            f"{type(network).__name__}: no recurrent layer of snnTorch's (RLeaky, RSynaptic) is called, and "
            f"passing steps choose a width for recurrent ones alone; see sgbench.recommend(network=..., batch=...)"
        )
    samples = max(len(spikes) for steps in called.values() for spikes, _ in steps)
    spike_count = int(sum((spikes != 0).sum() for steps in called.values() for spikes, _ in steps))
    potentials = [
        RecurrentLayer(name, torch.stack([centred for _, centred in steps]), series=steps[0][0].numel())
        for name, steps in called.items()
    ]
    return potentials, samples, spike_count


def _record_into(steps: list[SpikesAndPotential]) -> Hook:
    def hook(module: Any, _: object, output: Any) -> None:
        shown = shown_by(module, output)
        if shown is None:
            raise InputError(f"{type(module).__name__} does not show its membrane potential; set output=True")
        steps.append(shown)

    return hook
