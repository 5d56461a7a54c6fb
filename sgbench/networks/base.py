"""The contract of a network: it owns every weight and the wiring over time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sgbench.engine.choose import Engine
from sgbench.errors import InputError, NonFiniteError, require_count
from sgbench.inits.base import Init
from sgbench.neurons.base import Neuron
from sgbench.spikes import Signal
from sgbench.surrogates.base import Surrogate
from sgbench.trajectory import NOTHING, POTENTIAL, SPIKES, Keep, Trajectory

RECURRENCES = ("none", "one_to_one", "all_to_all")
RECURRENCE_GRADIENTS = ("full", "cut")
MakeNeuron = Callable[[int], Neuron]


class DenseLayer(nn.Module):
    """Weights into one layer of neurons, and among them.

    Neurons that take several currents have so many weights per input; currents of one kind lie side by side, and so
    do their weights [currents N, inputs].

    Args:
        name: as records and messages call it.
        n_in: inputs.
        n_out: neurons.
        neuron: of this layer alone.
        recurrence: "none", "one_to_one" (a vector V) or "all_to_all" (a matrix V): V s[t-1] joins the current.
        recurrence_gradient: "full", or "cut": no gradient through the recurrent spikes.
        bias: whether a bias joins the current in each step.

    Raises:
        InputError: recurrence among neurons that take all time steps at once.
    """

    mask: Tensor | None
    recurrent_mask: Tensor | None
    taps: int = 0  # steps over which a synapse spreads an event, where it delays it

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
        self.neurons = n_out
        self.recurrence = recurrence
        self.cut = recurrence_gradient == "cut"
        self.needs_all_steps = why_all_steps(name, neuron, recurrence)
        rows = neuron.currents * n_out
        # Stored by columns: engines add up the weights of one input, which then lie side by side.
        self.weight = nn.Parameter(torch.empty(n_in, rows, dtype=torch.float64).T)
        self.bias = nn.Parameter(torch.zeros(rows, dtype=torch.float64)) if bias else None
        self.recurrent: nn.Parameter | None = None
        if recurrence == "one_to_one":
            self.recurrent = nn.Parameter(torch.empty(rows, dtype=torch.float64))
        elif recurrence == "all_to_all":
            self.recurrent = nn.Parameter(torch.empty(n_out, rows, dtype=torch.float64).T)
        self.split = neuron.splits_inputs and neuron.currents > 1
        for kind, weight in (("mask", self.weight), ("recurrent_mask", self.recurrent)):
            drawn = None if weight is None or not self.split else torch.ones(weight.shape, dtype=torch.bool)
            self.register_buffer(kind, drawn)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights anew, and which input reaches which current; biases start at 0."""
        parts = self.neuron.currents if self.split else 1
        fan_in = max(1, self.weight.shape[1] // parts)
        init.fill(self.weight, fan_in, generator, recurrent=False, layer=self)
        if self.recurrent is not None:
            fan_in = self.neurons // parts if self.recurrence == "all_to_all" else 1
            init.fill(self.recurrent, max(1, fan_in), generator, recurrent=True, layer=self)
        for mask in (self.mask, self.recurrent_mask):
            if mask is not None:
                mask.copy_(_parts(mask, parts, generator))

    @property
    def fan_out(self) -> int:
        """Synapses that one event at an input, or one spike of an all-to-all recurrence, reaches."""
        return self.neurons if self.split else self.weight.shape[0]

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Weight [currents N, inputs] and bias [currents N]; None where the product is another."""
        return self._seen(self.weight, self.mask), self.bias

    def current(self, x: Tensor) -> Tensor:
        """Feed-forward current of any number of leading dimensions."""
        return nn.functional.linear(x, self._seen(self.weight, self.mask), self.bias)

    def feedback(self, s: Tensor) -> Tensor:
        """Recurrent current [B, currents N] from what came of the last step [B, N]."""
        if self.recurrent is None:
            return torch.zeros_like(s)
        s = s.detach() if self.cut else s
        weight = self._seen(self.recurrent, self.recurrent_mask)
        return s.repeat(1, self.neuron.currents) * weight if self.recurrence == "one_to_one" else s @ weight.T

    @staticmethod
    def _seen(weight: Tensor, mask: Tensor | None) -> Tensor:
        return weight if mask is None else weight * mask


def why_all_steps(name: str, neuron: Neuron, recurrence: str) -> str | None:
    """Why a layer cannot go step by step, or None where it can."""
    if not neuron.sees_all_steps:
        return None
    if recurrence != "none":
        raise InputError(
            f"network.recurrence={recurrence}: the neurons of layer '{name}' take all time steps at once, so "
            f"nothing can come back from one to the next; use network.recurrence=none"
        )
    return f"the neurons of layer '{name}' take all time steps at once"


def _parts(mask: Tensor, parts: int, generator: torch.Generator) -> Tensor:
    """For each neuron, a random part of its inputs to each current; parts differ by at most one in size."""
    rows = mask.shape[0] // parts
    inputs = mask[0].numel()
    order = torch.rand(rows, inputs, generator=generator, dtype=torch.float64).argsort(1)
    chosen = order * parts // inputs
    return torch.cat([chosen == part for part in range(parts)]).view_as(mask)


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

    def advance(self, progress: float) -> None:
        """Set what changes from epoch to epoch to a share of training in [0, 1]."""
        for layer in self.layers:
            layer.neuron.advance(progress)  # type: ignore[union-attr, operator]

    @property
    def needs_all_steps(self) -> str | None:
        """Why the network cannot go step by step or in windows, or None where it can."""
        return next((layer.needs_all_steps for layer in self.layers if layer.needs_all_steps), None)  # type: ignore[misc]

    @property
    def hidden_layers(self) -> list[DenseLayer]:
        """The spiking layers before the readout."""
        return list(self.layers)[:-1]  # type: ignore[arg-type]

    @property
    def readout(self) -> DenseLayer:
        """The last layer."""
        return self.layers[-1]  # type: ignore[return-value]


class Chain(Network):
    """Layers one after another, each run over all time steps before the next begins."""

    def unroll(
        self, x: Signal, lengths: Tensor, state: tuple[Any, ...] | None = None, keep: Keep = NOTHING
    ) -> Trajectory:
        """See `Network.unroll`."""
        runs = self.engine.unroll(
            list(self.layers),  # type: ignore[arg-type]
            x,
            state,
            keep_u=POTENTIAL in keep,
            keep_spikes=SPIKES in keep,
        )
        fires = [layer.neuron.output == "binary" for layer in self.layers]  # type: ignore[union-attr]
        return Trajectory(
            output=runs[-1].output,  # type: ignore[arg-type]
            lengths=lengths,
            spikes=tuple(
                run.output
                for run, one in zip(runs, fires, strict=True)
                if one and SPIKES in keep and run.output is not None
            ),
            u=tuple(run.u for run in runs if run.u is not None),
            state=tuple(run.state for run in runs),
        )


def hidden_sizes(hidden: object, bias: object) -> list[int]:
    """Neurons of each hidden layer.

    Raises:
        InputError: no list of sizes, or a bias that is neither true nor false.
    """
    require_bias(bias)
    if isinstance(hidden, str) or not isinstance(hidden, Sequence) or not hidden:
        raise InputError(f"network.hidden={hidden!r}: a list of layer sizes such as [64] is needed")
    return [require_count("network.hidden", size) for size in hidden]


def require_bias(bias: object) -> None:
    """Refuse what is neither true nor false."""
    if not isinstance(bias, bool):
        raise InputError(f"network.bias={bias!r}: true or false is needed")


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
