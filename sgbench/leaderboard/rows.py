"""From records to the rows of a board: grouped by method, averaged over seeds, priced and ranked."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from sgbench.leaderboard.costs import Costs, costs
from sgbench.leaderboard.score import Measure, measure_of
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.leaderboard.store.outside import Outsider
from sgbench.leaderboard.store.sources import method_of_row, source_of
from sgbench.leaderboard.varying import Varying, common, name_of, varying_parameters
from sgbench.records.energy import EnergyTarget
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, Protocol
from sgbench.records.submission import Division
from sgbench.statistics.intervals import Summary
from sgbench.statistics.rank_places import RankPlace, places

SOURCE = "source"
"""Column of boards on which one method comes from classes of several sources."""


@dataclass(frozen=True)
class Measured:
    """Holds what a board keeps of one method's records; the records themselves are let go."""

    method_id: str  # and a source behind it where another one of the method came before
    method: Method
    source: str | None  # of classes of one's own, where it is stated
    scores: dict[int, float]  # test accuracy or loss by seed; a failed one as by guessing
    selection: dict[
        int, float
    ]  # by seed, what the protocol's monitor says on validation, the larger the better
    failed_seeds: tuple[int, ...]
    at_chance: tuple[int, ...]  # seeds that finished and are no better than guessing on the test split
    costs: Costs
    test_samples: frozenset[int]
    steps_per_sample: frozenset[float]
    made_utc: str = ""  # when the last of its runs ended; a registry of an older release does not say


@dataclass(frozen=True)
class Listing:
    """Holds what a leaderboards folder says of a method beside its records."""

    division: Division
    provenance: MethodProvenance


@dataclass(frozen=True)
class MethodRow:
    """Holds one method's row of a board."""

    method_id: str
    place: RankPlace | None
    surrogate: str
    varying: dict[str, str]  # what else tells the rows apart, by group
    score: Summary
    scores: dict[int, float]  # test accuracy or loss by seed; a failed one as by guessing
    failed_seeds: tuple[int, ...]
    at_chance: tuple[int, ...]  # seeds that finished and are no better than guessing on the test split
    costs: Costs
    listing: Listing | None  # None where records lie in a runs folder

    @property
    def label(self) -> str:
        """Name the method briefly as its board does."""
        return ", ".join([self.surrogate, *self.varying.values()])

    @property
    def is_claimed(self) -> bool:
        """Return whether it has no rank, since it failed a check or came by submission and was not repeated."""
        finished = self.scores.keys() - set(self.failed_seeds)
        return self.listing is not None and self.listing.provenance.is_claimed(finished)


@dataclass(frozen=True)
class Board:
    """Holds all rows of one protocol, in the order of their means; those without a rank last."""

    protocol: Protocol
    targets: tuple[EnergyTarget, ...]
    price_lists: tuple[EnergyTarget, ...]  # all that are known: those of the columns and more
    common: dict[str, str]  # what all rows share, by group
    varying: tuple[str, ...]  # groups in which rows differ, without the surrogate
    rows: tuple[MethodRow, ...]
    claimed: tuple[
        MethodRow, ...
    ]  # not repeated with success: below the line, best mean first, without a rank
    retired: tuple[MethodRow, ...]  # withdrawn or superseded: kept and shown, not ranked
    outsiders: tuple[Outsider, ...]  # results of code outside the catalogue
    baselines: tuple[
        MethodRow, ...
    ]  # networks without spikes: shown beside the methods, not ranked among them
    classes: int | None  # None where the score is a loss
    measure: Measure  # what is compared
    test_samples: tuple[int, ...]  # sizes of the test set that the records state: one, if all is well
    latency_s: float | None  # modelled duration of one inference; None where records differ
    in_time: bool  # whether samples are series, so that a network without spikes runs once a step
    is_data_accepted: bool = True  # else rows rest on files that nobody but who ran them has read


def measure(
    group: Sequence[RunRecord],
    *,
    classes: int | None,
    targets: Sequence[EnergyTarget],
    dt_s: float,
    guess_loss: float | None = None,
    guess_accuracy: float | None = None,
    row_id: str | None = None,
) -> Measured:
    """Average and price the records of one method.

    Args:
        group: one record for each seed.
        classes: of the protocol's data set.
        targets: price lists.
        dt_s: length of one time step [s].
        guess_loss: of a task without classes.
        guess_accuracy: of a task whose classes are not equally frequent.
        row_id: of the row, where it is not the method's id.
    """
    ordered = sorted(group, key=lambda record: record.seed)
    counts = [record.counts for record in ordered if record.counts]
    seeds = [record.seed for record in ordered]
    score = measure_of(classes, guess_loss, guess_accuracy)
    tested = [score.of(record.test) for record in ordered]
    return Measured(
        method_id=row_id or ordered[0].method_id,
        method=ordered[0].method,
        source=next((source for record in ordered if (source := source_of(record))), None),
        scores=dict(zip(seeds, tested, strict=True)),
        selection={record.seed: _selection(record, score) for record in ordered},
        failed_seeds=tuple(record.seed for record in ordered if record.status == "failed"),
        at_chance=tuple(record.seed for record in ordered if score.is_at_chance(record.test)),
        costs=costs(ordered, targets=targets, dt_s=dt_s),
        test_samples=frozenset(record.test.samples for record in ordered if record.test),
        steps_per_sample=frozenset(count.steps / count.samples for count in counts),
        made_utc=max(record.provenance.created_utc for record in ordered),
    )


def _selection(record: RunRecord, score: Measure) -> float:
    """Return the validation score of a record, where a failed run counts as guessing too."""
    by_loss = record.method.protocol.monitor == "validation_loss"
    if score.is_loss:
        return -score.of(record.validation)
    if record.validation is None or record.validation.accuracy is None:
        return math.log(score.guess) if by_loss else score.guess
    return -record.validation.loss if by_loss else record.validation.accuracy


def board_of(  # noqa: PLR0913 - all that a board rests on
    measured: Iterable[Measured],
    *,
    protocol: Protocol,
    targets: Sequence[EnergyTarget],
    classes: int | None,
    score: Measure,
    listings: Mapping[str, Listing] = MappingProxyType({}),
    outsiders: tuple[Outsider, ...] = (),
    price_lists: Sequence[EnergyTarget] = (),
    in_time: bool = False,
    is_data_accepted: bool = True,
) -> Board:
    """Rank methods that are already measured; the same board whatever their order.

    Args:
        measured: each method once.
        protocol: the catalogue's own.
        targets: price lists.
        classes: of the protocol's data set.
        score: what is compared.
        listings: what a leaderboards folder says of each, by method.
        outsiders: results of code outside the catalogue.
        price_lists: over which methods are compared; by default those of the columns.
        in_time: whether samples are series.
        is_data_accepted: whether the data set's files were read here, or a confirmation of them was accepted.
    """
    everything = sorted(measured, key=lambda method: method.method_id)
    ordered = [method for method in everything if not method.method.is_baseline]
    methods = [method.method for method in ordered]
    varying = varying_parameters(methods)
    latencies = frozenset().union(*(method.steps_per_sample for method in ordered))
    twice = {method_of_row(method.method_id) for method in ordered if "-" in method.method_id}
    rows = [_row(method, varying, listings.get(method.method_id), score, twice) for method in ordered]
    plain = _plain_rows([method for method in everything if method.method.is_baseline], listings, score)
    return Board(
        protocol=protocol,
        targets=tuple(targets),
        price_lists=tuple(price_lists) or tuple(targets),
        common=common(methods, varying),
        varying=(*(group for group in varying if group != "surrogate"), *([SOURCE] if twice else [])),
        rows=_ranked((row for row in rows if not row.is_claimed and not _is_retired(row)), score),
        claimed=_in_order([row for row in (*rows, *plain) if row.is_claimed and not _is_retired(row)], score),
        retired=tuple(row for row in (*rows, *plain) if _is_retired(row)),
        outsiders=outsiders,
        baselines=tuple(row for row in plain if not row.is_claimed and not _is_retired(row)),
        classes=classes,
        measure=score,
        test_samples=tuple(sorted(frozenset().union(*(method.test_samples for method in everything)))),
        latency_s=next(iter(latencies)) * protocol.dt_s if len(latencies) == 1 else None,
        in_time=in_time,
        is_data_accepted=is_data_accepted,
    )


def _plain_rows(
    measured: Sequence[Measured], listings: Mapping[str, Listing], score: Measure
) -> list[MethodRow]:
    varying = varying_parameters([method.method for method in measured])
    return list(
        _in_order(
            [_row(method, varying, listings.get(method.method_id), score) for method in measured], score
        )
    )


def _row(
    measured: Measured,
    varying: Varying,
    listing: Listing | None,
    score: Measure,
    twice: Collection[str] = (),
) -> MethodRow:
    """Make a row; `twice` are methods of several sources, each of which its row names."""
    name, texts = name_of(measured.method, varying)
    if method_of_row(measured.method_id) in twice:
        texts[SOURCE] = f"source {measured.source or 'not stated'}"
    return MethodRow(
        method_id=measured.method_id,
        place=None,
        surrogate=name,
        varying=texts,
        score=score.summarise(list(measured.scores.values())),
        scores=measured.scores,
        failed_seeds=measured.failed_seeds,
        at_chance=measured.at_chance,
        costs=measured.costs,
        listing=listing,
    )


def _is_retired(row: MethodRow) -> bool:
    return row.listing is not None and row.listing.provenance.notice is not None


def _ranked(rows: Iterable[MethodRow], score: Measure) -> tuple[MethodRow, ...]:
    unranked = list(rows)
    rank_places = places({row.method_id: score.signed(row.scores) for row in unranked})
    return _in_order([replace(row, place=rank_places[row.method_id]) for row in unranked], score)


def _in_order(rows: Sequence[MethodRow], score: Measure) -> tuple[MethodRow, ...]:
    """Order rows by their mean, the best first; those without a rank come last."""
    return tuple(
        sorted(rows, key=lambda row: (row.place is None, -score.better(row.score.mean), row.method_id))
    )
