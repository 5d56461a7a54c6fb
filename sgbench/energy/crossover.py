"""The firing rate below which a spiking network costs less than the same network without spikes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.energy.baseline import Passes, levels_bits, matched_ann, passes_of
from sgbench.energy.interval import BoundedValue
from sgbench.energy.price import price
from sgbench.errors import InputError
from sgbench.records.counts import Count, LayerCounts, OpCounts, SynapseCounts
from sgbench.records.energy import EnergyTarget

ENDS = ("value", "low", "high")
NARROW_BITS = 8  # operands up to here are those of a quantised network


@dataclass(frozen=True)
class EnergyComparison:
    """Compares a spiking network with its matched ones on one target, dynamic energy an inference [nJ].

    Rates are events a synapse and step. `crossover` is None where the networks have no common prices, and 0 where
    the spiking one costs more even when nothing fires.
    """

    target: str
    spiking_nj: BoundedValue | None
    ann_nj: BoundedValue | None
    ann_bits: int  # of weights
    qnn_bits: int  # of activations of the quantised network
    quantised: (
        bool  # whether the target's operands are narrow, and hold these: its ANN is then the quantised one
    )
    rate: float
    crossover: BoundedValue | None
    reasons: tuple[str, ...]

    @property
    def wins(self) -> bool | None:
        """Return whether the spiking network costs less; None where the crossover's intervals leave it open."""
        if self.crossover is None:
            return None
        if self.rate < self.crossover.low:
            return True
        return False if self.rate >= self.crossover.high else None


@dataclass(frozen=True)
class Matched:
    """Compares one method with the same network without spikes, on each of some price lists."""

    rate: float  # events a synapse and step
    activation_bits: int  # of the quantised network
    comparisons: dict[str, EnergyComparison]  # by target
    passes: Passes  # of the networks without spikes

    @property
    def priced(self) -> dict[str, EnergyComparison]:
        """Return the comparisons on targets that price all of both networks."""
        return {name: one for name, one in self.comparisons.items() if one.crossover is not None}

    def cheaper(self, *, quantised: bool) -> tuple[int, int]:
        """Count on how many targets, of how many, the spiking network costs less under every price."""
        kind = [comparison for comparison in self.priced.values() if comparison.quantised is quantised]
        return sum(comparison.wins is True for comparison in kind), len(kind)

    @property
    def crossover_range(self) -> tuple[float, float] | None:
        """Return the least and the largest finite end of all crossovers; None without any."""
        crossovers = [one.crossover for one in self.comparisons.values() if one.crossover is not None]
        ends = [end for one in crossovers for end in (one.low, one.high) if math.isfinite(end)]
        return (min(ends), max(ends)) if ends else None


def matched(
    counts: OpCounts, *, targets: Sequence[EnergyTarget], dt_s: float, in_time: bool = False
) -> Matched:
    """Compare a method with its networks without spikes on every price list.

    Args:
        counts: of all its seeds together.
        targets: price lists.
        dt_s: length of one time step [s].
        in_time: whether a sample is a series in time.

    Raises:
        InputError: a layer's synapses were not counted.
    """
    passes = passes_of(counts, in_time=in_time)
    comparisons = {
        target.name: compare(counts, target=target, dt_s=dt_s, passes=passes) for target in targets
    }
    return Matched(synapse_rate(counts), activation_bits(counts), comparisons, passes)


def activation_bits(counts: OpCounts) -> int:
    """Compute the bits of an activation with as many values as a neuron has spike counts in a sample."""
    return levels_bits(math.ceil(counts.steps / counts.samples))


def synapse_rate(counts: OpCounts) -> float:
    """Compute the mean fraction of the connections that carry an event in a step.

    That is the synaptic operations, divided by connections times steps.

    Raises:
        InputError: some synaptic operations were not counted.
    """
    groups = [group for layer in counts.layers for group in layer.synapses]
    for group in groups:
        for count in (group.effective, group.dense):
            if count.total is None:
                raise InputError(f"synapses from {group.source}: {count.reason}")
    return sum(group.effective.total or 0 for group in groups) / sum(
        group.dense.total or 0 for group in groups
    )


def compare(
    counts: OpCounts, *, target: EnergyTarget, dt_s: float, passes: Passes | None = None
) -> EnergyComparison:
    r"""Set a spiking network beside its matched ones, and find the rate at which they cost the same.

    All events of the network are scaled together by a factor f, so the energy is a straight line in f:

    .. math:: E(f) = E(0) + f \, (E(1) - E(0)), \qquad f^* = \frac{E_\mathrm{ANN} - E(0)}{E(1) - E(0)}

    and the crossover is f* times the rate of the network. Its ends come from all prices at their low and at their
    high ends together. Both networks pay the same target's prices, the quantised one its widest operands. `passes`
    are those of the network without spikes; None takes one a sample, or one a step where there is recurrence.
    """
    rate = synapse_rate(counts)
    bits = max(group.weight_bits for layer in counts.layers for group in layer.synapses)
    used = min(bits, target.operand_bits or bits)
    ann = matched_ann(counts, weight_bits=used, passes=passes)
    still, whole, other = (
        price(operations, target=target, dt_s=dt_s) for operations in (silenced(counts), counts, ann)
    )
    qnn_bits = activation_bits(counts)
    reasons = tuple(dict.fromkeys((*whole.reasons, *other.reasons)))
    crossing = _crossing_rate(still.dynamic_nj, whole.dynamic_nj, other.dynamic_nj, rate)
    quantised = target.operand_bits is not None and qnn_bits <= target.operand_bits <= NARROW_BITS
    return EnergyComparison(
        target.name, whole.dynamic_nj, other.dynamic_nj, used, qnn_bits, quantised, rate, crossing, reasons
    )


def _crossing_rate(
    still: BoundedValue | None, whole: BoundedValue | None, other: BoundedValue | None, rate: float
) -> BoundedValue | None:
    """Return the firing rate at which both energies are equal, as far as prices fix it."""
    if still is None or whole is None or other is None or not whole.value > still.value:
        return None
    rates = []
    for end in ENDS:
        zero, one, against = (getattr(energy, end) for energy in (still, whole, other))
        rates.append(max(0.0, rate * (against - zero) / (one - zero)) if one > zero else math.inf)
    return BoundedValue(rates[0], min(rates), max(rates))


def silenced(counts: OpCounts) -> OpCounts:
    """Count the same network when nothing fires: neurons are updated, nothing arrives and nothing is sent."""
    return counts.model_copy(
        update={
            "input_events": Count(total=0),
            "layers": tuple(_silent_layer(layer) for layer in counts.layers),
        }
    )


def _silent_layer(layer: LayerCounts) -> LayerCounts:
    """Return a layer's counts as if nothing arrived."""
    zero = Count(total=0)
    additions = layer.bias_additions  # read in every step, whatever arrives
    return layer.model_copy(
        update={
            "synapses": tuple(_silent_group(group) for group in layer.synapses),
            "neuron_updates_with_input": zero,
            "spikes_sent": zero,
            "weight_reads": additions,
        }
    )


def _silent_group(group: SynapseCounts) -> SynapseCounts:
    """Return a group's counts as if nothing arrived."""
    return group.model_copy(update={"effective": Count(total=0)})
