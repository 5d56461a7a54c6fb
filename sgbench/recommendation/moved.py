"""The part of an energy that settings can move: what spikes of neurons cause; input and updates of neurons stay."""

from __future__ import annotations

from sgbench.energy.price import price
from sgbench.records.counts import Count, LayerCounts, OpCounts
from sgbench.records.energy import EnergyTarget

INPUT = "input"
NONE = Count(total=0)


def without_spikes(counts: OpCounts) -> OpCounts:
    """Return the counts of the same network whose neurons send nothing, while its input stays.

    Args:
        counts: of a network; how many neurons receive something in a step is taken as it was.
    """
    return counts.model_copy(update={"layers": tuple(_silent(layer) for layer in counts.layers)})


def _silent(layer: LayerCounts) -> LayerCounts:
    """Return a layer's counts without spikes from other neurons."""
    groups = tuple(
        group if group.source == INPUT else group.model_copy(update={"effective": NONE})
        for group in layer.synapses
    )
    before, after = (sum(group.effective.total or 0 for group in of) for of in (layer.synapses, groups))
    reads = layer.weight_reads.total
    kept = layer.weight_reads if reads is None or not before else Count(total=round(reads * after / before))
    return layer.model_copy(update={"synapses": groups, "spikes_sent": NONE, "weight_reads": kept})


def moved_nj(counts: OpCounts, *, target: EnergyTarget, dt_s: float) -> float:
    """Compute the energy that spikes of neurons cause [nJ]; 0 where a target gives no total.

    Args:
        counts: of a network.
        target: prices.
        dt_s: length of a time step.
    """
    whole, still = (
        price(one, target=target, dt_s=dt_s).dynamic_nj for one in (counts, without_spikes(counts))
    )
    return 0.0 if whole is None or still is None else whole.value - still.value
