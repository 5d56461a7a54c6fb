"""Converts a network of quantised weights to integers for a chip, and runs it in integer arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sgbench.errors import InputError
from sgbench.exchange.layer_numbers import LayerNumbers, numbers_of
from sgbench.networks.base import DenseLayer, Network
from sgbench.quantisers.base import Quantiser

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
