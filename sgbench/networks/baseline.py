"""What networks without spikes share: torch's own layers in a chain, what they see, and how wide they are."""

from __future__ import annotations

import itertools
import re
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from sgbench.engine.choose import Choice
from sgbench.errors import InputError, require_choice, require_count
from sgbench.inits.base import Init
from sgbench.networks.base import RECURRENCES, Network, Provided, hidden_sizes
from sgbench.signals.spikes import Signal, dense
from sgbench.signals.trajectory import NOTHING, Keep, Trajectory, valid_steps

SEES = re.compile(r"counts|all|last_[1-9][0-9]{0,4}")
TOO_LARGE = 1.5
"""How many times as large as it was meant to be a network of one unit a layer may be."""
WHOLE = "a network without spikes takes all time steps at once"


class Values(NamedTuple):
    """Holds the outputs of a layer without spikes, which has no state."""

    u: Tensor  # its values in the last step [B, N]


class Units(nn.Module):
    """Stands where a spiking layer has its neurons: units that send real numbers and have no threshold."""

    output: ClassVar[Literal["binary", "real"]] = "real"
    sends: ClassVar[str] = "real"
    currents: ClassVar[int] = 1
    sees_all_steps: ClassVar[bool] = True

    def advance(self, progress: float) -> None:
        """Do nothing, since no setting changes from epoch to epoch."""

    def centred(self, state: Values) -> Tensor:
        """Return the values themselves, since these units have no threshold."""
        return state.u

    def recurrence_spec(self) -> None:
        """Return None, since these units are no neurons of an engine."""


class PlainLayer(nn.Module):
    """Holds a module of torch's own, and what its values pass through.

    Args:
        name: as records and messages call it.
        neurons: units.
        body: a linear or recurrent module.
        after: an activation, or the identity.
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
        """Return the weights into the layer, those of all gates one after another."""
        return next(self.body.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """Compute the layer's values of all steps [S, B, N]."""
        out = self.body(x)
        return self.after(out[0] if isinstance(out, tuple) else out)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights anew; biases start at 0."""
        for name, weight in self.body.named_parameters():
            if weight.dim() == 1:
                nn.init.zeros_(weight)
                continue
            recurrent = "_hh" in name
            init.fill(weight, weight.shape[1], generator, recurrent=recurrent, layer=self)  # type: ignore[arg-type]


class Baseline(Network):
    """Runs a chain of ordinary torch layers over the part of a sample that `network.sees` chooses.

    Args:
        layers: the readout last.
        provided: what the builder gives.
        engine: has to be "auto": no engine runs it.

    Raises:
        InputError: an engine is asked for.
    """

    spiking: ClassVar[bool] = False
    sums_up: bool = False  # whether its input is summed over time

    def __init__(self, layers: Sequence[PlainLayer], provided: Provided) -> None:
        super().__init__()
        engine = provided.engine.requested
        if engine != "auto":
            raise InputError(
                f"engine={engine}: {type(self).__name__} is made of torch's own layers; use engine=auto"
            )
        self.set_up(layers, provided)
        self.double()

    @abstractmethod
    def seen(self, x: Signal, lengths: Tensor) -> Tensor:
        """Return the input of the first layer [S, B, F]: every step (S = T), or the sample at once (S = 1)."""

    @property
    def plain_layers(self) -> list[PlainLayer]:
        """Return all layers, the readout last."""
        return list(self.layers)  # type: ignore[arg-type]

    def chain(self) -> nn.Sequential:
        """Combine the layers into one module, which takes the features that they see of samples."""
        return nn.Sequential(*self.layers)

    def runs_on(self) -> Choice:
        """Return torch as the engine, with the reason."""
        return Choice("torch", "a network without spikes is made of torch's own layers")

    def unroll(
        self,
        x: Signal,
        lengths: Tensor,
        state: tuple[Any, ...] | None = None,
        keep: Keep = NOTHING,
        *,
        window: int | None = None,
    ) -> Trajectory:
        """Run over all time steps (see `Network.unroll`); an answer given once is repeated in every step."""
        signal = self.seen(x, lengths)
        left = []
        for layer in self.layers:
            signal = layer(signal)
            left.append(Values(signal[-1]))
        output = signal.expand(x.shape[0], -1, -1)
        return Trajectory(output=output, lengths=lengths, spikes=(), u=(), state=tuple(left))


class GatedBaseline(Baseline):
    """Runs gated recurrent layers of torch's own and a linear readout over every step of the input.

    Args:
        provided: what the builder gives.
        parameters: how many to have, or None for those of the spiking network that the others describe.
        match_hidden: neurons per hidden layer of that network.
        match_recurrence: "none", "one_to_one" or "all_to_all".
        match_bias: whether its layers have biases.

    Raises:
        InputError: a value out of range, or more parameters in one unit a layer than it may have.
    """

    gates: ClassVar[int]

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
        widths = size.widths(
            lambda widths: self.parameters_of([n_inputs, *widths, n_outputs]), n_inputs, n_outputs
        )
        super().__init__(layers_of([n_inputs, *widths, n_outputs], self.body, nn.Identity), provided)

    @staticmethod
    @abstractmethod
    def body(inputs: int, units: int) -> nn.Module:
        """Build one layer, its weights not drawn."""

    def seen(self, x: Signal, lengths: Tensor) -> Tensor:
        """Return every step of the input."""
        return dense(x)

    @classmethod
    def parameters_of(cls, sizes: Sequence[int]) -> int:
        """Count the parameters of gated layers of these sizes and a linear readout; torch has two biases a gate.

        >>> from sgbench.networks.baseline_gru import Gru
        >>> Gru.parameters_of([3, 2, 1])  # 3 (3 2 + 2 2 + 2 2) + 2 + 1
        45
        """
        gated = sum(
            cls.gates * (before * width + width * width + 2 * width)
            for before, width in itertools.pairwise(sizes[:-1])
        )
        return gated + dense_parameters(sizes[-2:])


class InputView:
    r"""Shows what a network without memory sees of a sample.

    .. math::
        \text{counts: } \sum_{t < T_b} x[t] \qquad
        \text{all: } (x[0], \dots, x[T-1]) \qquad
        \text{last\_K: } (x[t], x[t-1], \dots, x[t-K+1])

    The first two are seen once, steps after a sample's end as zeros; the third in every step, zeros before the
    first.

    Args:
        sees: one of the three.
        steps: T of the protocol.

    Raises:
        InputError: another value of `sees`.

    >>> x = torch.tensor([[[1.0]], [[2.0]], [[4.0]]])
    >>> [InputView(sees, 3)(x, torch.tensor([2])).flatten().tolist() for sees in ("counts", "all", "last_2")]
    [[3.0], [1.0, 2.0, 0.0], [1.0, 0.0, 2.0, 1.0, 0.0, 2.0]]
    """

    def __init__(self, sees: object, steps: object) -> None:
        if not isinstance(sees, str) or SEES.fullmatch(sees) is None:
            raise InputError(
                f"network.sees={sees!r}: counts, all, or last_K such as last_1 or last_10 is needed"
            )
        self.sees = sees
        self.steps = require_count("network.steps", steps)
        self.window = int(sees.removeprefix("last_")) if sees.startswith("last_") else None

    def features(self, n_inputs: int) -> int:
        """Return the number of features that the view gives."""
        return n_inputs * (self.window or (self.steps if self.sees == "all" else 1))

    def __call__(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Convert [T, B, N] to [S, B, F]."""
        x = x * valid_steps(lengths, len(x))[..., None]
        if self.sees == "counts":
            return x.sum(0, keepdim=True)
        if self.window is None:
            padded = nn.functional.pad(x, (0, 0, 0, 0, 0, self.steps - len(x)))
            return padded.transpose(0, 1).flatten(1)[None]
        before = [nn.functional.pad(x, (0, 0, 0, 0, lag, 0))[: len(x)] for lag in range(self.window)]
        return torch.cat(before, 2)


class Size:
    """Finds how wide the hidden layers have to be for a number of parameters.

    Args:
        parameters: how many, or None for those of the spiking network that the others describe.
        hidden: its neurons per hidden layer.
        recurrence: "none", "one_to_one" or "all_to_all".
        bias: whether its layers have biases.

    Raises:
        InputError: neither a number nor such a network.
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
        r"""Count the parameters that the spiking network has, which the baseline has to match.

        .. math:: \sum_l n_{l-1} n_l + \sum_{l \text{ hidden}} (0, n_l \text{ or } n_l^2) + [\text{bias}] \sum_l n_l

        >>> Size(None, [64], "none", False).wanted(64, 10), Size(None, [4], "all_to_all", True).wanted(2, 1)
        (4736, 33)
        """
        if self.parameters is not None:
            return self.parameters
        sizes = [n_inputs, *self.shape, n_outputs]
        among = {"none": 0, "one_to_one": sum(self.shape), "all_to_all": sum(n * n for n in self.shape)}
        return dense_parameters(sizes, bias=self.bias) + among[self.recurrence]

    def widths(self, count: Callable[[list[int]], int], n_inputs: int, n_outputs: int) -> list[int]:
        """Choose each hidden layer's units, in the spiking network's proportions, to match its parameters best.

        Args:
            count: parameters of hidden layers of these widths; it grows with each.
            n_inputs: of the network.
            n_outputs: of the network.

        Raises:
            InputError: one unit a layer is already far too many.

        >>> Size(100, None, None, None).widths(lambda widths: 9 * widths[0], 2, 2)
        [11]
        """
        wanted = self.wanted(n_inputs, n_outputs)
        low, high = 1, 2
        while count(self._scaled(high)) < wanted:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if count(self._scaled(middle)) < wanted else (low, middle)
        closest = min((self._scaled(low), self._scaled(high)), key=lambda width: abs(count(width) - wanted))
        least = count(closest)
        if least > TOO_LARGE * wanted:
            raise InputError(
                f"network: one unit a layer makes {least:,} parameters, but the spiking network has {wanted:,}; "
                f"let it see less (network.sees=counts), or allow more with network.parameters=N"
            )
        return closest

    def _scaled(self, first: int) -> list[int]:
        return [max(1, round(first * neurons / self.shape[0])) for neurons in self.shape]


def dense_parameters(sizes: Sequence[int], *, bias: bool = True) -> int:
    """Count the parameters of dense layers between layers of these sizes.

    >>> dense_parameters([3, 2, 1])
    11
    """
    return sum(before * after + bias * after for before, after in itertools.pairwise(sizes))


def undrawn(kind: type[nn.Module], *sizes: int) -> nn.Module:
    """Build a module of torch's own without drawing its weights from the process-wide generator."""
    with torch.device("meta"):
        module = kind(*sizes)
    return module.to_empty(device="cpu")


def linear(n_inputs: int, n_outputs: int) -> PlainLayer:
    """Build the linear readout."""
    return PlainLayer("readout", n_outputs, undrawn(nn.Linear, n_inputs, n_outputs), nn.Identity())


def layers_of(
    sizes: Sequence[int], body: Callable[[int, int], nn.Module], after: Callable[[], nn.Module]
) -> list[PlainLayer]:
    """Build hidden layers and a linear readout, from a network's inputs to its outputs.

    Args:
        sizes: inputs, units of each hidden layer, outputs.
        body: builds the module of a hidden layer from its inputs and its units.
        after: builds what the values of a hidden layer pass through.
    """
    hidden = [
        PlainLayer(f"hidden{index}", units, body(before, units), after())
        for index, (before, units) in enumerate(itertools.pairwise(sizes[:-1]))
    ]
    return [*hidden, linear(*sizes[-2:])]
