"""Reads the results of a search from the records of its runs, and words them: the best, the table, the gap."""

import contextlib
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sgbench.errors import InputError
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.predictions import MAX_PREDICTION_BYTES, parse_predictions
from sgbench.paths import PREDICTIONS
from sgbench.records.files import PRUNED, Asked, Pruned, read_bytes, read_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.statistics.pairs import compare
from sgbench.statistics.tuning_curves import median_of_bests
from sgbench.tables import NONE, aligned, ranges
from sgbench.training.run_folder import folder_of, stored_record
from sgbench.tuning.request import Task
from sgbench.tuning.strategies import TriedSetting


@dataclass(frozen=True)
class Outcome:
    """Holds the result of one setting over its tuning seeds."""

    asked: Asked  # the setting, its study and its number
    specs: tuple[RunSpec, ...]  # one for each tuning seed
    # "open": a run has not ended; "pruned": one was stopped early; "failed": one failed.
    state: Literal["finished", "failed", "pruned", "open"]
    score: float | None  # mean validation score over seeds, larger is better; None if failed or open
    epochs: int  # trained by all runs

    @property
    def tried(self) -> TriedSetting:
        """Return the setting with its result in the form that search strategies take."""
        return TriedSetting(dict(self.asked.setting), self.state, self.score)

    @property
    def saved_epochs(self) -> int:
        if self.state != "pruned":
            return 0
        return sum(spec.method.protocol.epochs for spec in self.specs) - self.epochs


def read_outcome(asked: Asked, specs: Sequence[RunSpec]) -> Outcome:
    """Read the records of a setting's runs and summarise them."""
    results = [stored_record(spec) or stored_pruned(spec) for spec in specs]
    ended = [result for result in results if result is not None]
    epochs = sum(result.epochs if isinstance(result, Pruned) else len(result.curve) for result in ended)
    state: Literal["finished", "failed", "pruned", "open"] = "finished"
    if len(ended) < len(results):
        state = "open"
    elif any(isinstance(result, RunRecord) and result.status == "failed" for result in ended):
        state = "failed"
    elif any(isinstance(result, Pruned) for result in ended):
        state = "pruned"
    score = None
    if state in ("finished", "pruned"):
        monitor = specs[0].method.protocol.monitor
        score = statistics.fmean(score_of(result, monitor) for result in ended)
    return Outcome(asked, tuple(specs), state, score, epochs)


def stored_pruned(spec: RunSpec) -> Pruned | None:
    """Read the note on a run that was stopped early by pruning; None if there is no readable note."""
    with contextlib.suppress(InputError):
        pruned = read_model(folder_of(spec) / PRUNED, Pruned)
        return pruned if (pruned.method_id, pruned.seed) == (method_id(spec.method), spec.seed) else None
    return None


def score_of(run: RunRecord | Pruned, monitor: str) -> float:
    """Return the validation score of a run, larger is better; minus infinity without one.

    `run`: record of a run, or note on a run that was stopped early. `monitor`: what the protocol selects by; for
    "validation_accuracy" the accuracy, else the negative loss.
    """
    if isinstance(run, Pruned):
        accuracy, loss = run.validation_accuracy, run.validation_loss
    else:
        accuracy, loss = (None, None) if run.validation is None else (run.validation.accuracy, run.validation.loss)
    if monitor == "validation_accuracy" and accuracy is not None:
        return accuracy
    return float("-inf") if loss is None else -loss


def select_best(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return the finished setting with the best mean validation score; of equal ones the first by method id."""
    finished = [outcome for outcome in outcomes if outcome.state == "finished" and outcome.score is not None]
    return max(
        sorted(finished, key=lambda outcome: outcome.asked.method_id),
        key=lambda outcome: outcome.score or 0.0,
        default=None,
    )


@dataclass(frozen=True)
class StudyBest:
    """Holds the best setting of one study."""

    study: int  # its number
    best: Outcome | None  # None if every setting failed or was stopped
    tried: int  # number of settings


@dataclass(frozen=True)
class SearchResult:
    """Holds the setting that a search chose, and the best of each of its studies."""

    studies: tuple[StudyBest, ...]
    chosen: Outcome | None  # best setting of all studies; None if every setting failed or was stopped
    # Median over studies of their best validation score, larger is better; a study without one counts as the worst.
    score: float | None  # None if the median study has no score
    saved_epochs: int  # by pruning
    epochs: int  # that all runs would have had without pruning


def summarise_studies(outcomes: Sequence[Outcome]) -> SearchResult:
    """Summarise the results of all settings of a search.

    Source of the score: Dahl et al. 2023, arXiv:2306.07179, section 4.3: the median over studies of the best of
    each; here of validation scores.
    """
    numbers = sorted({outcome.asked.study for outcome in outcomes})
    studies = []
    for number in numbers:
        of_study = [outcome for outcome in outcomes if outcome.asked.study == number]
        studies.append(StudyBest(number, select_best(of_study), len(of_study)))
    scores = [study.best.score if study.best else None for study in studies]
    median = median_of_bests([-math.inf if score is None else score for score in scores])
    specs = [spec for outcome in outcomes for spec in outcome.specs]
    return SearchResult(
        studies=tuple(studies),
        chosen=select_best(outcomes),
        score=None if math.isinf(median) else median,
        saved_epochs=sum(outcome.saved_epochs for outcome in outcomes),
        epochs=sum(spec.method.protocol.epochs for spec in specs),
    )


def result_lines(result: SearchResult, task: Task) -> list[str]:
    """Write the result of a search: a table with the best setting of each study, and the median over studies."""
    from sgbench.tuning.space import setting_overrides

    rows = [["study", "best validation", "seeds", "settings", "best setting"]]
    for study in result.studies:
        setting, score, seeds = "-", None, NONE
        if study.best is not None:
            setting, score = " ".join(setting_overrides(study.best.asked.setting)), study.best.score
            seeds = str(len(study.best.specs))
        rows.append([str(study.study), _score_text(score, task), seeds, str(study.tried), setting])
    monitor = task.base.method.protocol.monitor.replace("_", " ")
    first_seeds, all_seeds = ranges(task.first_seeds), ranges(task.protocol.trial_seeds)
    seeds = first_seeds if first_seeds == all_seeds else f"{first_seeds}, of the best of each study {all_seeds}"
    lines = [
        f"{task.protocol.name} {task.base.method.label}: {monitor}, mean over seeds {seeds}",
        "",
        *aligned(rows, text_columns=1),
        "",
        f"median over studies of their best: {_score_text(result.score, task)}",
    ]
    if result.saved_epochs:
        lines.append(f"pruning saved {result.saved_epochs} of {result.epochs} epochs")
    return lines


def _score_text(score: float | None, task: Task) -> str:
    """Write a score, larger is better, as an accuracy in percent or as a loss; "-" for None."""
    if score is None:
        return "-"
    if task.base.method.protocol.monitor == "validation_accuracy":
        return f"{100 * score:.2f} %"
    return f"loss {-score:.4g}"


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
    """Read what one setting has reached, from its runs with tuning seeds and those with reporting seeds."""
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
    table = parse_predictions(read_bytes(path, limit=MAX_PREDICTION_BYTES), str(path))
    return tuple(sorted({*table.target.tolist()} - {*table.prediction.tolist()}))


def promise_lines(promise: Promise) -> Iterator[str]:
    """Yield a line with both mean scores, and warnings if reporting seeds are worse or never predict a class."""
    measure = promise.measure
    if promise.promised and promise.kept:
        unit = "" if measure.is_loss else ", %"
        tuned, reported = (
            measure.summary(measure.summarise([*scores.values()])) for scores in (promise.promised, promise.kept)
        )
        yield (
            f"validation {measure.kind}{unit}: {tuned} with the tuning seeds {ranges(promise.promised)}, "
            f"{reported} with those that report"
        )
        yield from _note_on_shortfall(promise)
    yield from _note_on_classes(promise)


def _note_on_shortfall(promise: Promise) -> Iterator[str]:
    """Warn if reporting seeds score worse than tuning seeds, by more than chance explains."""
    measure = promise.measure
    difference = compare(measure.signed(promise.promised), measure.signed(promise.kept))
    interval = measure.ends(difference)
    if interval is None or interval[0] <= 0:
        return
    low, high = map(measure.text, interval)
    yield (
        f"warning: reporting seeds fall short of tuning seeds by {measure.text(difference.difference)} "
        f"{measure.unit} (95 % interval {low} to {high}): of many settings, "
        f"{len(promise.promised)} seeds chose a lucky one; a protocol with more tuning seeds chooses better"
    )


def _note_on_classes(promise: Promise) -> Iterator[str]:
    """Warn of classes that runs with reporting seeds never predict; only the first of such runs are named."""
    if not promise.never:
        return
    first_runs = list(promise.never.items())[:MOST_SHOWN]
    named = [f"seed {seed}: {', '.join(map(str, classes))}" for seed, classes in first_runs]
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
