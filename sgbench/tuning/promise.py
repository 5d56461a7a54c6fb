"""Whether the seeds that report keep what the seeds that chose a setting promised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.predictions import MAX_PREDICTION_BYTES, parse_predictions
from sgbench.paths import PREDICTIONS
from sgbench.records.files import read_bytes
from sgbench.records.spec import RunSpec
from sgbench.statistics.pairs import compare
from sgbench.tables import ranges
from sgbench.training.run_folder import folder_of, stored_record

SHOWN = 3
"""Runs whose missing classes are named one by one."""
RESTING = ("max_over_time", "max_since_rest")
"""Losses to which a class whose output stays at rest has no gradient."""


@dataclass(frozen=True)
class Promise:
    """Holds validation scores of one setting with both kinds of seeds, and what its runs never predict."""

    promised: Mapping[int, float]  # score by tuning seed
    kept: Mapping[int, float]  # score by reporting seed; that of guessing where the run failed
    measure: Measure  # accuracy, or the loss where a task has no classes
    # By reporting seed the classes of the test split that are never predicted, where there are any.
    never: Mapping[int, tuple[int, ...]]
    loss: str  # name of the method's loss


def promise_of(tuned: Sequence[RunSpec], reported: Sequence[RunSpec], measure: Measure) -> Promise:
    """Look up what tuning seeds promised and reporting seeds keep of one setting."""
    never = {} if measure.is_loss else {spec.seed: never_predicted(spec) for spec in reported}
    return Promise(
        promised=_scores(tuned, measure),
        kept=_scores(reported, measure),
        measure=measure,
        never={seed: classes for seed, classes in never.items() if classes},
        loss=tuned[0].method.choices["loss"],
    )


def _scores(specs: Sequence[RunSpec], measure: Measure) -> dict[int, float]:
    records = [record for spec in specs if (record := stored_record(spec)) is not None]
    return {record.seed: measure.of(record.validation) for record in records}


def never_predicted(spec: RunSpec) -> tuple[int, ...]:
    """List the classes of the test split that a finished run predicts for no sample; none of one that has failed.

    Raises:
        InputError: its predictions are gone or damaged.
    """
    record = stored_record(spec)
    if record is None or record.predictions_sha256 is None:
        return ()
    path = folder_of(spec) / PREDICTIONS
    found = parse_predictions(read_bytes(path, limit=MAX_PREDICTION_BYTES), str(path))
    return tuple(sorted({*found.target.tolist()} - {*found.prediction.tolist()}))


def promise_lines(promise: Promise) -> Iterator[str]:
    """Yield both scores side by side, and a warning where they disagree or a class is never predicted."""
    measure = promise.measure
    if promise.promised and promise.kept:
        unit = "" if measure.is_loss else ", %"
        first, later = (
            measure.summary(measure.summarise([*scores.values()]))
            for scores in (promise.promised, promise.kept)
        )
        yield (
            f"validation {measure.kind}{unit}: {first} with the tuning seeds {ranges(promise.promised)}, "
            f"{later} with those that report"
        )
        yield from _shortfall(promise)
    yield from _classes(promise)


def _shortfall(promise: Promise) -> Iterator[str]:
    """Warn where reporting seeds are worse beyond the noise of seeds, by Welch's 95 % interval."""
    measure = promise.measure
    apart = compare(measure.signed(promise.promised), measure.signed(promise.kept))
    ends = measure.ends(apart)
    if ends is None or ends[0] <= 0:
        return
    yield (
        f"warning: reporting seeds fall short of tuning seeds by {measure.text(apart.difference)} {measure.unit} "
        f"(95 % interval {measure.text(ends[0])} to {measure.text(ends[1])}): of many settings, "
        f"{len(promise.promised)} seeds chose a lucky one; a protocol with more tuning seeds chooses better"
    )


def _classes(promise: Promise) -> Iterator[str]:
    """Warn about classes that runs never predict, with what most often makes them so."""
    if not promise.never:
        return
    named = [
        f"seed {seed}: {', '.join(map(str, classes))}"
        for seed, classes in list(promise.never.items())[:SHOWN]
    ]
    more = ", ..." if len(promise.never) > SHOWN else ""
    remedy = "see: sgbench diagnose RUN"
    if promise.loss in RESTING:
        remedy = (
            f"to loss={promise.loss} an output that stays at rest has no gradient: loss=max_since_input, or a "
            f"smaller optimizer.lr"
        )
    yield (
        f"warning: {len(promise.never)} of {len(promise.kept)} reporting seeds never predict some classes "
        f"({'; '.join(named)}{more}); {remedy}"
    )
