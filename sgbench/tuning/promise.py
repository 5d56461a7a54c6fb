"""Compares the validation scores of a chosen setting's reporting seeds with those of the tuning seeds."""

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

MOST_SHOWN = 3
"""Runs whose missing classes are named one by one."""
LOSSES_WITHOUT_GRADIENT_AT_REST = ("max_over_time", "max_since_rest")
"""Losses that give no gradient to a class whose output stays at its resting potential."""


@dataclass(frozen=True)
class Promise:
    """Holds validation scores of one setting with tuning and reporting seeds, and the classes never predicted."""

    promised: Mapping[int, float]  # maps tuning seeds to scores
    kept: Mapping[int, float]  # maps reporting seeds to scores; a failed run has that of guessing
    measure: Measure  # accuracy, or the loss for a task without classes
    # Maps reporting seeds to the classes that they never predict; seeds that predict all are left out.
    never: Mapping[int, tuple[int, ...]]
    loss: str  # name of the method's loss


def read_promise(tuned: Sequence[RunSpec], reported: Sequence[RunSpec], measure: Measure) -> Promise:
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
    """List the classes of the test split that a finished run predicts for no sample; empty for a failed run."""
    record = stored_record(spec)
    if record is None or record.predictions_sha256 is None:
        return ()
    path = folder_of(spec) / PREDICTIONS
    found = parse_predictions(read_bytes(path, limit=MAX_PREDICTION_BYTES), str(path))
    return tuple(sorted({*found.target.tolist()} - {*found.prediction.tolist()}))


def promise_lines(promise: Promise) -> Iterator[str]:
    """Yield a line with both mean scores, and warnings if reporting seeds are worse or never predict a class."""
    measure = promise.measure
    if promise.promised and promise.kept:
        unit = "" if measure.is_loss else ", %"
        first, later = (
            measure.summary(measure.summarise([*scores.values()])) for scores in (promise.promised, promise.kept)
        )
        yield (
            f"validation {measure.kind}{unit}: {first} with the tuning seeds {ranges(promise.promised)}, "
            f"{later} with those that report"
        )
        yield from _note_on_shortfall(promise)
    yield from _note_on_classes(promise)


def _note_on_shortfall(promise: Promise) -> Iterator[str]:
    measure = promise.measure
    difference = compare(measure.signed(promise.promised), measure.signed(promise.kept))
    ends = measure.ends(difference)
    if ends is None or ends[0] <= 0:
        return
    yield (
        f"warning: reporting seeds fall short of tuning seeds by {measure.text(difference.difference)} "
        f"{measure.unit} (95 % interval {measure.text(ends[0])} to {measure.text(ends[1])}): of many settings, "
        f"{len(promise.promised)} seeds chose a lucky one; a protocol with more tuning seeds chooses better"
    )


def _note_on_classes(promise: Promise) -> Iterator[str]:
    if not promise.never:
        return
    named = [
        f"seed {seed}: {', '.join(map(str, classes))}" for seed, classes in list(promise.never.items())[:MOST_SHOWN]
    ]
    more = ", ..." if len(promise.never) > MOST_SHOWN else ""
    remedy = "see: sgbench diagnose RUN"
    if promise.loss in LOSSES_WITHOUT_GRADIENT_AT_REST:
        remedy = (
            f"to loss={promise.loss} an output that stays at rest has no gradient: loss=max_since_input, or a "
            f"smaller optimizer.lr"
        )
    yield (
        f"warning: {len(promise.never)} of {len(promise.kept)} reporting seeds never predict some classes "
        f"({'; '.join(named)}{more}); {remedy}"
    )
