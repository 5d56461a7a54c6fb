"""Summarises a search: the best of each study, AlgoPerf's score, and the setting that validation selects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.statistics.tuning_curves import median_of_bests
from sgbench.tuning.outcomes import Outcome, select_best
from sgbench.tuning.request import Task


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
    from sgbench.tables import NONE, aligned, ranges
    from sgbench.tuning.space import setting_overrides

    rows = [["study", "best validation", "seeds", "settings", "best setting"]]
    for search in result.studies:
        setting = "-" if search.best is None else " ".join(setting_overrides(search.best.asked.setting))
        score = _score_text(search.best and search.best.score, task)
        seeds = NONE if search.best is None else str(len(search.best.specs))
        rows.append([str(search.study), score, seeds, str(search.tried), setting])
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
    if score is None:
        return "-"
    if task.base.method.protocol.monitor == "validation_accuracy":
        return f"{100 * score:.2f} %"
    return f"loss {-score:.4g}"
