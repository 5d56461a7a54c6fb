"""The rate of events below which a spiking network needs less energy than the same network without spikes."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgbench.energy.baseline import Passes, levels_bits, matched_ann, passes_of
from sgbench.energy.interval import BoundedValue, total
from sgbench.energy.price import EnergyEstimate, price
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
    """Return the rate at which the spiking network costs as much as the ANN, on the line through no spikes and `rate`.

    None if an energy is unknown, or does not grow with the rate. An infinite bound means that the line never
    crosses.
    """
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
    """Copy the counts of a layer as if no event had reached it and it had not fired."""
    zero = Count(total=0)
    return layer.model_copy(
        update={
            "synapses": tuple(group.model_copy(update={"effective": zero}) for group in layer.synapses),
            "neuron_updates_with_input": zero,
            "spikes_sent": zero,
            "weight_reads": layer.bias_additions,  # biases are read in every step
        }
    )


Parts = dict[str, BoundedValue]
"""Maps operations to their energy in one inference [nJ]."""

MOST_VARIED = 12
"""Number of prices that vary independently; all others, which matter least, vary together with the last of them."""
ROUNDING = 1e-12  # relative difference up to which two sums are equal


@dataclass(frozen=True)
class Duel:
    """Compares the energy of two methods over all combinations of low and high prices ("corners")."""

    a: str  # name of the first method
    b: str  # name of the second method
    share: dict[str, float]  # maps targets to the fraction of corners in which a needs less energy than b
    tied: tuple[str, ...]  # targets on which both need equal energy in every corner; they are not in `share`

    @property
    def mean(self) -> float:
        """Return the mean of the shares over targets; 0.5 if there are none."""
        return math.fsum(self.share.values()) / len(self.share) if self.share else 0.5

    @property
    def certain(self) -> bool:
        """Return whether the same method needs less energy in every corner on every target."""
        return len(set(self.share.values())) == 1 and self.mean in (0.0, 1.0)


def parts(estimates: Sequence[EnergyEstimate]) -> Parts | None:
    """Map operations to their mean energy over the seeds' estimates; None if one has no total."""
    if not estimates or any(estimate.dynamic_nj is None for estimate in estimates):
        return None
    by_operation: dict[str, list[BoundedValue]] = {}
    for estimate in estimates:
        for term in estimate.terms:
            by_operation.setdefault(term.operation, []).append(term.energy_nj)
        if estimate.static_nj is not None:
            by_operation.setdefault("static", []).append(estimate.static_nj)
    return {name: total(group).over(len(estimates)) for name, group in by_operation.items()}


def duels(methods: Mapping[str, Mapping[str, Parts | None]]) -> tuple[Duel, ...]:
    """Compare the energy of every pair of methods on all targets on which both have a total.

    A corner sets each price of a target to its low or high bound, for both methods alike, so operations that both
    do equally often cancel. `Duel.share` is the fraction of corners in which the first method needs less energy.

    >>> cheap, dear = {"accumulate": BoundedValue(1, 1, 2)}, {"accumulate": BoundedValue(3, 3, 6)}
    >>> duels({"a": {"chip": cheap}, "b": {"chip": dear}})[0].certain
    True
    >>> other = {"accumulate": BoundedValue(0.5, 0.5, 1), "neuron_update": BoundedValue(1, 0.1, 2)}
    >>> duels({"a": {"chip": cheap}, "b": {"chip": other}})[0].share
    {'chip': 0.5}
    """
    results = []
    for (a, of_a), (b, of_b) in itertools.combinations(methods.items(), 2):
        share: dict[str, float] = {}
        tied = []
        for target, parts_a in of_a.items():
            parts_b = of_b.get(target)
            if parts_a is not None and parts_b is not None:
                cheaper = cheaper_share(parts_a, parts_b)
                if cheaper is None:
                    tied.append(target)
                else:
                    share[target] = cheaper
        if share or tied:
            results.append(Duel(a, b, share, tuple(tied)))
    return tuple(results)


def cheaper_share(a: Parts, b: Parts) -> float | None:
    """Return the fraction of price combinations in which a needs less energy than b.

    Each price is at the low or the high end of its interval, in all combinations; `MOST_VARIED` prices vary at most,
    the smallest of them together. Ties count half; None if all are ties.
    """
    zero = BoundedValue(0, 0, 0)
    pairs = [(a.get(name, zero), b.get(name, zero)) for name in sorted({*a, *b})]
    lows = [of_a.low - of_b.low for of_a, of_b in pairs]  # difference of a and b at low prices
    # Change of the difference if one price goes from low to high.
    swings = [(of_a.high - of_b.high) - low for (of_a, of_b), low in zip(pairs, lows, strict=True)]
    varied = sorted((swing for swing in swings if swing), key=abs, reverse=True)
    last = varied[MOST_VARIED - 1 :]
    varied = [*varied[: MOST_VARIED - 1], *([math.fsum(last)] if last else [])]
    base = math.fsum(lows)
    scale = math.fsum(abs(of_a.high) + abs(of_b.high) for of_a, of_b in pairs)
    signs = []
    for corner in itertools.product((0, 1), repeat=len(varied)):
        difference = base + math.fsum(high * swing for high, swing in zip(corner, varied, strict=True))
        signs.append(0 if abs(difference) <= ROUNDING * scale else math.copysign(1, difference))
    if not any(signs):
        return None
    return math.fsum((1 - sign) / 2 for sign in signs) / len(signs)
