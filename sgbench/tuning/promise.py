"""Whether the seeds that report keep what the seeds that chose a setting promised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sgbench.leaderboard.store.predictions import MAX_PREDICTION_BYTES, parse_predictions
from sgbench.paths import PREDICTIONS
from sgbench.records.content import Scores
from sgbench.records.files import read_bytes
from sgbench.records.record import RunRecord
from sgbench.records.spec import Protocol, RunSpec
from sgbench.statistics.intervals import summarise
from sgbench.statistics.pairs import compare
from sgbench.sweeps.text import percent
from sgbench.tables import ranges
from sgbench.training.run_folder import folder_of, stored_record

PERCENT = 100
SHOWN = 3
"""Runs whose missing classes are named one by one."""
RESTING = ("max_over_time", "max_since_rest")
"""Losses to which a class whose output stays at rest has no gradient."""


@dataclass(frozen=True)
class Promise:
    """Holds validation scores of one setting with both kinds of seeds, and what its runs never predict.

    Args:
        promised: score by tuning seed; accuracies, or losses where a task has no classes.
        kept: score by reporting seed.
        has_classes: whether scores are accuracies.
        never: by reporting seed the classes of the test split that are never predicted, where there are any.
        loss: name of the method's loss.
    """

    promised: Mapping[int, float]
    kept: Mapping[int, float]
    has_classes: bool
    never: Mapping[int, tuple[int, ...]]
    loss: str


def promise_of(tuned: Sequence[RunSpec], reported: Sequence[RunSpec]) -> Promise:
    """Look up what tuning seeds promised and reporting seeds keep of one setting.

    Args:
        tuned: its runs with tuning seeds.
        reported: its runs with reporting seeds.
    """
    records = [record for spec in reported if (record := _finished(spec)) is not None]
    has_classes = all(record.classes is not None for record in records)
    never = {spec.seed: never_predicted(spec) for spec in reported} if has_classes else {}
    return Promise(
        promised=_scores([record for spec in tuned if (record := _finished(spec)) is not None]),
        kept=_scores(records),
        has_classes=has_classes,
        never={seed: classes for seed, classes in never.items() if classes},
        loss=tuned[0].method.choices["loss"],
    )


def _finished(spec: RunSpec) -> RunRecord | None:
    record = stored_record(spec)
    return record if record is not None and record.status == "finished" else None


def _scores(records: Sequence[RunRecord]) -> dict[int, float]:
    return {record.seed: _score(record.validation) for record in records if record.validation is not None}


def _score(scores: Scores) -> float:
    return scores.loss if scores.accuracy is None else scores.accuracy


def never_predicted(spec: RunSpec) -> tuple[int, ...]:
    """List the classes of the test split that a finished run predicts for no sample.

    Raises:
        InputError: its predictions are gone or damaged.
    """
    if _finished(spec) is None:
        return ()
    path = folder_of(spec) / PREDICTIONS
    found = parse_predictions(read_bytes(path, limit=MAX_PREDICTION_BYTES), str(path))
    return tuple(sorted({*found.target.tolist()} - {*found.prediction.tolist()}))


def promise_lines(promise: Promise, protocol: Protocol) -> Iterator[str]:
    """Yield both scores side by side, and a warning where they disagree or a class is never predicted.

    Args:
        promise: of the chosen setting.
        protocol: the catalogue's own.
    """
    if promise.promised and promise.kept:
        name = "validation accuracy" if promise.has_classes else "validation loss"
        first, later = (_told(scores, promise) for scores in (promise.promised, promise.kept))
        yield f"{name}: {first} with the tuning seeds {ranges(promise.promised)}, {later} with those that report"
        yield from _shortfall(promise, protocol)
    yield from _classes(promise)


def _told(scores: Mapping[int, float], promise: Promise) -> str:
    summary = summarise(list(scores.values()))
    return f"{percent(summary)} %" if promise.has_classes else f"{summary.mean:.4g}"


def _shortfall(promise: Promise, protocol: Protocol) -> Iterator[str]:
    """Warn where reporting seeds are worse beyond the noise of seeds, by Welch's 95 % interval."""
    sign = 1 if promise.has_classes else -1
    signed = [
        {seed: sign * score for seed, score in scores.items()} for scores in (promise.promised, promise.kept)
    ]
    apart = compare(signed[0], signed[1])
    if apart.low is None or apart.high is None or apart.low <= 0:
        return
    if promise.has_classes:
        short = f"{PERCENT * apart.difference:.1f} points (95 % interval {PERCENT * apart.low:.1f} to "
        short += f"{PERCENT * apart.high:.1f})"
    else:
        short = f"{apart.difference:.3g} (95 % interval {apart.low:.3g} to {apart.high:.3g})"
    yield (
        f"warning: reporting seeds fall short of tuning seeds by {short}: of many settings, few seeds choose a "
        f"lucky one; {protocol.name} has {len(promise.promised)} tuning seeds, a protocol with more chooses better"
    )


def _classes(promise: Promise) -> Iterator[str]:
    """Warn of classes that runs never predict, with what most often makes them so."""
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
