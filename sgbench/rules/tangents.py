"""A network's pass as a function of its weights, for forward-mode differentiation."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking.signals.spikes import Signal
from fastspiking.signals.trajectory import NOTHING, Keep, Trajectory
from sgbench.errors import InputError
from sgbench.networks.base import Network, surrogates
from sgbench.networks.spike_times import SpikeTimes

Weights = dict[str, Tensor]
"""Maps names of a network's learnt parameters to values."""


class Unrolling(nn.Module):
    """Wraps a network so that it can be run with other weights than its own."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, x: Signal, lengths: Tensor, state: tuple[Any, ...] | None = None, keep: Keep = NOTHING
    ) -> Trajectory:
        """Run the network over all time steps; the arguments are those of `Network.unroll`."""
        return self.network.unroll(x, lengths, state, keep)

    def with_weights(self, weights: Mapping[str, Tensor], *arguments: Any) -> Trajectory:
        """Run the network with these weights in place of its own; further arguments are those of `forward`."""
        return torch.func.functional_call(  # type: ignore[no-any-return]
            self, {f"network.{name}": weight for name, weight in weights.items()}, arguments
        )


def learnt_parameters(network: Network) -> Weights:
    return {name: parameter.detach() for name, parameter in network.named_parameters() if parameter.requires_grad}


def add_gradients(network: Network, gradients: Mapping[str, Tensor]) -> None:
    """Add gradients to those of the weights they are named for."""
    for name, weight in network.named_parameters():
        if name in gradients:
            weight.grad = gradients[name] if weight.grad is None else weight.grad + gradients[name]


def require_slopes(rule: str, network: Network) -> None:
    """Raise an `InputError` for networks without derivatives in forward mode; `rule` is named in it.

    These are networks of spike times, long short-term memory, whose kernels in torch are for back-propagation alone,
    surrogates that are not elementwise, and neurons that draw random numbers outside of a firing.
    """
    if isinstance(network, SpikeTimes):
        raise InputError(f"rule={rule}: times of spikes have no slope in forward mode; use rule=bptt")
    if any(isinstance(module, nn.LSTM) for module in network.modules()):
        raise InputError(f"rule={rule}: torch's LSTM has no slope in forward mode; use rule=bptt")
    for surrogate in surrogates(network):
        if not surrogate.elementwise:
            raise InputError(f"rule={rule}: {type(surrogate).__name__} has no slope in forward mode; use rule=bptt")
        if surrogate.stochastic and surrogate.firing is None:
            raise InputError(
                f"rule={rule}: numbers are drawn outside of a firing, which forward mode cannot follow; use rule=bptt"
            )
