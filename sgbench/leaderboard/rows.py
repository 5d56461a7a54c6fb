"""Make the rows of a board from records: one for each method, averaged over seeds, priced and ranked."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from sgbench.leaderboard.costs import Costs, costs
from sgbench.leaderboard.differing_settings import Varying, common, name_of, varying_parameters
from sgbench.leaderboard.score import Measure, measure_of
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.leaderboard.store.outside import Outsider
from sgbench.leaderboard.store.sources import method_of_row, source_of
from sgbench.records.energy import EnergyTarget
from sgbench.records.record import RunRecord
from sgbench.records.release import Part
from sgbench.records.spec import Method, Protocol
from sgbench.records.submission import Division
from sgbench.statistics.intervals import Summary
from sgbench.statistics.rank_places import RankPlace, places

SOURCE = "source"
"""Name in `MethodRow.varying` of the source of a user's own classes."""


@dataclass(frozen=True)
class Measured:
    """Holds the results of one method, averaged from its records."""

    method_id: str  # id of its row: with a suffix where the method has classes from several sources
    method: Method
    source: str | None  # where the user's own classes come from, if stated
    scores: dict[int, float]  # test accuracy or loss by seed; a failed seed has the score of guessing
    selection: dict[int, float]  # validation score by seed, larger is better
    failed_seeds: tuple[int, ...]
    at_chance: tuple[int, ...]  # finished seeds that are no better than guessing on the test split
    costs: Costs
    test_samples: frozenset[int]  # sizes of the test set in its records
    steps_per_sample: frozenset[float]  # counts of time steps of an inference in its records
    made_utc: str = ""  # end of its last run; empty in a registry of an older release
    data_sha256: tuple[str, ...] = ()  # hashes of its seeds' data; empty in an older release's registry


@dataclass(frozen=True)
class Listing:
    """Holds the division of a method, closed or open, and what is known of its submission and verification."""

    division: Division
    provenance: MethodProvenance


@dataclass(frozen=True)
class MethodRow:
    """Holds one method's row of a board."""

    method_id: str
    method: Method
    rank: RankPlace | None  # its rank interval; None without a rank
    surrogate: str  # the surrogate with its parameters, or a baseline's network
    varying: dict[str, str]  # maps each config group in which rows differ to the method's setting as text
    score: Summary  # mean of `scores` with its interval
    scores: dict[int, float]  # test accuracy or loss by seed; a failed seed has the score of guessing
    failed_seeds: tuple[int, ...]
    at_chance: tuple[int, ...]  # finished seeds that are no better than guessing on the test split
    costs: Costs
    listing: Listing | None  # None for records of a runs folder
    data_sha256: tuple[str, ...] = ()  # hashes of its data, unless a maintainer has accepted the data set's files

    @property
    def label(self) -> str:
        """Return the short name of the method on its board."""
        return ", ".join([self.surrogate, *self.varying.values()])

    @property
    def finished(self) -> set[int]:
        return self.scores.keys() - set(self.failed_seeds)

    @property
    def is_claimed(self) -> bool:
        """Return whether the row is not ranked, since it failed a check or was submitted and not repeated."""
        return self.listing is not None and self.listing.provenance.is_claimed(self.finished)


@dataclass(frozen=True)
class Board:
    """Holds all rows of one protocol, the best mean first and those without a rank last."""

    protocol: Protocol
    targets: tuple[EnergyTarget, ...]
    price_lists: tuple[EnergyTarget, ...]  # all known energy targets; `targets` are those with columns
    common: dict[str, str]  # maps config groups to the setting that all rows share, as text
    varying: tuple[str, ...]  # config groups in which rows differ, without the surrogate
    rows: tuple[MethodRow, ...]  # ranked methods
    claimed: tuple[MethodRow, ...]  # submissions without a successful repetition: not ranked, best mean first
    retired: tuple[MethodRow, ...]  # withdrawn or superseded: shown, not ranked
    outsiders: tuple[Outsider, ...]  # results of code outside the catalogue
    baselines: tuple[MethodRow, ...]  # networks without spikes: shown, not ranked
    classes: int | None  # None if the score is a loss
    measure: Measure  # the score that is compared: accuracy or loss
    test_samples: tuple[int, ...]  # sizes of the test set in the records: one, unless records disagree
    latency_s: float | None  # modelled duration of one inference; None if records differ
    in_time: bool  # whether samples are time series, so that a network without spikes runs once a step
    is_data_accepted: bool = True  # whether a maintainer has accepted the data set's files

    @property
    def shown(self) -> tuple[MethodRow, ...]:
        return (*self.rows, *self.claimed, *self.baselines)

    def parts(self) -> Iterator[tuple[Part, MethodRow]]:
        """Yield all rows of the board, each with the part where it stands."""
        parts: dict[Part, tuple[MethodRow, ...]] = {
            "ranked": self.rows,
            "claimed": self.claimed,
            "baseline": self.baselines,
            "retired": self.retired,
        }
        for part, rows in parts.items():
            for row in rows:
                yield part, row

    def has_other_data(self, row: MethodRow) -> bool:
        """Return whether a row rests on other data than the first one, so that their scores are not comparable."""
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
    """Collect the scores of one method by seed, average its costs over seeds, and price these.

    `group`: records of the method, one for each seed, in any order; at least one. `classes`: count of classes of the
    protocol's data set; None if its score is a loss. `targets`: energy targets that price the operations. `dt_s`:
    duration of a time step [s]. `guess_loss`: test loss of guessing, for a task without classes. `guess_accuracy`: test
    accuracy of guessing, if classes are not equally frequent. `row_id`: id of the row, if it is not the method's id.
    """
    ordered = sorted(group, key=lambda record: record.seed)
    operations = [record.counts for record in ordered if record.counts]
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
        steps_per_sample=frozenset(counts.steps / counts.samples for counts in operations),
        made_utc=max(record.provenance.created_utc for record in ordered),
        data_sha256=tuple(sorted({data for record in ordered if (data := record.provenance.data_sha256)})),
    )


def _selection(record: RunRecord, score: Measure) -> float:
    """Return the validation score that settings are chosen by, larger is better; a failed run gets that of guessing."""
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
    """Rank the measured methods of one protocol and make their rows.

    `measured`: each method once, in any order. `protocol`: the protocol as the catalogue has it. `targets`: energy
    targets with columns on the board. `classes`: count of classes of the protocol's data set; None without classes.
    `score`: the score that is compared. `listings`: maps ids of methods to their division and provenance; empty for a
    runs folder. `outsiders`: results of code outside the catalogue. `price_lists`: energy targets over which energies
    are compared; by default `targets`. `in_time`: whether samples are time series. `is_data_accepted`: whether a
    maintainer has accepted the data set's files.
    """
    all_methods = sorted(measured, key=lambda method: method.method_id)
    spiking = [method for method in all_methods if not method.method.is_baseline]
    methods = [method.method for method in spiking]
    varying = varying_parameters(methods)
    steps = frozenset().union(*(method.steps_per_sample for method in spiking))
    several_sources = {method_of_row(method.method_id) for method in spiking if "-" in method.method_id}
    rows = [_row(method, varying, listings.get(method.method_id), score, several_sources) for method in spiking]
    baselines = _baseline_rows([method for method in all_methods if method.method.is_baseline], listings, score)
    if not is_data_accepted:  # rows may then rest on different files, of which the board tells
        hashes = {method.method_id: method.data_sha256 for method in all_methods}
        rows = [replace(row, data_sha256=hashes[row.method_id]) for row in rows]
        baselines = [replace(row, data_sha256=hashes[row.method_id]) for row in baselines]
    all_rows = [*rows, *baselines]
    return Board(
        protocol=protocol,
        targets=tuple(targets),
        price_lists=tuple(price_lists) or tuple(targets),
        common=common(methods, varying),
        varying=(*(group for group in varying if group != "surrogate"), *([SOURCE] if several_sources else [])),
        rows=_ranked((row for row in rows if not row.is_claimed and not _is_retired(row)), score),
        claimed=_in_order([row for row in all_rows if row.is_claimed and not _is_retired(row)], score),
        retired=tuple(row for row in all_rows if _is_retired(row)),
        outsiders=outsiders,
        baselines=tuple(row for row in baselines if not row.is_claimed and not _is_retired(row)),
        classes=classes,
        measure=score,
        test_samples=tuple(sorted(frozenset().union(*(method.test_samples for method in all_methods)))),
        latency_s=next(iter(steps)) * protocol.dt_s if len(steps) == 1 else None,
        in_time=in_time,
        is_data_accepted=is_data_accepted,
    )


def _baseline_rows(measured: Sequence[Measured], listings: Mapping[str, Listing], score: Measure) -> list[MethodRow]:
    varying = varying_parameters([method.method for method in measured])
    rows = [_row(method, varying, listings.get(method.method_id), score) for method in measured]
    return [*_in_order(rows, score)]


def _row(
    measured: Measured, varying: Varying, listing: Listing | None, score: Measure, several_sources: Collection[str] = ()
) -> MethodRow:
    """Make the row of a method, without a rank.

    Rows of the methods in `several_sources` name the source of the user's own classes.
    """
    name, texts = name_of(measured.method, varying)
    if method_of_row(measured.method_id) in several_sources:
        texts[SOURCE] = f"source {measured.source or 'not stated'}"
    return MethodRow(
        method_id=measured.method_id,
        method=measured.method,
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
    """Rank the rows that rest on the data that most rows rest on; the others follow them without a rank."""
    unranked = list(rows)
    usual = _usual_data(unranked)
    ranks = places({row.method_id: score.signed(row.scores) for row in unranked if row.data_sha256 == usual})
    return _in_order([replace(row, rank=ranks.get(row.method_id)) for row in unranked], score)


def _usual_data(rows: Iterable[MethodRow]) -> tuple[str, ...]:
    """Return the hash of the data that most rows rest on with all seeds, as a tuple of one; empty if none is known.

    Of equally frequent hashes it is the first in their order. Rows without a hash decide only if all lack it, since
    nothing shows that their data are the same.
    """
    counts = Counter(row.data_sha256 for row in rows if len(row.data_sha256) <= 1)
    return min(counts, key=lambda data: (not data, -counts[data], data), default=())


def _in_order(rows: Sequence[MethodRow], score: Measure) -> tuple[MethodRow, ...]:
    return tuple(sorted(rows, key=lambda row: (row.rank is None, -score.better(row.score.mean), row.method_id)))
