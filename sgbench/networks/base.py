"""The contract of a network: it owns every weight and the wiring over time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.engine.choose import Engine
from sgbench.errors import NonFiniteError
from sgbench.inits.base import Init
from sgbench.neurons.base import Neuron
from sgbench.spikes import Signal
from sgbench.surrogates.base import Surrogate
from sgbench.trajectory import NOTHING, Keep, Trajectory

RECURRENCES = ("none", "one_to_one", "all_to_all")
RECURRENCE_GRADIENTS = ("full", "cut")
MakeNeuron = Callable[[int], Neuron]


class DenseLayer(nn.Module):
    """Weights into one layer of neurons, and among them.

    Args:
        name: as records and messages call it.
        n_in: inputs.
        n_out: neurons.
        neuron: of this layer alone.
        recurrence: "none", "one_to_one" (a vector V) or "all_to_all" (a matrix V): V s[t-1] joins the current.
        recurrence_gradient: "full", or "cut": no gradient through the recurrent spikes.
        bias: whether a bias joins the current in each step.
    """

    def __init__(
        self,
        name: str,
        n_in: int,
        n_out: int,
        neuron: Neuron,
        *,
        recurrence: str = "none",
        recurrence_gradient: str = "full",
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.name = name
        self.neuron = neuron
        self.recurrence = recurrence
        self.cut = recurrence_gradient == "cut"
        # Stored by columns: engines add up the weights of one input, which then lie side by side.
        self.weight = nn.Parameter(torch.empty(n_in, n_out, dtype=torch.float64).T)
        self.bias = nn.Parameter(torch.zeros(n_out, dtype=torch.float64)) if bias else None
        self.recurrent: nn.Parameter | None = None
        if recurrence == "one_to_one":
            self.recurrent = nn.Parameter(torch.empty(n_out, dtype=torch.float64))
        elif recurrence == "all_to_all":
            self.recurrent = nn.Parameter(torch.empty(n_out, n_out, dtype=torch.float64).T)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights anew; biases start at 0."""
        init.fill(self.weight, self.weight.shape[1], generator, recurrent=False)
        if self.recurrent is not None:
            fan_in = self.recurrent.shape[1] if self.recurrence == "all_to_all" else 1
            init.fill(self.recurrent, fan_in, generator, recurrent=True)

    def synapses(self) -> tuple[Tensor, Tensor | None]:
        """Weight [N, inputs] and bias [N]."""
        return self.weight, self.bias

    def current(self, x: Tensor) -> Tensor:
        """Feed-forward current of any number of leading dimensions."""
        return nn.functional.linear(x, self.weight, self.bias)

    def feedback(self, s: Tensor) -> Tensor:
        """Recurrent current [B, N] from the last spikes [B, N]."""
        if self.recurrent is None:
            return torch.zeros_like(s)
        s = s.detach() if self.cut else s
        return s * self.recurrent if self.recurrence == "one_to_one" else s @ self.recurrent.T


class Network(nn.Module, ABC):
    """Wiring of layers over time."""

    layers: nn.ModuleList  # of DenseLayer, the readout last
    engine: Engine

    @abstractmethod
    def unroll(
        self, x: Signal, lengths: Tensor, state: tuple[Any, ...] | None = None, keep: Keep = NOTHING
    ) -> Trajectory:
        """Run over all time steps.

        Args:
            x: input [T, B, N], dense or packed.
            lengths: valid steps of each sample [B].
            state: per layer, where to go on from; None starts at rest.
            keep: "spikes" and "u" are kept only where asked for.
        """

    @property
    def hidden_layers(self) -> list[DenseLayer]:
        """The spiking layers before the readout."""
        return list(self.layers)[:-1]  # type: ignore[arg-type]

    @property
    def readout(self) -> DenseLayer:
        """The last layer."""
        return self.layers[-1]  # type: ignore[return-value]


def surrogates(module: nn.Module) -> list[Surrogate]:
    """All surrogates of a network or a part of one, the first layer's first."""
    return [each for each in module.modules() if isinstance(each, Surrogate)]


@torch.no_grad()
def check_finite(network: Network, trajectory: Trajectory) -> None:
    """Stop at the first layer whose weights, or whose state after the last step, hold NaN or infinity.

    A membrane potential that is not finite never becomes finite again while it decays, but it can hide: NaN is
    not above threshold, so the layer just falls silent and the loss stays finite. So can the weight of an input
    that never spikes: an engine that follows events does not read it.

    Raises:
        NonFiniteError: with the layer's name.
    """
    for layer, state in zip(network.layers, trajectory.state, strict=True):
        if not _finite(layer.neuron.centred(state)):  # type: ignore[union-attr, operator]
            raise NonFiniteError(f"layer '{layer.name}': the membrane potential is not finite")
        for name, weight in layer.named_parameters():
            if not _finite(weight):
                raise NonFiniteError(f"layer '{layer.name}': '{name}' is not finite")


def _finite(values: Tensor) -> bool:
    """Whether all are finite; their sum, which costs a tenth, mostly tells."""
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())
