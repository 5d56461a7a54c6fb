"""The interface of networks, which hold all weights and connect layers over time."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.choose import Choice, Engine
from fastspiking.signals.spikes import Signal
from fastspiking.signals.streams import NoiseSource
from fastspiking.signals.trajectory import NOTHING, POTENTIAL, SPIKES, Keep, Trajectory, all_valid, valid_steps
from sgbench.dropouts.base import Dropout
from sgbench.errors import InputError, NonFiniteError, require_choice, require_counts, require_flag
from sgbench.inits.base import Init
from sgbench.networks.layers import DenseLayer, Layer
from sgbench.networks.pool import Image
from sgbench.neurons.base import Neuron
from sgbench.normalisations.base import Normalisation
from sgbench.quantisers.base import Quantiser
from sgbench.surrogates.base import Surrogate

RECURRENCES = ("none", "one_to_one", "all_to_all")
RECURRENCE_GRADIENTS = ("full", "cut")
MakeNeuron = Callable[[int], Neuron]
LayerStates = tuple[Any, ...] | None
"""State of each layer; None for the state at rest."""


@dataclass(frozen=True)
class Provided:
    """Holds the parts of a run from which a network is built."""

    n_inputs: int  # number of input channels; for images, pixels times channels
    n_outputs: int  # number of classes or outputs
    make_neuron: MakeNeuron  # makes a new layer of spiking neurons of a given size
    make_readout: MakeNeuron  # makes new readout units of a given number
    init: Init  # draws the weights
    generator: torch.Generator  # random generator for the initialisation
    engine: Engine  # runs the layers
    data_image: Image | None = None  # channels, height and width that the data set declares, or None


class Source(NamedTuple):
    """Names the source of a layer's input, and whether it sends binary spikes or real numbers."""

    name: str  # of a layer, or "input"
    kind: Literal["binary", "real"]


class Network(nn.Module, ABC):
    """Connects layers, which own every weight, and runs them over time."""

    layers: nn.ModuleList  # of Layer, the readout last
    engine: Engine
    by_layers: ClassVar[bool] = False  # whether its layers compute every weighted sum
    spiking: ClassVar[bool] = True  # whether its hidden layers are spiking neurons
    why_no_steps: ClassVar[str | None] = None  # how it runs instead of step by step; such layers take no options
    rule_noise: NoiseSource | None = None  # random source of its learning rule, reset in each epoch

    def set_up(self, layers: Sequence[nn.Module], provided: Provided) -> None:
        """Store the layers (the readout last) and the engine, and draw the layers' weights."""
        for layer in layers:
            layer.reset_weights(provided.init, provided.generator)  # type: ignore[operator]
        self.layers = nn.ModuleList(layers)
        self.engine = provided.engine

    @abstractmethod
    def unroll(
        self, x: Signal, lengths: Tensor, state: LayerStates = None, keep: Keep = NOTHING, *, window: int | None = None
    ) -> Trajectory:
        """Run all layers over all time steps.

        Args:
            x: input [T, B, N], dense or packed.
            lengths: number of valid steps of each sample [B].
            state: initial state of each layer; None for the state at rest.
            keep: signals to keep in the trajectory, of "spikes" and "u" (potentials).
            window: detach all states after every `window` steps; None for never.
        """

    def runs_on(self) -> Choice:
        """Return the engine that runs the network's layers, with the reason.

        Raises:
            InputError: the requested engine does not support a layer.
        """
        return self.engine.describe([*self.hidden_layers, self.readout])

    def advance(self, progress: float) -> None:
        """Update neurons whose parameters follow a schedule; progress is the share of training done, in [0, 1]."""
        for layer in self.layers:
            layer.neuron.advance(progress)  # type: ignore[union-attr, operator]

    def trained_steps(self, steps: int) -> int:
        """Return the number of steps that training computes for a sample of `steps` steps."""
        return steps

    @property
    def deployed_numbers(self) -> int:
        """Count the parameters of the network itself, without those that only its learning rule needs."""
        return sum(parameter.numel() for parameter in self.parameters()) - sum(
            parameter.numel() for parameter in self.learnt_feedback
        )

    @property
    def learnt_feedback(self) -> list[nn.Parameter]:
        """Return the learnt feedback weights of the learning rule, which are optimised but not deployed."""
        return list(self._modules.get("adaptive_feedback") or ())  # type: ignore[arg-type]

    @property
    def needs_all_steps(self) -> str | None:
        """Explain why the network cannot run step by step or in windows; None if it can."""
        return next((layer.needs_all_steps for layer in self.layers if layer.needs_all_steps), None)  # type: ignore[misc]

    def normalise(self, normalisation: Normalisation) -> None:
        """Add a normalisation of currents to the hidden layers.

        Raises:
            InputError: a layer has no neurons, or the normalisation is not defined for it.
        """
        for layer in self._neuron_layers("normalisation", self.hidden_layers, neutral=normalisation.neutral):
            layer.normalise(normalisation)

    def drop(self, dropout: Dropout) -> None:
        """Add a dropout to all layers that receive spikes of hidden neurons.

        Raises:
            InputError: a layer has no neurons.
        """
        for layer in self._neuron_layers("dropout", self.spike_receivers, neutral=dropout.neutral):
            layer.drop(dropout)

    def quantise(self, quantiser: Quantiser) -> None:
        """Quantise the weights of all layers.

        Raises:
            InputError: the network is no chain of layers of neurons.
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
        """Compute the feed-forward weighted sums of all layers in a coarser type, such as bfloat16.

        Weights, states, thresholds and recurrent sums keep their precision, as rounding in a recurrent sum would
        accumulate over steps.

        Raises:
            InputError: the network computes weighted sums outside of its layers.
        """
        if not self.by_layers:
            raise InputError(
                f"protocol.precision: network {type(self).__name__} computes in float32 or float64 alone; "
                "use network=mlp or protocol.precision=float32"
            )
        for layer in self._neuron_layers("protocol.precision", list(self.layers), neutral=False):  # type: ignore[arg-type]
            layer.coarse = dtype

    def _neuron_layers(self, option: str, layers: Sequence[nn.Module], *, neutral: bool) -> list[Layer]:
        """Return the layers that an option changes: none if it is neutral, else all of them."""
        if neutral:
            return []
        if self.why_no_steps is not None:
            raise InputError(f"{option}: {self.why_no_steps}, not step by step; use {option}=none")
        for layer in layers:
            if not isinstance(layer, Layer):
                name = getattr(layer, "name", type(layer).__name__)
                raise InputError(f"{option}: layer '{name}' has no neurons that weights drive; use {option}=none")
        return layers  # type: ignore[return-value]

    def begin_pass(self, lengths: Tensor, steps: int) -> None:
        """Set the mask of steps within samples in the layers that normalise, before a pass.

        `lengths`: number of valid steps of each sample [B]. `steps`: number of steps of the pass.
        """
        normalising = [layer for layer in self.hidden_layers if layer.normaliser is not None]
        if not normalising:
            return
        valid = None if all_valid(lengths, steps, wait=True) else valid_steps(lengths, steps)
        for layer in normalising:
            layer.valid = valid

    @property
    def spike_receivers(self) -> list[Layer]:
        """Return the layers that receive spikes of hidden neurons."""
        return list(self.layers)[1:]  # type: ignore[arg-type]

    def sources(self, input_kind: Literal["binary", "real"]) -> list[Source]:
        """Return the source of each layer's input: the network's input, of this kind, or the layer before."""
        return [Source("input", input_kind), *(source_of(layer) for layer in self.hidden_layers)]

    def received(self, x: Signal, sent: Sequence[Tensor | None]) -> list[Signal | None]:
        """Return the input of each layer, from the network's input x and each layer's output (or None)."""
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
        self, x: Signal, lengths: Tensor, state: LayerStates = None, keep: Keep = NOTHING, *, window: int | None = None
    ) -> Trajectory:
        """Run each layer over all time steps, and return the last one's output and the signals that `keep` names.

        `keep` may name "spikes", of layers that spike, and "u", the potentials of all layers. States are detached
        after every `window` steps, if it is given. Other arguments: see `Network.unroll`.
        """
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
                for run, spikes in zip(runs, fires, strict=True)
                if spikes and SPIKES in keep and run.output is not None
            ),
            u=tuple(run.u for run in runs if run.u is not None),
            state=tuple(run.state for run in runs),
        )


def source_of(layer: Layer) -> Source:
    """Return a layer as a source: "binary" if its spikes are 0, 1 or -1, else "real", which multiplies weights."""
    sends = layer.neuron.sends
    return Source(layer.name, "binary" if sends in ("binary", "signed") else "real")


def readout_layer(n_in: int, provided: Provided, *, bias: bool) -> DenseLayer:
    """Build the dense readout layer of a network of neurons, with `n_in` inputs."""
    outputs = provided.n_outputs
    return DenseLayer("readout", n_in, outputs, provided.make_readout(outputs), bias=bias)


def hidden_sizes(hidden: object, bias: object) -> list[int]:
    """Check the sizes of the hidden layers and return them as a list.

    Raises:
        InputError: `hidden` is no list of positive integers, or `bias` no boolean.
    """
    require_flag("network.bias", bias)
    return require_counts("network.hidden", hidden, "a list of layer sizes such as [64]")


def require_recurrence(recurrence: object, gradient: object) -> None:
    """Raise an `InputError` for an unknown `network.recurrence` or `network.recurrence_gradient`."""
    require_choice("network.recurrence", recurrence, RECURRENCES)
    require_choice("network.recurrence_gradient", gradient, RECURRENCE_GRADIENTS)


def surrogates(module: nn.Module) -> list[Surrogate]:
    """Return all surrogates of a network or of a part of one, in the order of layers."""
    return [submodule for submodule in module.modules() if isinstance(submodule, Surrogate)]


def must_be_finite(network: Network, trajectory: Trajectory) -> Iterator[tuple[str, Tensor]]:
    """Yield each layer's last potentials and each of its weights, after the message to raise if not finite."""
    for layer, state in zip(network.layers, trajectory.state, strict=True):
        prefix = f"layer '{layer.name}'"
        yield f"{prefix}: the membrane potential is not finite", layer.neuron.centred(state)  # type: ignore[union-attr, operator]
        for name, weight in layer.named_parameters():
            yield f"{prefix}: '{name}' is not finite", weight


@torch.no_grad()
def check_finite(network: Network, trajectory: Trajectory) -> None:
    """Check that all weights, and the potentials after the last step, are finite.

    The loss alone does not show it. NaN is never above threshold, so a layer with NaN potentials only falls silent.
    An engine that follows events never reads the weight of an input that does not spike.

    Raises:
        NonFiniteError: a value is NaN or infinite; names its layer.
    """
    for message, values in must_be_finite(network, trajectory):
        if not _is_finite(values):
            raise NonFiniteError(message)


def _is_finite(values: Tensor) -> bool:
    return math.isfinite(values.sum().item()) or bool(values.isfinite().all())
