"""Result of a search: the best of each study, AlgoPerf's score, and the setting that validation selects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sgbench.statistics.tuning_curves import median_of_bests
from sgbench.tuning.outcomes import Outcome, best_of
from sgbench.tuning.request import Task


@dataclass(frozen=True)
class StudyBest:
    """Holds the best setting of one study, or None where every setting failed or was stopped."""

    study: int
    best: Outcome | None
    tried: int


@dataclass(frozen=True)
class Found:
    """Holds the settings that a search chose, and how its studies went.

    Args:
        studies: the best of each.
        chosen: the setting that validation selects among all.
        score: the median over studies of their best score on validation, signed so that the larger is the better;
            a study without any counts as the worst. None where the middle study has none.
        saved_epochs: by pruning.
        epochs: that all runs would have had without it.
    """

    studies: tuple[StudyBest, ...]
    chosen: Outcome | None
    score: float | None
    saved_epochs: int
    epochs: int


def found_of(outcomes: Sequence[Outcome]) -> Found:
    """Summarise the settings of a search.

    Source of the score: Dahl et al. 2023, arXiv:2306.07179, section 4.3: the median over studies of the best of
    each; here of validation scores.
    """
    numbers = sorted({outcome.asked.study for outcome in outcomes})
    studies = []
    for number in numbers:
        own = [outcome for outcome in outcomes if outcome.asked.study == number]
        studies.append(StudyBest(number, best_of(own), len(own)))
    scores = [study.best.score if study.best else None for study in studies]
    median = median_of_bests([-math.inf if score is None else score for score in scores])
    specs = [spec for outcome in outcomes for spec in outcome.specs]
    return Found(
        studies=tuple(studies),
        chosen=best_of(outcomes),
        score=None if math.isinf(median) else median,
        saved_epochs=sum(outcome.saved_epochs for outcome in outcomes),
        epochs=sum(spec.method.protocol.epochs for spec in specs),
    )


def lines_of(result: Found, task: Task) -> list[str]:
    """Return the outcome of a search as text."""
    from sgbench.tables import NONE, aligned, ranges
    from sgbench.tuning.space import words_of

    rows = [["study", "best validation", "seeds", "settings", "best setting"]]
    for search in result.studies:
        setting = "-" if search.best is None else " ".join(words_of(search.best.asked.setting))
        score = _score_text(search.best and search.best.score, task)
        seeds = NONE if search.best is None else str(len(search.best.specs))
        rows.append([str(search.study), score, seeds, str(search.tried), setting])
    monitor = task.base.method.protocol.monitor.replace("_", " ")
    first, every = ranges(task.first_seeds), ranges(task.protocol.trial_seeds)
    seeds = first if first == every else f"{first}, of the best of each study {every}"
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
