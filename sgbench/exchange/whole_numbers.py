"""Converts a network of quantised weights to integers for a chip, and runs it in integer arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fastspiking.spec import Coefficient, LinearSpec
from sgbench.errors import InputError
from sgbench.networks.base import Chain, DenseLayer, Network
from sgbench.networks.convolution import ConvLayer
from sgbench.quantisers.base import Quantiser
from sgbench.surrogates.base import Surrogate

Layer = DenseLayer | ConvLayer


@dataclasses.dataclass(frozen=True)
class LayerNumbers:
    r"""Describes one layer by numbers, with the gains of its currents in the weights.

    .. math::
        i[t] &= \alpha i[t-1] + W x[t] + b + V s[t-1] \\
        u[t] &= \mathrm{kept}(\beta, u[t-1], s[t-1]) + i[t], \qquad s[t] = H(u[t] - \theta)
    """

    layer: Layer  # the layer, for its name, images, stride and pooling
    weight: Tensor  # W: [N, inputs], or filters [channels, inputs, height, width]
    bias: Tensor | None  # b, one for each row of W; None without biases
    # Recurrent weights V: [N] from each neuron to itself, [N, N], or filters; None without recurrence.
    recurrent: Tensor | None
    decay: Tensor  # beta, decay of the potential per step, float64 [N]
    synapse: Tensor | None  # alpha, decay of the current per step, float64 [N]; None for currents of one step
    threshold: Tensor | None  # theta, float64 [N]; None where nothing fires
    reset: str  # "subtract", "subtract_decayed" (before the decay), "zero" or "none"
    note: str = ""  # comment on what was added to V and is no weight of the network

    @property
    def name(self) -> str:
        return self.layer.name

    def scaled(self, gain: Tensor, reader: str) -> LayerNumbers:
        """Multiply the weights by a gain of each neuron's input, float64 [N]; `reader` is the library's name."""
        if bool((gain == 1).all()):
            return self
        rows = gain
        if isinstance(self.layer, ConvLayer):
            rows = gain.view(len(self.weight), -1)
            if bool((rows != rows[:, :1]).any()):
                raise self.refused(reader, "gains that differ within an image cannot go into its shared weights")
            rows = rows[:, 0]
        recurrent = self.recurrent
        if recurrent is not None:
            recurrent = _times(recurrent, gain if recurrent.dim() == 1 else rows)
        bias = None if self.bias is None else _times(self.bias, rows)
        return dataclasses.replace(self, weight=_times(self.weight, rows), bias=bias, recurrent=recurrent)

    def fed_back(self, weight: Tensor, note: str, reader: str) -> LayerNumbers:
        """Add to V a weight from each neuron to itself, float64 [N], and a note on it."""
        weight, recurrent = weight.to(self.weight.dtype), self.recurrent
        if recurrent is not None and recurrent.dim() not in (1, 2):
            raise self.refused(reader, f"reset={self.reset} cannot be joined with a convolution among neurons")
        total = weight
        if recurrent is not None:
            total = recurrent + (weight if recurrent.dim() == 1 else weight.diag())
        return dataclasses.replace(self, recurrent=total, note=note)

    def refused(self, reader: str, reason: str) -> InputError:
        fact, mark, remedy = reason.partition("; ")
        return InputError(f"layer '{self.name}': {fact}, so {reader} cannot hold it{mark}{remedy}")


def numbers_of(network: Network, reader: str) -> list[LayerNumbers]:
    if not isinstance(network, Chain):
        raise InputError(f"{reader}: {type(network).__name__} is no chain of layers, which alone is written")
    return [_numbers(require_steps(layer, reader), reader) for layer in network.layers]


def require_steps(layer: object, reader: str) -> Layer:
    """Return a layer; raise an `InputError` unless it is dense or convolutional and simulated step by step."""
    if not isinstance(layer, Layer) or layer.needs_all_steps is not None:
        reason = getattr(layer, "needs_all_steps", None) or f"layer '{getattr(layer, 'name', layer)}'"
        raise InputError(f"{reader} has no such layer: {reason}")
    return layer


def require_linear(layer: Layer, reader: str) -> LinearSpec:
    """Return the coefficients of a layer's leaky neurons, with a synaptic current or without."""
    kind = type(layer.neuron).__name__
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        raise InputError(f"layer '{layer.name}': {kind} is none of {reader}'s neurons, whose equations are linear")
    if isinstance(spec.surrogate, Surrogate):
        _require_step(layer.name, spec.surrogate, reader)
    absent = (spec.second_potential, spec.second_spike, spec.threshold_slope)
    synapse = spec.second is not None and is_zero(spec.input)
    if not all(map(is_zero, absent)) or not (synapse or (spec.second is None and is_zero(spec.coupling))):
        raise InputError(f"layer '{layer.name}': {kind} adapts or couples variables as none of {reader}'s neurons does")
    return spec


def is_zero(value: Coefficient) -> bool:
    return bool((torch.as_tensor(value) == 0).all())


def _require_step(name: str, surrogate: Surrogate, reader: str) -> None:
    """Raise an `InputError` unless neurons fire exactly where their potential exceeds the threshold."""
    if surrogate.output != "binary" or surrogate.stochastic or surrogate.firing is not None:
        raise InputError(
            f"layer '{name}': its spikes are not those of a step at threshold, which {reader}'s are; use a run of "
            f"firing=step and a surrogate without spikes of its own"
        )


def _numbers(layer: Layer, reader: str) -> LayerNumbers:
    """Copy a layer's weights and coefficients as float64, with the input's gain multiplied into the weights."""
    spec = require_linear(layer, reader)
    weight, bias = layer.weights_in_use()

    def per_neuron(value: Coefficient) -> Tensor:
        return torch.as_tensor(value, dtype=torch.float64).detach().cpu().flatten().expand(layer.neurons)

    plain = LayerNumbers(
        layer=layer,
        weight=_copy(weight),
        bias=None if bias is None else _copy(bias),
        recurrent=None if layer.recurrent is None else _copy(layer.recurrent_in_use()),
        decay=per_neuron(spec.decay),
        synapse=None if spec.second is None else per_neuron(spec.second_decay),
        threshold=None if spec.surrogate is None else per_neuron(spec.threshold),
        reset=spec.reset if spec.surrogate is not None else "none",
    )
    if spec.second is None:
        return plain.scaled(per_neuron(spec.input), reader)
    return plain.scaled(per_neuron(spec.second_input) * per_neuron(spec.coupling), reader)


def _copy(weight: Tensor) -> Tensor:
    return weight.detach().cpu().contiguous().clone()


def _times(weight: Tensor, gain: Tensor) -> Tensor:
    """Multiply each row of weights by a gain, float64 [rows], and round once to the weights' dtype."""
    column = gain.view(-1, *[1] * (weight.dim() - 1))
    return (weight.double() * column).to(weight.dtype)


Whole = NDArray[np.int64]
FINE_BITS = 20
"""Default fractional bits of a potential, and of a decay."""
MOST_BITS = 62
"""Most bits of an integer without its sign, so that the sum of two fits into 64 bits."""


class Precision(NamedTuple):
    """Sets the fixed-point precision of potentials and decays."""

    # bits of a potential below the unit of the finest weights; None gives it `FINE_BITS` fractional bits, or as many as
    # the weights need
    below_unit_bits: int | None = None
    decay_bits: int = FINE_BITS  # fractional bits of a decay
    rounds_to_zero: bool = False  # whether a decayed potential is truncated; otherwise it is rounded to the nearest


FINE = Precision()


@dataclass(frozen=True)
class WholeLayer:
    r"""Describes one layer of N neurons in integers; a weight is its integer times 2 to the power of an exponent.

    .. math::
        i[t] &= \alpha i[t-1] + 2^e W x[t] + 2^f V s[t-1] \\
        u[t] &= \mathrm{kept}(\beta, u[t-1], s[t-1]) + i[t], \qquad s[t] = [u[t] > \theta]
    """

    name: str
    weight: Whole  # W [N, inputs]
    weight_exponent: int  # e
    # Recurrent weights V [N, N], or [N] from each neuron to itself; None without recurrence.
    recurrent: Whole | None
    recurrent_exponent: int  # f; e without recurrence, where it is not used
    decay: NDArray[np.float64]  # beta [N], decay of the potential per step
    # alpha [N], decay of the current per step; None for currents of one step.
    synapse: NDArray[np.float64] | None
    threshold: NDArray[np.float64] | None  # theta [N]; None where nothing fires
    reset: str  # "subtract", "subtract_decayed", "zero" or "none"

    @property
    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Map names to arrays, as a file of the layer holds them; parts that are None are left out.

        The name of an array is that of the layer, a point and the part; "among" is the recurrent weights.
        """
        parts: dict[str, NDArray[np.generic] | None] = {
            "weight": self.weight.astype(np.int16),
            "weight_exponent": np.array(self.weight_exponent),
            "among": None if self.recurrent is None else self.recurrent.astype(np.int16),
            "among_exponent": np.array(self.recurrent_exponent),
            "decay": self.decay,
            "synapse": self.synapse,
            "threshold": self.threshold,
            "reset": np.array(self.reset),
        }
        return {f"{self.name}.{key}": value for key, value in parts.items() if value is not None}

    def run(self, x: Whole, precision: Precision = FINE) -> tuple[Whole, NDArray[np.float64]]:
        """Run the layer over all steps in integer arithmetic.

        Args:
            x: spikes that reach the layer [T, B, inputs].
            precision: fixed-point precision of potentials and decays.

        Returns:
            spikes [T, B, N], all 0 where nothing fires, and potentials [T, B, N] as real numbers.
        """
        point = self._point(precision)
        one = 1 << precision.decay_bits
        decay, synapse = (
            None if real is None else np.round(real * one).astype(np.int64) for real in (self.decay, self.synapse)
        )
        units = None if self.threshold is None else self._whole_threshold(self.threshold, point)
        threshold = np.int64(0) if units is None else units
        potential = np.zeros((*x.shape[1:-1], len(self.weight)), dtype=np.int64)
        current, spikes = np.zeros_like(potential), np.zeros_like(potential)
        all_spikes, potentials = [], []
        for step in x:
            drive = self._shifted(step @ self.weight.T, point + self.weight_exponent)
            if self.recurrent is not None:
                is_one_to_one = self.recurrent.ndim == 1
                returned = spikes * self.recurrent if is_one_to_one else spikes @ self.recurrent.T
                drive = drive + self._shifted(returned, point + self.recurrent_exponent)
            current = drive if synapse is None else _decayed(current, synapse, precision) + drive
            self._require_room(current, precision.decay_bits)
            potential = self._after_reset(potential, spikes, threshold, decay, precision) + current
            self._require_room(potential, precision.decay_bits)
            spikes = np.zeros_like(potential) if units is None else (potential > units).astype(np.int64)
            all_spikes.append(spikes)
            potentials.append(potential * 2.0**-point)
        return np.stack(all_spikes), np.stack(potentials)

    def _point(self, precision: Precision) -> int:
        """Return how many bits a number has below 1: those of the chip, or enough for the finest weight."""
        exponents = [self.weight_exponent, *([] if self.recurrent is None else [self.recurrent_exponent])]
        if precision.below_unit_bits is None:
            return max(FINE_BITS, -min(exponents))
        return precision.below_unit_bits - min(exponents)

    def _whole_threshold(self, threshold: NDArray[np.float64], point: int) -> Whole:
        """Convert thresholds to integers in units of a potential's last bit, of which `point` are fractional."""
        units = np.round(threshold * 2.0**point)
        self._require_room(units, 0)
        return units.astype(np.int64)

    def _shifted(self, values: Whole, bits: int) -> Whole:
        """Shift integers to the left by `bits`; raise an `InputError` if they overflow."""
        self._require_room(values, bits)
        return values << bits

    def _require_room(self, values: Whole | NDArray[np.float64], bits: int) -> None:
        if not np.abs(values).max(initial=0) < 2.0 ** (MOST_BITS - bits):
            raise InputError(
                f"layer '{self.name}': a number is too large for whole numbers of 64 bits; train with smaller "
                "weights, e.g. optimizer.weight_decay=0.01"
            )

    def _after_reset(
        self, potential: Whole, spikes: Whole, threshold: Whole | np.int64, decay: Whole | None, precision: Precision
    ) -> Whole:
        """Return what the decay and the reset by the last step's spikes leave of the last potential.

        Potential and threshold are integers in units of the last bit, and the decay is multiplied by 2^decay_bits.
        """
        if decay is None:
            raise AssertionError("every layer has a decay")
        if self.reset == "subtract_decayed":
            potential = potential - threshold * spikes
        elif self.reset == "zero":
            potential = potential * (1 - spikes)
        kept = _decayed(potential, decay, precision)
        return kept - threshold * spikes if self.reset == "subtract" else kept


def _decayed(value: Whole, decay: Whole, precision: Precision) -> Whole:
    """Multiply by a decay of `decay_bits` bits, rounded to zero or to the nearest as the chip does."""
    product = value * decay
    if precision.rounds_to_zero:
        return np.sign(product) * (np.abs(product) >> precision.decay_bits)
    return (product + (1 << (precision.decay_bits - 1))) >> precision.decay_bits


def whole_layers(network: Network, reader: str) -> tuple[WholeLayer, ...]:
    return tuple(_whole(numbers, reader) for numbers in numbers_of(network, reader))


def run_layers(
    layers: Sequence[WholeLayer], x: Whole, precision: Precision = FINE
) -> tuple[list[Whole], NDArray[np.float64]]:
    """Run layers one after another; return the spikes of each, and the last one's spikes or, if none, potentials.

    `layers`: layers of a network, in their order. `x`: spikes that reach the first layer [T, B, inputs]. `precision`:
    fixed-point precision of potentials and decays.
    """
    spikes: list[Whole] = []
    potential = np.zeros(0)
    for layer in layers:
        x, potential = layer.run(x, precision)
        spikes.append(x)
    fires = layers[-1].threshold is not None
    return spikes, spikes[-1].astype(np.float64) if fires else potential


def read_layers(arrays: Mapping[str, NDArray[np.generic]]) -> tuple[WholeLayer, ...]:
    names = dict.fromkeys(name.rpartition(".")[0] for name in arrays if "." in name)
    try:
        return tuple(_read(name, arrays) for name in names)
    except KeyError as error:
        raise InputError(f"{error.args[0]}: is not in the file; export the run again") from error


def _read(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> WholeLayer:
    """Read the layer with a name from the arrays; raise a `KeyError` if one is missing."""

    def optional_real(key: str) -> NDArray[np.float64] | None:
        return arrays[f"{name}.{key}"].astype(np.float64) if f"{name}.{key}" in arrays else None

    recurrent = arrays[f"{name}.among"].astype(np.int64) if f"{name}.among" in arrays else None
    return WholeLayer(
        name=name,
        weight=arrays[f"{name}.weight"].astype(np.int64),
        weight_exponent=int(arrays[f"{name}.weight_exponent"]),
        recurrent=recurrent,
        recurrent_exponent=int(arrays[f"{name}.among_exponent"]),
        decay=arrays[f"{name}.decay"].astype(np.float64),
        synapse=optional_real("synapse"),
        threshold=optional_real("threshold"),
        reset=str(arrays[f"{name}.reset"]),
    )


def _whole(numbers: LayerNumbers, reader: str) -> WholeLayer:
    """Convert one layer to integers; raise an `InputError` if it cannot be."""
    layer = numbers.layer
    if not isinstance(layer, DenseLayer):
        raise numbers.refused(reader, "convolutions are not written in whole numbers; use network=mlp")
    if layer.pool_in is not None:
        raise numbers.refused(reader, "it pools what arrives")
    if numbers.bias is not None:
        raise numbers.refused(reader, "biases have all bits; train with network.bias=false")
    weight, exponent = _units(numbers, numbers.weight, "weight", reader)
    recurrent, recurrent_exponent = None, exponent
    if numbers.recurrent is not None:
        recurrent, recurrent_exponent = _units(numbers, numbers.recurrent, "recurrent", reader)
    return WholeLayer(
        name=numbers.name,
        weight=weight,
        weight_exponent=exponent,
        recurrent=recurrent,
        recurrent_exponent=recurrent_exponent,
        decay=numbers.decay.numpy(),
        synapse=None if numbers.synapse is None else numbers.synapse.numpy(),
        threshold=None if numbers.threshold is None else numbers.threshold.numpy(),
        reset=numbers.reset,
    )


def _units(numbers: LayerNumbers, acting: Tensor, name: str, reader: str) -> tuple[Whole, int]:
    """Return weights as whole numbers of a unit 2^exponent, and the exponent; refused if they are none."""
    quantised = getattr(numbers.layer, "parametrizations", {})
    if name not in quantised:
        raise numbers.refused(reader, "its weights have all bits; train with weights=int8, int4 or ternary")
    (quantiser,) = quantised[name]
    if not isinstance(quantiser, Quantiser) or not quantiser.power_of_two or quantiser.scale != "layer":
        raise numbers.refused(
            reader,
            "its units are no power of 2 that all weights share; train with weights.power_of_two=true "
            "weights.scale=layer",
        )
    _, unit = quantiser.levels(quantised[name].original.detach().cpu())
    exponent = round(float(unit.log2()))
    whole = acting.double() * 2.0**-exponent
    if bool((whole != whole.round()).any()):
        raise numbers.refused(reader, "its neurons scale what arrives, so that weights are no whole numbers")
    return whole.numpy().astype(np.int64), exponent
