"""Whether a network fits a chip: the cores and chips it takes, and the features that the chip lacks."""

from collections.abc import Iterator
from dataclasses import dataclass

from sgbench.energy.operations import NEEDED, operation_counts
from sgbench.energy.placement import Piece, chips_needed, last_core, place, synapse_count
from sgbench.errors import InputError
from sgbench.records.counts import OpCounts
from sgbench.records.energy import Chip, EnergyTarget

ARITHMETIC = ("accumulate", "multiply_accumulate", "neuron_", "spike_sent", "bias_addition")
"""Beginnings of the names of operations that every chip for spiking networks has."""


@dataclass(frozen=True)
class ChipFit:
    """Describes how one network fits one target's chip."""

    target: str
    pieces: tuple[Piece, ...]  # cores of each layer
    cores: int
    chips: int
    unsupported: tuple[str, ...]  # features of the network that the chip lacks
    changes: tuple[str, ...]  # changes to the network that are needed, e.g. quantisation
    unchecked: tuple[str, ...]  # limits of the chip that were not checked
    source: str  # of the chip's limits
    mark: str  # quality of the source

    @property
    def fits(self) -> bool:
        return not self.unsupported


def fit(counts: OpCounts, *, target: EnergyTarget, neurons: dict[str, str]) -> ChipFit:
    """Assign a network to the cores of a target's chip, and list the features that the chip lacks.

    `target`: hardware with limits of a chip; `neurons`: maps "neuron" and "readout" to the catalogue names of the
    neurons in use.
    """
    chip = target.chip
    if chip is None:
        raise InputError(f"energy target '{target.name}' states no limits of a chip; nothing to fit to")
    pieces = place(counts, chip)
    return ChipFit(
        target=target.name,
        pieces=pieces,
        cores=last_core(pieces) + 1,
        chips=chips_needed(pieces, chip),
        unsupported=tuple(_unsupported(counts, target, chip, neurons)),
        changes=tuple(_changes(counts, chip)),
        unchecked=chip.unchecked,
        source=chip.source,
        mark=chip.mark,
    )


def _unsupported(counts: OpCounts, target: EnergyTarget, chip: Chip, neurons: dict[str, str]) -> Iterator[str]:
    """Yield what the network has and the chip lacks: neurons, real input, connections to a neuron, operations."""
    for role, name in neurons.items():
        if chip.neurons is not None and name.split("/")[0] not in chip.neurons:
            supported = ", ".join(chip.neurons) or "none of the catalogue's"
            yield f"{role} '{name}': the hardware has {supported}"
    first = counts.layers[0].synapses[0]
    if first.operation == "multiply_accumulate" and "real" not in chip.inputs:
        yield f"input of real values: the hardware takes {', '.join(chip.inputs)} input"
    for layer in counts.layers:
        fan_in = sum(synapse_count(group, counts.steps) or 0 for group in layer.synapses) // layer.neurons
        if chip.fan_in is not None and fan_in > chip.fan_in:
            yield f"{layer.name}: {fan_in} inputs to a neuron, {chip.fan_in} at most"
    priced = {*target.priced, *target.included_elsewhere, *(item.split(":")[0] for item in target.missing)}
    for each in operation_counts(counts, {}):
        is_special = each.operation in NEEDED and not each.operation.startswith(ARITHMETIC)
        if is_special and each.count is not None and each.count.value and each.operation not in priced:
            yield f"{each.layer}: {each.operation} is no operation of the hardware"


def _changes(counts: OpCounts, chip: Chip) -> Iterator[str]:
    """Yield what has to change before the network fits: weights with fewer bits."""
    widest = max(group.weight_bits for layer in counts.layers for group in layer.synapses)
    if chip.weight_bits is not None and widest > chip.weight_bits:
        yield f"weights of {widest} bits have to be quantised to {chip.weight_bits}"
