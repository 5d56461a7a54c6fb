"""Summarises the searches of settings behind a board's methods: the best of each study, the median over studies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.score import Measure
from sgbench.records.spec import Protocol
from sgbench.records.submission import TuningLog, TuningTrial
from sgbench.statistics.tuning_curves import median_of_bests
from sgbench.tables import code

ABOUT = (
    "Each study is a search of its own with the number of settings shown; its best is what validation selects "
    "in it, by the mean over the seeds that settings are chosen with. The median over studies of their best "
    "(AlgoPerf's score, Dahl et al. 2023, here of validation scores) tells what such a search comes to."
)
UNEQUAL = "The budgets differ, so the medians are in no order."


@dataclass(frozen=True)
class Studies:
    """Summarises the searches, called studies, for the settings of one method.

    The best score of a study is the mean validation score of its best setting, larger is better. It is minus
    infinity where every setting failed or was stopped.
    """

    bests: tuple[float, ...]  # best score of each study
    settings: tuple[int, ...]  # count of settings that each study tried
    saved_epochs: int  # epochs of training that were saved by stopping runs early

    @property
    def median(self) -> float:
        return median_of_bests(self.bests)


def studies_of(log: TuningLog, protocol: Protocol, measure: Measure) -> Studies | None:
    """Summarise a log's independent searches: the best and number of settings of each; None if it has no studies."""
    by_study: dict[int, dict[str, list[TuningTrial]]] = {}
    for trial in log.trials:
        if trial.study is not None:
            by_study.setdefault(trial.study, {}).setdefault(trial.method_id, []).append(trial)
    if not by_study:
        return None
    bests = [_best(settings, protocol, measure) for _, settings in sorted(by_study.items())]
    saved = sum(protocol.epochs - trial.epochs for trial in log.trials if trial.epochs is not None)
    return Studies(tuple(bests), tuple(len(trials) for _, trials in sorted(by_study.items())), saved)


def _best(settings: Mapping[str, Sequence[TuningTrial]], protocol: Protocol, measure: Measure) -> float:
    """Return the score of a study's best setting by the protocol's monitor; minus infinity if no setting finished.

    `settings` maps ids of methods to their trials, one for each seed.
    """
    finished = [trials for trials in settings.values() if all(trial.status == "finished" for trial in trials)]
    if not finished:
        return -math.inf
    by_accuracy = protocol.monitor == "validation_accuracy" and not measure.is_loss
    chosen = max(finished, key=lambda trials: _mean(trials, is_loss=not by_accuracy))
    return _mean(chosen, is_loss=measure.is_loss)


def _mean(trials: Sequence[TuningTrial], *, is_loss: bool) -> float:
    scores = [-(trial.validation_loss or 0.0) if is_loss else trial.validation_accuracy or 0.0 for trial in trials]
    return math.fsum(scores) / len(scores)


def searches(board: Board) -> dict[str, Studies]:
    """Map the ids of methods whose log names studies to a summary of these."""
    studies_by_method = {}
    for row in (*board.rows, *board.claimed):
        log = None if row.listing is None else row.listing.provenance.tuning
        studies = None if log is None else studies_of(log, board.protocol, board.measure)
        if studies is not None:
            studies_by_method[row.method_id] = studies
    return studies_by_method


def search_table(board: Board, studies_by_method: Mapping[str, Studies]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of the table of searches, one row for each method with a search.

    If all methods had the same budget, rows are sorted by the median score, best first, else as on the board.
    """
    head = ["method", "id", "studies", "settings of each", "median of bests", "best of each", "epochs saved"]
    rows = [row for row in (*board.rows, *board.claimed) if row.method_id in studies_by_method]
    if have_one_budget(studies_by_method):
        rows.sort(key=lambda row: -studies_by_method[row.method_id].median)
    return head, [_cells(row, studies_by_method[row.method_id], board.measure) for row in rows]


def have_one_budget(studies_by_method: Mapping[str, Studies]) -> bool:
    return len({studies.settings for studies in studies_by_method.values()}) == 1


def _cells(row: MethodRow, studies: Studies, measure: Measure) -> list[str]:
    """Return a row's cells in the table of searches for settings."""
    counts = sorted(set(studies.settings))
    return [
        code(row.label),
        row.method_id,
        str(len(studies.settings)),
        " or ".join(map(str, counts)),
        _text(studies.median, measure),
        ", ".join(_text(best, measure) for best in studies.bests),
        str(studies.saved_epochs),
    ]


def _text(score: float, measure: Measure) -> str:
    return "-" if math.isinf(score) else measure.text(measure.better(score))
