"""The contract of a network: it owns every weight and the wiring over time."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.dropouts.base import Dropout
from sgbench.engine.choose import Choice, Engine
from sgbench.errors import InputError, NonFiniteError, require_choice, require_counts, require_flag
from sgbench.inits.base import Init
from sgbench.networks.layers import DenseLayer, Layer
from sgbench.networks.pool import Image
from sgbench.neurons.base import Neuron
from sgbench.normalisations.base import Normalisation
from sgbench.quantisers.base import Quantiser
from sgbench.signals.spikes import Signal
from sgbench.signals.streams import NoiseSource
from sgbench.signals.trajectory import NOTHING, POTENTIAL, SPIKES, Keep, Trajectory, all_valid, valid_steps
from sgbench.surrogates.base import Surrogate

RECURRENCES = ("none", "one_to_one", "all_to_all")
RECURRENCE_GRADIENTS = ("full", "cut")
MakeNeuron = Callable[[int], Neuron]


@dataclass(frozen=True)
class Provided:
    """Holds what the builder gives every network, which takes from it what it needs."""

    n_inputs: int  # input channels; of images pixels times channels
    n_outputs: int  # classes or outputs
    make_neuron: MakeNeuron  # a new layer of spiking neurons of a given size
    make_readout: MakeNeuron  # a new readout of a given size
    init: Init  # how weights are drawn
    generator: torch.Generator  # of the initialisation's stream
    engine: Engine  # how a layer is unrolled
    data_image: Image | None = None  # channels, height and width that the data set states, or None


class Source(NamedTuple):
    """Names what sends a layer its input, and whether that is binary spikes or real numbers."""

    name: str
    kind: Literal["binary", "real"]


class Network(nn.Module, ABC):
    """Connects layers, which own every weight, and runs them over time."""

    layers: nn.ModuleList  # of Layer, the readout last
    engine: Engine
    by_layers: ClassVar[bool] = False  # whether every weighted sum is made by its layers
    spiking: ClassVar[bool] = True  # whether its hidden layers are neurons; a baseline's are not
    rule_noise: NoiseSource | None = None  # what its learning rule draws from, set anew with each epoch

    def set_up(self, layers: Sequence[nn.Module], provided: Provided) -> None:
        """Take in the layers, the readout last, draw their weights, and keep the engine that runs them."""
        for layer in layers:
            layer.reset_weights(provided.init, provided.generator)  # type: ignore[operator]
        self.layers = nn.ModuleList(layers)
        self.engine = provided.engine

    @abstractmethod
    def unroll(
        self,
        x: Signal,
        lengths: Tensor,
        state: tuple[Any, ...] | None = None,
        keep: Keep = NOTHING,
        *,
        window: int | None = None,
    ) -> Trajectory:
        """Run all layers over all time steps.

        Args:
            x: input [T, B, N], dense or packed.
            lengths: valid steps of each sample [B].
            state: per layer, where to go on from; None starts at rest.
            keep: "spikes" and "u" are kept only where asked for.
            window: K; every K steps states go on without their gradient. None: nowhere.
        """

    def runs_on(self) -> Choice:
        """Return the engine that runs the network's layers, with the reason.

        Raises:
            InputError: the engine asked for does not cover a layer.
        """
        return self.engine.describe([*self.hidden_layers, self.readout])

    def advance(self, progress: float) -> None:
        """Advance schedules, such as of steepness, to a share of training in [0, 1]."""
        for layer in self.layers:
            layer.neuron.advance(progress)  # type: ignore[union-attr, operator]

    def trained_steps(self, steps: int) -> int:
        """Return the number of steps that training covers where the protocol has `steps`."""
        return steps

    @property
    def deployed_numbers(self) -> int:
        """Count the parameters that are deployed: all but those that serve a learning rule alone."""
        return sum(parameter.numel() for parameter in self.parameters()) - sum(
            parameter.numel() for parameter in self.learnt_feedback
        )

    @property
    def learnt_feedback(self) -> list[nn.Parameter]:
        """Return the parameters of a rule's learnt feedback, which are optimised and not deployed."""
        return list(self._modules.get("adaptive_feedback") or ())  # type: ignore[arg-type]

    @property
    def needs_all_steps(self) -> str | None:
        """Explain why the network cannot go step by step or in windows; None where it can."""
        return next((layer.needs_all_steps for layer in self.layers if layer.needs_all_steps), None)  # type: ignore[misc]

    def normalise(self, normalisation: Normalisation) -> None:
        """Normalise the currents of the hidden layers.

        Raises:
            InputError: a layer has none, or is none that the normalisation is defined for.
        """
        for layer in self._neuron_layers("normalisation", self.hidden_layers, neutral=normalisation.neutral):
            layer.normalise(normalisation)

    def drop(self, dropout: Dropout) -> None:
        """Drop a part of what hidden neurons send on.

        Raises:
            InputError: a layer is none of neurons.
        """
        for layer in self._neuron_layers("dropout", self.hearers, neutral=dropout.neutral):
            layer.drop(dropout)

    def quantise(self, quantiser: Quantiser) -> None:
        """Quantise the weights of all synapses.

        Raises:
            InputError: the network does more with its weights than to add them up.
        """
        if quantiser.neutral:
            return
        if not isinstance(self, Chain):
            raise InputError(
                f"weights: the weights of network {type(self).__name__} cannot be quantised; use network=mlp or "
                "weights=float"
            )
        for layer in self._neuron_layers("weights", list(self.layers), neutral=False):  # type: ignore[arg-type]
            layer.quantise(quantiser)

    def coarsen(self, dtype: torch.dtype) -> None:
        """Make the feed-forward weighted sums of all layers from numbers of a coarser type.

        Weights, states, thresholds and recurrent sums stay as they are: what a recurrent sum loses in one step
        comes back in all later ones.

        Raises:
            InputError: the network makes sums outside of its layers.
        """
        if not self.by_layers:
            raise InputError(
                f"protocol.precision: network {type(self).__name__} computes in float32 or float64 alone; "
                "use network=mlp or protocol.precision=float32"
            )
        for layer in self._neuron_layers("protocol.precision", list(self.layers), neutral=False):  # type: ignore[arg-type]
            layer.coarse = dtype

    @staticmethod
    def _neuron_layers(option: str, layers: Sequence[nn.Module], *, neutral: bool) -> list[Layer]:
        if neutral:
            return []
        for layer in layers:
            if not isinstance(layer, Layer):
                name = getattr(layer, "name", type(layer).__name__)
                raise InputError(
                    f"{option}: layer '{name}' has no neurons that weights drive; use {option}=none"
                )
        return layers  # type: ignore[return-value]

    def begin_pass(self, lengths: Tensor, steps: int) -> None:
        """Pass the mask of steps within samples to the layers that normalise."""
        normalising = [layer for layer in self.hidden_layers if layer.normaliser is not None]
        if not normalising:
            return
        valid = None if all_valid(lengths, steps, wait=True) else valid_steps(lengths, steps)
        for layer in normalising:
            layer.valid = valid

    @property
    def hearers(self) -> list[Layer]:
        """Return the layers that receive spikes of hidden neurons."""
        return list(self.layers)[1:]  # type: ignore[arg-type]

    def sources(self, given: Literal["binary", "real"]) -> list[Source]:
        """Return the source of each layer: the input, declared to hold `given`, or the layer before."""
        return [Source("input", given), *(source_of(layer) for layer in self.hidden_layers)]

    def received(self, x: Signal, sent: Sequence[Tensor | None]) -> list[Signal | None]:
        """Return each layer's input, from the network's input and each layer's output, or None."""
        return [x, *sent[:-1]]

    @property
    def hidden_layers(self) -> list[DenseLayer]:
        """Return the spiking layers before the readout."""
        return list(self.layers)[:-1]  # type: ignore[arg-type]

    @property
    def readout(self) -> DenseLayer:
        """Return the last layer."""
        return self.layers[-1]  # type: ignore[return-value]


class Chain(Network):
    """Runs layers one after another, each over all time steps before the next begins."""

    by_layers = True

    def unroll(
        self,
        x: Signal,
        lengths: Tensor,
        state: tuple[Any, ...] | None = None,
        keep: Keep = NOTHING,
        *,
        window: int | None = None,
    ) -> Trajectory:
        """Run over all time steps; see `Network.unroll`."""
        self.begin_pass(lengths, x.shape[0])
        runs = self.engine.unroll(
            list(self.layers),  # type: ignore[arg-type]
            x,
            state,
            keep_u=POTENTIAL in keep,
            keep_spikes=SPIKES in keep,
            window=window,
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


def source_of(layer: Layer) -> Source:
    """Describe a layer's output: a signed spike adds a weight; one that counts or is graded multiplies it."""
    sends = layer.neuron.sends
    return Source(layer.name, "binary" if sends in ("binary", "signed") else "real")


def readout_layer(n_in: int, provided: Provided, *, bias: bool) -> DenseLayer:
    """Build the dense readout of a network of neurons, behind so many inputs."""
    outputs = provided.n_outputs
    return DenseLayer("readout", n_in, outputs, provided.make_readout(outputs), bias=bias)


def hidden_sizes(hidden: object, bias: object) -> list[int]:
    """Check the sizes of the hidden layers and return them as a list.

    Raises:
        InputError: no list of sizes, or a bias that is neither true nor false.
    """
    require_flag("network.bias", bias)
    return require_counts("network.hidden", hidden, "a list of layer sizes such as [64]")


def require_recurrence(recurrence: object, gradient: object) -> None:
    """Refuse a wiring among the neurons of a layer that there is not, or a gradient through it."""
    require_choice("network.recurrence", recurrence, RECURRENCES)
    require_choice("network.recurrence_gradient", gradient, RECURRENCE_GRADIENTS)


def surrogates(module: nn.Module) -> list[Surrogate]:
    """Collect all surrogates of a network or a part of one, the first layer's first."""
    return [submodule for submodule in module.modules() if isinstance(submodule, Surrogate)]


def must_be_finite(network: Network, trajectory: Trajectory) -> Iterator[tuple[str, Tensor]]:
    """Pair each layer's potentials after the last step, and each of its weights, with the message if not finite."""
    for layer, state in zip(network.layers, trajectory.state, strict=True):
        said = f"layer '{layer.name}'"
        yield f"{said}: the membrane potential is not finite", layer.neuron.centred(state)  # type: ignore[union-attr, operator]
        for name, weight in layer.named_parameters():
            yield f"{said}: '{name}' is not finite", weight


@torch.no_grad()
def check_finite(network: Network, trajectory: Trajectory) -> None:
    """Stop at the first layer whose weights, or whose state after the last step, hold NaN or infinity.

    A membrane potential that is not finite never becomes finite again while it decays, but it can hide: NaN is
    not above threshold, so the layer just falls silent and the loss stays finite. So can the weight of an input
    that never spikes: an engine that follows events does not read it.

    Raises:
        NonFiniteError: with the layer's name.
    """
    for said, values in must_be_finite(network, trajectory):
        if not _is_finite(values):
            raise NonFiniteError(said)


def _is_finite(values: Tensor) -> bool:
    """Return whether all values are finite; their sum, at a tenth of the cost, mostly decides it."""
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())
