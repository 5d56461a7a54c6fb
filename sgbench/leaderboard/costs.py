"""Average a method's costs of one inference and of its training over its finished seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sgbench.energy.crossover import Duel, duels, parts
from sgbench.energy.pool import pooled
from sgbench.energy.price import BoundedValue, EnergyEstimate, price
from sgbench.errors import InputError
from sgbench.records.counts import Count, OpCounts
from sgbench.records.energy import EnergyTarget
from sgbench.records.record import RunRecord

NOT_RUN = "no seed of this method finished"


@dataclass(frozen=True)
class Amount:
    """Holds a mean over finished seeds, or None with the reasons why it is unknown."""

    value: float | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Energy:
    """Holds the dynamic and static energy per inference on one target [nJ]."""

    dynamic_nj: BoundedValue | None
    static_nj: BoundedValue | None
    missing: tuple[str, ...]  # operations without a price, which the values leave out
    reasons: tuple[str, ...]  # why a value is None


@dataclass(frozen=True)
class Costs:
    """Holds all costs of one method; synaptic operations are those of event-driven execution, per inference."""

    spikes: Amount
    synaptic_operations: Amount
    energies: dict[str, Energy]  # maps the name of each target to the energy on it
    parameters: int | None  # trainable ones, the most of any seed
    training_s: float | None  # mean duration of training [s]
    pooled: bytes | None  # counts of all seeds together, as JSON to save memory

    @property
    def counts(self) -> OpCounts | None:
        """Return the counts of all seeds together; None without any, or if networks differ in shape."""
        return None if self.pooled is None else OpCounts.model_validate_json(self.pooled)


def costs(group: Sequence[RunRecord], *, targets: Sequence[EnergyTarget], dt_s: float) -> Costs:
    """Average the costs in the records of one method.

    `group`: one record for each seed; `dt_s`: duration of a time step [s].
    """
    finished = [record for record in group if record.status == "finished"]
    counts = [record.counts for record in finished if record.counts is not None]
    parameters = [record.parameters for record in group if record.parameters is not None]
    fits_s = [record.timing.fit_s for record in finished]
    together = _pool(counts)
    # Energy is linear in counts: for equal test sets, the sum of all counts is priced once for the mean.
    equal = len({(count.samples, count.steps) for count in counts}) == 1
    priced_counts = [together] if together is not None and equal else counts
    return Costs(
        spikes=_amount(counts, pick=lambda run: [(layer.name, layer.spikes_sent) for layer in run.layers]),
        synaptic_operations=_amount(
            counts,
            pick=lambda run: [(layer.name, synapses.effective) for layer in run.layers for synapses in layer.synapses],
        ),
        energies={
            target.name: _energy([price(part, target=target, dt_s=dt_s) for part in priced_counts], target)
            for target in targets
        },
        parameters=max(parameters, default=None),
        training_s=math.fsum(fits_s) / len(fits_s) if fits_s else None,
        pooled=None if together is None else together.model_dump_json().encode(),
    )


def _pool(counts: Sequence[OpCounts]) -> OpCounts | None:
    try:
        return pooled(counts)
    except InputError:  # no counts, or several shapes
        return None


def stability(methods: Mapping[str, OpCounts], *, targets: Sequence[EnergyTarget], dt_s: float) -> tuple[Duel, ...]:
    """Compute how often each method needs less energy than each other, over targets and the ends of their prices.

    `methods`: maps each method's name to its operation counts of all seeds together; `dt_s`: duration of a time step
    [s].
    """
    return duels(
        {
            name: {target.name: parts([price(counts, target=target, dt_s=dt_s)]) for target in targets}
            for name, counts in methods.items()
        }
    )


def _amount(counts: Sequence[OpCounts], pick: Callable[[OpCounts], list[tuple[str, Count]]]) -> Amount:
    """Average over seeds a count per inference; `pick` lists the named parts of which the count is the sum."""
    if not counts:
        return Amount(None, (NOT_RUN,))
    missing = {
        f"{layer}: {count.reason}" for counted_run in counts for layer, count in pick(counted_run) if count.reason
    }
    if missing:
        return Amount(None, tuple(sorted(missing)))
    per_seed = [sum(count.total or 0 for _, count in pick(counted_run)) / counted_run.samples for counted_run in counts]
    return Amount(math.fsum(per_seed) / len(per_seed))


def _energy(estimates: Sequence[EnergyEstimate], target: EnergyTarget) -> Energy:
    """Average the estimates of the seeds' energy on one target, and collect what they leave out and why."""
    if not estimates:
        return Energy(None, None, target.missing, (NOT_RUN,))
    missing = [*target.missing]
    for estimate in estimates:
        missing += [name for name in estimate.missing if name not in missing]
    return Energy(
        dynamic_nj=_mean([estimate.dynamic_nj for estimate in estimates]),
        static_nj=_mean([estimate.static_nj for estimate in estimates]),
        missing=tuple(missing),
        reasons=tuple(sorted({reason for estimate in estimates for reason in estimate.reasons})),
    )


def _mean(intervals: Sequence[BoundedValue | None]) -> BoundedValue | None:
    """Average values and ends of an energy over seeds; None unless every seed has one."""
    known = [interval for interval in intervals if interval is not None]
    if len(known) < len(intervals):
        return None
    n = len(known)
    return BoundedValue(
        math.fsum(interval.value for interval in known) / n,
        math.fsum(interval.low for interval in known) / n,
        math.fsum(interval.high for interval in known) / n,
    )
