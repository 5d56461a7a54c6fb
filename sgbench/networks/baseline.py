"""The base of networks without spikes: chains of torch's layers, their input and their width."""

import bisect
import itertools
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.choose import Choice
from fastspiking.signals.spikes import Signal, dense
from fastspiking.signals.trajectory import NOTHING, Keep, Trajectory, valid_steps
from sgbench.errors import InputError, require_choice, require_count
from sgbench.inits.base import Init
from sgbench.networks.base import RECURRENCES, LayerStates, Network, Provided, hidden_sizes

SEES = re.compile(r"counts|all|last_[1-9][0-9]{0,4}")
TOO_LARGE = 1.5
"""Largest ratio of a baseline's parameters to the wanted number, with one unit per layer."""
WHOLE = "a network without spikes takes all time steps at once"


class Values(NamedTuple):
    """Holds the outputs of a layer without spikes, which has no state."""

    u: Tensor  # values of the units in the last step [B, N]


class Units(nn.Module):
    """Describes the units of a layer without spikes, in place of a `Neuron`: real outputs and no threshold."""

    output: ClassVar[Literal["binary", "real"]] = "real"
    sends: ClassVar[str] = "real"
    currents: ClassVar[int] = 1
    sees_all_steps: ClassVar[bool] = True

    def advance(self, progress: float) -> None:
        """Do nothing: these units follow no schedule."""

    def centred(self, state: Values) -> Tensor:
        return state.u

    def recurrence_spec(self) -> None:
        """Return None: no engine runs these units."""


class PlainLayer(nn.Module):
    """Holds a linear or recurrent module of torch, and an activation.

    `name`: name of the layer in records and messages; `neurons`: number of units; `after`: the activation, or the
    identity.
    """

    needs_all_steps: ClassVar[str] = WHOLE

    def __init__(self, name: str, neurons: int, body: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.neurons = neurons
        self.body = body
        self.after = after
        self.neuron = Units()

    @property
    def weight(self) -> Tensor:
        """Return the weights of the layer's input, gate after gate."""
        return next(self.body.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer's values [S, B, N] from its input x [S, B, inputs]."""
        out = self.body(x)
        return self.after(out[0] if isinstance(out, tuple) else out)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights, and set biases to 0."""
        for name, weight in self.body.named_parameters():
            if weight.dim() == 1:
                nn.init.zeros_(weight)
                continue
            recurrent = "_hh" in name
            init.fill(weight, weight.shape[1], generator, recurrent=recurrent, layer=self)  # type: ignore[arg-type]


class Baseline(Network):
    """Runs a chain of ordinary torch layers over a view of the samples, which subclasses define by `first_input`.

    `layers`: the layers, the readout last; `provided`: parts of the run to build from.
    """

    spiking: ClassVar[bool] = False
    sums_up: bool = False  # whether its view sums the input over time

    def __init__(self, layers: Sequence[PlainLayer], provided: Provided) -> None:
        super().__init__()
        engine = provided.engine.requested
        if engine != "auto":
            raise InputError(f"engine={engine}: {type(self).__name__} is made of torch's own layers; use engine=auto")
        self.set_up(layers, provided)
        self.double()

    @abstractmethod
    def first_input(self, x: Signal, lengths: Tensor) -> Tensor:
        """Compute the input of the first layer [S, B, F] from x [T, B, N]; S is T, or 1 for a view of all steps."""

    @property
    def plain_layers(self) -> list[PlainLayer]:
        return list(self.layers)  # type: ignore[arg-type]

    def chain(self) -> nn.Sequential:
        """Return all layers as one module, whose input is that of `first_input`."""
        return nn.Sequential(*self.layers)

    def runs_on(self) -> Choice:
        return Choice("torch", "a network without spikes is made of torch's own layers")

    def unroll(
        self, x: Signal, lengths: Tensor, state: LayerStates = None, keep: Keep = NOTHING, *, window: int | None = None
    ) -> Trajectory:
        """Run over all time steps, from the state at rest and with full gradients; the trajectory holds no signals.

        An output for the whole sequence [1, B, C] is repeated for every step. `state`, `keep` and `window` have no
        effect.
        """
        signal = self.first_input(x, lengths)
        states = []
        for layer in self.layers:
            signal = layer(signal)
            states.append(Values(signal[-1]))
        output = signal.expand(x.shape[0], -1, -1)
        return Trajectory(output=output, lengths=lengths, spikes=(), u=(), state=tuple(states))


class GatedBaseline(Baseline):
    """Runs gated recurrent layers of torch and a linear readout over every step of the input.

    Its number of parameters is given, or matches a spiking network that the arguments `match_*` describe.

    `provided`: parts of the run to build from. `parameters`: wanted number of parameters, or None to match the spiking
    network. `match_hidden`: neurons per hidden layer of the spiking network; None if `parameters` is given.
    `match_recurrence`: its recurrence, "none", "one_to_one" or "all_to_all"; None if `parameters` is given.
    `match_bias`: whether its layers have biases; None if `parameters` is given.
    """

    gates: ClassVar[int]  # number of weight matrices per unit: gates and new value

    def __init__(
        self,
        provided: Provided,
        *,
        parameters: int | None,
        match_hidden: Sequence[int] | None,
        match_recurrence: str | None,
        match_bias: bool | None,
    ) -> None:
        n_inputs, n_outputs = provided.n_inputs, provided.n_outputs
        size = Size(parameters, match_hidden, match_recurrence, match_bias)
        widths = size.widths(lambda widths: self.parameters_of([n_inputs, *widths, n_outputs]), n_inputs, n_outputs)
        super().__init__(build_layers([n_inputs, *widths, n_outputs], self.body, nn.Identity), provided)

    @staticmethod
    @abstractmethod
    def body(inputs: int, units: int) -> nn.Module:
        """Build one layer without drawing its weights."""

    def first_input(self, x: Signal, lengths: Tensor) -> Tensor:
        return dense(x)

    @classmethod
    def parameters_of(cls, sizes: Sequence[int]) -> int:
        """Count the parameters of gated layers and a linear readout; torch has two biases per gate.

        >>> from sgbench.networks.baseline_gru import Gru
        >>> Gru.parameters_of([3, 2, 1])  # 3 (3 2 + 2 2 + 2 2) + 2 + 1
        45
        """
        gated = sum(
            cls.gates * (before * width + width * width + 2 * width) for before, width in itertools.pairwise(sizes[:-1])
        )
        return gated + dense_parameters(sizes[-2:])


class InputView:
    r"""Computes the features of a sample that a network without memory receives.

    .. math::
        \text{counts: } \sum_{t < T_b} x[t] \qquad
        \text{all: } (x[0], \dots, x[T-1]) \qquad
        \text{last\_K: } (x[t], x[t-1], \dots, x[t-K+1])

    for the input x of sample b with T_b steps. "counts" and "all" give one output per sample, with zeros after its end.
    "last_K" gives one in every step, with zeros before the first. `steps`: number T of steps of the protocol.

    >>> x = torch.tensor([[[1.0]], [[2.0]], [[4.0]]])
    >>> [InputView(sees, 3)(x, torch.tensor([2])).flatten().tolist() for sees in ("counts", "all", "last_2")]
    [[3.0], [1.0, 2.0, 0.0], [1.0, 0.0, 2.0, 1.0, 0.0, 2.0]]
    """

    def __init__(self, sees: object, steps: object) -> None:
        if not isinstance(sees, str) or SEES.fullmatch(sees) is None:
            raise InputError(f"network.sees={sees!r}: counts, all, or last_K such as last_1 or last_10 is needed")
        self.sees = sees
        self.steps = require_count("network.steps", steps)
        self.window = int(sees.removeprefix("last_")) if sees.startswith("last_") else None

    def features(self, n_inputs: int) -> int:
        """Return the number F of features, for so many inputs."""
        return n_inputs * (self.window or (self.steps if self.sees == "all" else 1))

    def __call__(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Convert x [T, B, N] to features [S, B, F]; S is T for "last_K", else 1."""
        x = x * valid_steps(lengths, len(x))[..., None]
        if self.sees == "counts":
            return x.sum(0, keepdim=True)
        if self.window is None:
            padded = nn.functional.pad(x, (0, 0, 0, 0, 0, self.steps - len(x)))
            return padded.transpose(0, 1).flatten(1)[None]
        delayed = [nn.functional.pad(x, (0, 0, 0, 0, lag, 0))[: len(x)] for lag in range(self.window)]
        return torch.cat(delayed, 2)


class Size:
    """Chooses the widths of a baseline's hidden layers for a wanted number of parameters.

    `parameters`: wanted number, or None for that of the spiking network that the other arguments describe. `hidden`:
    its neurons per hidden layer. `recurrence`: "none", "one_to_one" or "all_to_all". `bias`: whether its layers have
    biases.
    """

    def __init__(self, parameters: object, hidden: object, recurrence: object, bias: object) -> None:
        self.parameters = None if parameters is None else require_count("network.parameters", parameters)
        self.recurrence = "none"
        if self.parameters is None:
            if hidden is None:
                raise InputError(
                    "network.match_hidden=null: no list of layer sizes describes the spiking network; say how many "
                    "parameters it has with network.parameters=N"
                )
            self.recurrence = require_choice("network.match_recurrence", recurrence, RECURRENCES)
            self.shape = hidden_sizes(hidden, bias)
            self.bias = bool(bias)
        elif not (hidden is None and recurrence is None and bias is None):
            raise InputError(
                f"network.parameters={self.parameters}: says how many there are, so network.match_hidden, "
                f"network.match_recurrence and network.match_bias have to be null"
            )
        else:
            self.shape, self.bias = [1], False

    def wanted(self, n_inputs: int, n_outputs: int) -> int:
        r"""Return the wanted number of parameters: the given one, or that of the spiking network.

        .. math:: \sum_l n_{l-1} n_l + \sum_{l \text{ hidden}} (0, n_l \text{ or } n_l^2) + [\text{bias}] \sum_l n_l

        >>> Size(None, [64], "none", False).wanted(64, 10), Size(None, [4], "all_to_all", True).wanted(2, 1)
        (4736, 33)
        """
        if self.parameters is not None:
            return self.parameters
        sizes = [n_inputs, *self.shape, n_outputs]
        recurrent = {"none": 0, "one_to_one": sum(self.shape), "all_to_all": sum(n * n for n in self.shape)}
        return dense_parameters(sizes, bias=self.bias) + recurrent[self.recurrence]

    def widths(self, count: Callable[[list[int]], int], n_inputs: int, n_outputs: int) -> list[int]:
        """Return the number of units of each hidden layer with which the wanted number is matched best.

        The layers have the proportions of the spiking network.

        >>> Size(100, None, None, None).widths(lambda widths: 9 * widths[0], 2, 2)
        [11]
        """
        wanted = self.wanted(n_inputs, n_outputs)
        high = 2
        while count(self._scaled(high)) < wanted:
            high *= 2
        # The smallest first layer with at least the wanted number of parameters; the one below it may be closer.
        high = bisect.bisect_left(range(high), wanted, high // 2 + 1, key=lambda units: count(self._scaled(units)))
        candidates = self._scaled(high - 1), self._scaled(high)
        closest = min(candidates, key=lambda width: abs(count(width) - wanted))
        least = count(closest)
        if least > TOO_LARGE * wanted:
            raise InputError(
                f"network: one unit a layer makes {least:,} parameters, but the spiking network has {wanted:,}; "
                f"let it see less (network.sees=counts), or allow more with network.parameters=N"
            )
        return closest

    def _scaled(self, first: int) -> list[int]:
        """Return the widths of all hidden layers, in proportion, if the first has `first` units."""
        return [max(1, round(first * neurons / self.shape[0])) for neurons in self.shape]


def dense_parameters(sizes: Sequence[int], *, bias: bool = True) -> int:
    """Count the parameters of a chain of dense layers; `sizes` are its numbers of inputs and units.

    >>> dense_parameters([3, 2, 1])
    11
    """
    return sum(before * after + bias * after for before, after in itertools.pairwise(sizes))


def build_undrawn(kind: type[nn.Module], *sizes: int) -> nn.Module:
    """Build a torch module with uninitialised weights, without using torch's global random generator."""
    with torch.device("meta"):
        module = kind(*sizes)
    return module.to_empty(device="cpu")


def linear_readout(n_inputs: int, n_outputs: int) -> PlainLayer:
    return PlainLayer("readout", n_outputs, build_undrawn(nn.Linear, n_inputs, n_outputs), nn.Identity())


def build_layers(
    sizes: Sequence[int], body: Callable[[int, int], nn.Module], after: Callable[[], nn.Module]
) -> list[PlainLayer]:
    """Build the hidden layers and the linear readout of a baseline.

    `sizes`: numbers of inputs, of units of each hidden layer, and of outputs; `body`: builds the torch module of a
    hidden layer from its numbers of inputs and units; `after`: builds its activation.
    """
    hidden = [
        PlainLayer(f"hidden{index}", units, body(before, units), after())
        for index, (before, units) in enumerate(itertools.pairwise(sizes[:-1]))
    ]
    return [*hidden, linear_readout(*sizes[-2:])]
