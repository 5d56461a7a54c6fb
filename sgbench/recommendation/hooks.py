"""Run one forward pass of a user's module with hooks on its snnTorch layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.diagnosis.passing import RecurrentLayer
from sgbench.diagnosis.traces import shown_by
from sgbench.errors import InputError

RECURRENT = frozenset({"RLeaky", "RSynaptic", "SLSTM", "SConv2dLSTM"})
"""Recurrent layers of snnTorch."""
Hook = Callable[[Any, Any, Any], None]
Shown = tuple[Tensor, Tensor]


def run_hooked(network: nn.Module, batch: Any, hooks: Mapping[nn.Module, Hook]) -> None:
    """Run a batch through a network in evaluation mode with a hook on each layer, then restore the network.

    Raises:
        InputError: the network does not take the batch.
    """
    handles = [layer.register_forward_hook(hook) for layer, hook in hooks.items()]
    was_training = network.training
    network.eval()
    try:
        network(batch)
    except Exception as error:  # a user's module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{type(network).__name__}: does not take the batch: {reason}") from error
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()


@torch.no_grad()
def recurrent_layers(network: nn.Module, batch: Any) -> tuple[list[RecurrentLayer], int, int]:
    """Run one forward pass; return the potentials of recurrent layers, the count of samples, and of spikes.

    Args:
        network: a module with snnTorch's recurrent neurons.
        batch: input of its `forward`.

    Raises:
        InputError: no recurrent layer is called, or the network does not take the batch.
    """
    named = {name: part for name, part in network.named_modules() if type(part).__name__ in RECURRENT}
    steps_of: dict[str, list[Shown]] = {name: [] for name in named}
    run_hooked(network, batch, {part: _note(steps_of[name]) for name, part in named.items()})
    called = {name: steps for name, steps in steps_of.items() if steps}
    if not called:
        raise InputError(
            f"{type(network).__name__}: no recurrent layer of snnTorch's (RLeaky, RSynaptic) is called, and "
            f"passing steps choose a width for recurrent ones alone"
        )
    samples = max(len(spikes) for steps in called.values() for spikes, _ in steps)
    fired = int(sum((spikes != 0).sum() for steps in called.values() for spikes, _ in steps))
    return [_layer(name, steps) for name, steps in called.items()], samples, fired


def _layer(name: str, steps: Sequence[Shown]) -> RecurrentLayer:
    """Collect the potentials of a layer over all time steps."""
    return RecurrentLayer(name, torch.stack([centred for _, centred in steps]), steps[0][0].numel())


def _note(steps_of: list[Shown]) -> Hook:
    """Return a hook that appends a layer's spikes, and potentials minus threshold, to a list."""

    def hook(module: Any, _: object, output: Any) -> None:
        shown = shown_by(module, output)
        if shown is None:
            raise InputError(f"{type(module).__name__} does not show its membrane potential; set output=True")
        steps_of.append(shown)

    return hook
