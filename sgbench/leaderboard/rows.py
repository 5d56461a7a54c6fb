"""Make the rows of a board from records: grouped by method, averaged over seeds, priced and ranked."""

from __future__ import annotations

import math
from collections import Counter
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
"""Group under which rows of one method name the source of a user's own classes."""


@dataclass(frozen=True)
class Measured:
    """Holds the results of one method, averaged from its records."""

    method_id: str  # with a suffix for a further source of the method's classes
    method: Method
    source: str | None  # of a user's own classes, if stated
    scores: dict[int, float]  # test accuracy or loss by seed; a failed seed as by guessing
    selection: dict[int, float]  # validation score of the protocol's monitor by seed, larger is better
    failed_seeds: tuple[int, ...]
    at_chance: tuple[int, ...]  # finished seeds that are no better than guessing on the test split
    costs: Costs
    test_samples: frozenset[int]
    steps_per_sample: frozenset[float]
    made_utc: str = ""  # end of its last run; empty in a registry of an older release
    data_sha256: tuple[
        str, ...
    ] = ()  # of the data of its seeds, each once; empty in a registry of an older release


@dataclass(frozen=True)
class Listing:
    """Holds the division of a method on a stored board, and its provenance."""

    division: Division
    provenance: MethodProvenance


@dataclass(frozen=True)
class MethodRow:
    """Holds one method's row of a board."""

    method_id: str
    rank: RankPlace | None  # its rank interval; None without a rank
    surrogate: str
    varying: dict[str, str]  # settings in which rows differ, as text by group
    score: Summary
    scores: dict[int, float]  # test accuracy or loss by seed; a failed seed as by guessing
    failed_seeds: tuple[int, ...]
    at_chance: tuple[int, ...]  # finished seeds that are no better than guessing on the test split
    costs: Costs
    listing: Listing | None  # None for records of a runs folder
    data_sha256: tuple[
        str, ...
    ] = ()  # of its data, if no maintainer has accepted the data set's files; else empty

    @property
    def label(self) -> str:
        """Return the short name of the method on its board."""
        return ", ".join([self.surrogate, *self.varying.values()])

    @property
    def is_claimed(self) -> bool:
        """Return whether it is not ranked, since it failed a check or is a submission that nobody repeated."""
        finished = self.scores.keys() - set(self.failed_seeds)
        return self.listing is not None and self.listing.provenance.is_claimed(finished)


@dataclass(frozen=True)
class Board:
    """Holds all rows of one protocol, the best mean first; those without a rank last."""

    protocol: Protocol
    targets: tuple[EnergyTarget, ...]
    price_lists: tuple[EnergyTarget, ...]  # all known targets: those of the columns and more
    common: dict[str, str]  # settings that all rows share, as text by group
    varying: tuple[str, ...]  # groups in which rows differ, without the surrogate
    rows: tuple[MethodRow, ...]  # ranked methods
    claimed: tuple[MethodRow, ...]  # submissions without a successful repetition: not ranked, best mean first
    retired: tuple[MethodRow, ...]  # withdrawn or superseded: shown, not ranked
    outsiders: tuple[Outsider, ...]  # results of code outside the catalogue
    baselines: tuple[MethodRow, ...]  # networks without spikes: shown, not ranked
    classes: int | None  # None if the score is a loss
    measure: Measure  # the score that is compared
    test_samples: tuple[int, ...]  # sizes of the test set in the records: one, unless records disagree
    latency_s: float | None  # modelled duration of one inference; None if records differ
    in_time: bool  # whether samples are time series, so that a network without spikes runs once a step
    is_data_accepted: bool = True  # whether a maintainer has accepted the data set's files

    def has_other_data(self, row: MethodRow) -> bool:
        """Return whether a row rests on other data than the first one, so that neither score says of the other."""
        return bool(self.rows) and row.data_sha256 != self.rows[0].data_sha256


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
        classes: count of classes of the protocol's data set.
        targets: energy targets.
        dt_s: duration of a time step [s].
        guess_loss: loss of guessing, for a task without classes.
        guess_accuracy: accuracy of guessing, if classes are not equally frequent.
        row_id: id of the row, if it is not the method's id.
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
        data_sha256=tuple(sorted({data for record in ordered if (data := record.provenance.data_sha256)})),
    )


def _selection(record: RunRecord, score: Measure) -> float:
    """Return the validation score of a record; a failed run counts as guessing."""
    by_loss = record.method.protocol.monitor == "validation_loss"
    if score.is_loss:
        return -score.of(record.validation)
    if record.validation is None or record.validation.accuracy is None:
        return math.log(score.guess) if by_loss else score.guess
    return -record.validation.loss if by_loss else record.validation.accuracy


def board_of(  # noqa: PLR0913 - the parts of a board
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
    """Rank measured methods; their order does not matter.

    Args:
        measured: each method once.
        protocol: as in the catalogue.
        targets: energy targets with columns on the board.
        classes: count of classes of the protocol's data set.
        score: the score that is compared.
        listings: division and provenance of methods on a stored board, by method id.
        outsiders: results of code outside the catalogue.
        price_lists: targets over which orders by energy are compared; by default `targets`.
        in_time: whether samples are time series.
        is_data_accepted: whether a maintainer has accepted the data set's files.
    """
    everything = sorted(measured, key=lambda method: method.method_id)
    ordered = [method for method in everything if not method.method.is_baseline]
    methods = [method.method for method in ordered]
    varying = varying_parameters(methods)
    latencies = frozenset().union(*(method.steps_per_sample for method in ordered))
    twice = {method_of_row(method.method_id) for method in ordered if "-" in method.method_id}
    rows = [_row(method, varying, listings.get(method.method_id), score, twice) for method in ordered]
    plain = _plain_rows([method for method in everything if method.method.is_baseline], listings, score)
    if not is_data_accepted:
        known = {method.method_id: method.data_sha256 for method in everything}
        rows, plain = (
            [replace(row, data_sha256=known[row.method_id]) for row in part] for part in (rows, plain)
        )
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
    """Make a row without a rank; rows of a method in `twice`, which has several sources, name their source."""
    name, texts = name_of(measured.method, varying)
    if method_of_row(measured.method_id) in twice:
        texts[SOURCE] = f"source {measured.source or 'not stated'}"
    return MethodRow(
        method_id=measured.method_id,
        rank=None,
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
    """Rank rows that rest on the same data; rows on other data than most have no rank."""
    unranked = list(rows)
    usual = _usual_data(unranked)
    ranks = places({row.method_id: score.signed(row.scores) for row in unranked if row.data_sha256 == usual})
    return _in_order([replace(row, rank=ranks.get(row.method_id)) for row in unranked], score)


def _usual_data(rows: Iterable[MethodRow]) -> tuple[str, ...]:
    """Find the data that most rows rest on with all seeds; of equally many those whose hash sorts first.

    Rows that state no data come last: nothing says that these are the same.
    """
    counted = Counter(row.data_sha256 for row in rows if len(row.data_sha256) <= 1)
    return min(counted, key=lambda data: (not data, -counted[data], data), default=())


def _in_order(rows: Sequence[MethodRow], score: Measure) -> tuple[MethodRow, ...]:
    """Order rows by their mean, the best first; those without a rank come last."""
    return tuple(
        sorted(rows, key=lambda row: (row.rank is None, -score.better(row.score.mean), row.method_id))
    )
