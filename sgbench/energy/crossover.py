"""The rate of events below which a spiking network needs less energy than the same network without spikes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.energy.baseline import Passes, levels_bits, matched_ann, passes_of
from sgbench.energy.interval import BoundedValue
from sgbench.energy.price import price
from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts
from sgbench.records.energy import EnergyTarget

ENDS = ("value", "low", "high")
NARROW_BITS = 8  # largest operands of a target for quantised networks


@dataclass(frozen=True)
class EnergyComparison:
    """Compares the dynamic energy of an inference of a spiking network and of its matched ANN on one target.

    Rates are in events per synapse and step.
    """

    target: str
    spiking_nj: BoundedValue | None  # None if the target has no price for some operation
    ann_nj: BoundedValue | None  # likewise
    ann_bits: int  # of the ANN's weights
    qnn_bits: int  # of activations that can hold the spiking neurons' spike counts
    quantised: bool  # whether the target's operands have at most 8 bits and hold `qnn_bits`
    rate: float  # of the spiking network
    # Rate of equal energy; 0 if the ANN is always cheaper, None unless both energies are known.
    crossover: BoundedValue | None
    reasons: tuple[str, ...]  # why an energy is missing

    @property
    def wins(self) -> bool | None:
        """Return whether the spiking network needs less energy; None if its rate lies within the bounds."""
        if self.crossover is None:
            return None
        if self.rate < self.crossover.low:
            return True
        return False if self.rate >= self.crossover.high else None


@dataclass(frozen=True)
class Matched:
    """Compares one method with its matched ANN on several targets."""

    rate: float  # events per synapse and step
    activation_bits: int  # of activations that can hold a neuron's spike counts
    comparisons: dict[str, EnergyComparison]  # by target
    passes: Passes  # how often the ANN runs

    @property
    def priced(self) -> dict[str, EnergyComparison]:
        return {name: one for name, one in self.comparisons.items() if one.crossover is not None}

    def cheaper(self, *, quantised: bool) -> tuple[int, int]:
        """Return the number of targets on which the spiking network surely needs less energy, and of all targets.

        Only targets with a crossover count: those for quantised networks, or the others.
        """
        chosen = [comparison for comparison in self.priced.values() if comparison.quantised is quantised]
        return sum(comparison.wins is True for comparison in chosen), len(chosen)

    @property
    def crossover_range(self) -> tuple[float, float] | None:
        """Return the least and the largest finite bound of all crossovers; None if there is none."""
        crossovers = [one.crossover for one in self.comparisons.values() if one.crossover is not None]
        bounds = [bound for one in crossovers for bound in (one.low, one.high) if math.isfinite(bound)]
        return (min(bounds), max(bounds)) if bounds else None


def matched(counts: OpCounts, *, targets: Sequence[EnergyTarget], dt_s: float, in_time: bool = False) -> Matched:
    """Compare a spiking network with its matched ANN on several targets.

    `counts`: of the spiking network, e.g. summed over seeds. `targets`: hardware with prices of operations. `dt_s`:
    duration of a time step [s]. `in_time`: whether a sample is a series in time, so that the ANN runs in each step.
    """
    passes = passes_of(counts, in_time=in_time)
    comparisons = {target.name: compare(counts, target=target, dt_s=dt_s, passes=passes) for target in targets}
    return Matched(
        rate=synapse_rate(counts), activation_bits=activation_bits(counts), comparisons=comparisons, passes=passes
    )


def activation_bits(counts: OpCounts) -> int:
    """Compute the bits of an activation that can hold a neuron's spike count in a sample of mean length."""
    return levels_bits(math.ceil(counts.steps / counts.samples))


def synapse_rate(counts: OpCounts) -> float:
    """Compute the mean fraction of the connections that carry an event in a step.

    That is the synaptic operations, divided by connections times steps.
    """
    groups = [group for layer in counts.layers for group in layer.synapses]
    for group in groups:
        for count in (group.effective, group.dense):
            if count.total is None:
                raise InputError(f"synapses from {group.source}: {count.reason}")
    dense = sum(group.dense.total or 0 for group in groups)
    return sum(group.effective.total or 0 for group in groups) / dense


def compare(counts: OpCounts, *, target: EnergyTarget, dt_s: float, passes: Passes | None = None) -> EnergyComparison:
    r"""Compare a spiking network with its matched ANN on one target, and find the rate at which they cost the same.

    If the number of events is scaled by a factor f, the energy of the spiking network is linear in f:

    .. math:: E(f) = E(0) + f \, (E(1) - E(0)), \qquad f^* = \frac{E_\mathrm{ANN} - E(0)}{E(1) - E(0)}

    The crossover is f* times the network's rate. Its bounds come from all prices at their low bounds, and from all
    at their high bounds. Weights of both networks have at most the target's operand bits.

    `target`: hardware with prices of operations. `dt_s`: duration of a time step [s]. `passes`: how often the ANN runs;
    None for once a step if it is recurrent, else once a sample.
    """
    rate = synapse_rate(counts)
    bits = max(group.weight_bits for layer in counts.layers for group in layer.synapses)
    ann_bits = min(bits, target.operand_bits or bits)
    ann_counts = matched_ann(counts, weight_bits=ann_bits, passes=passes)
    silent, spiking, ann = (
        price(operations, target=target, dt_s=dt_s) for operations in (silenced(counts), counts, ann_counts)
    )
    qnn_bits = activation_bits(counts)
    return EnergyComparison(
        target=target.name,
        spiking_nj=spiking.dynamic_nj,
        ann_nj=ann.dynamic_nj,
        ann_bits=ann_bits,
        qnn_bits=qnn_bits,
        quantised=target.operand_bits is not None and qnn_bits <= target.operand_bits <= NARROW_BITS,
        rate=rate,
        crossover=_crossing_rate(silent.dynamic_nj, spiking.dynamic_nj, ann.dynamic_nj, rate),
        reasons=tuple(dict.fromkeys((*spiking.reasons, *ann.reasons))),
    )


def _crossing_rate(
    silent: BoundedValue | None, spiking: BoundedValue | None, ann: BoundedValue | None, rate: float
) -> BoundedValue | None:
    if silent is None or spiking is None or ann is None or not spiking.value > silent.value:
        return None
    rates = []
    for end in ENDS:
        at_zero, at_rate, other = (getattr(energy, end) for energy in (silent, spiking, ann))
        slope = at_rate - at_zero
        rates.append(max(0.0, rate * (other - at_zero) / slope) if slope > 0 else math.inf)
    return BoundedValue(rates[0], min(rates), max(rates))


def silenced(counts: OpCounts) -> OpCounts:
    return counts.model_copy(
        update={"input_events": Count(total=0), "layers": tuple(_silent_layer(layer) for layer in counts.layers)}
    )


def _silent_layer(layer: LayerCounts) -> LayerCounts:
    zero = Count(total=0)
    return layer.model_copy(
        update={
            "synapses": tuple(group.model_copy(update={"effective": zero}) for group in layer.synapses),
            "neuron_updates_with_input": zero,
            "spikes_sent": zero,
            "weight_reads": layer.bias_additions,  # biases are read in every step
        }
    )
