"""Results of the settings that were asked for, from the records of their runs."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sgbench.errors import InputError
from sgbench.records.files import read_model
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.records.tuning import PRUNED, Asked, Pruned
from sgbench.training.run_folder import folder_of, stored_record
from sgbench.tuning.asking import Tried


@dataclass(frozen=True)
class Outcome:
    """Describes one setting with the results of its runs.

    Args:
        asked: the setting, and its study and number.
        specs: its runs, one for each seed that settings are chosen with.
        state: "open" until every run has ended; "pruned" if one was stopped early; "failed" if one failed.
        score: mean over seeds of what validation selects by, the larger the better; None of failed and open ones.
        epochs: trained by its runs.
    """

    asked: Asked
    specs: tuple[RunSpec, ...]
    state: Literal["finished", "failed", "pruned", "open"]
    score: float | None
    epochs: int

    @property
    def tried(self) -> Tried:
        """Return it in the form in which strategies receive it."""
        return Tried(dict(self.asked.setting), self.state, self.score)

    @property
    def saved_epochs(self) -> int:
        """Return the epochs that pruning saved."""
        if self.state != "pruned":
            return 0
        return sum(spec.method.protocol.epochs for spec in self.specs) - self.epochs


def outcome_of(asked: Asked, specs: Sequence[RunSpec]) -> Outcome:
    """Look up the records of a setting."""
    results = [stored_record(spec) or stored_pruned(spec) for spec in specs]
    ended = [result for result in results if result is not None]
    epochs = sum(_epochs(result) for result in ended)
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
    """Return where a run was stopped early, or None where it was not."""
    with contextlib.suppress(InputError):
        pruned = read_model(folder_of(spec) / PRUNED, Pruned)
        return pruned if (pruned.method_id, pruned.seed) == (method_id(spec.method), spec.seed) else None
    return None


def score_of(ended: RunRecord | Pruned, monitor: str) -> float:
    """Return the score by which validation selects, the larger the better.

    Args:
        ended: a finished run, or one that was stopped early.
        monitor: of the protocol.
    """
    if isinstance(ended, Pruned):
        accuracy, loss = ended.validation_accuracy, ended.validation_loss
    else:
        accuracy, loss = (
            (None, None) if ended.validation is None else (ended.validation.accuracy, ended.validation.loss)
        )
    if monitor == "validation_accuracy" and accuracy is not None:
        return accuracy
    return float("-inf") if loss is None else -loss


def _epochs(ended: RunRecord | Pruned) -> int:
    return ended.epochs if isinstance(ended, Pruned) else len(ended.curve)


def best_of(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return the setting that validation selects, by the mean over seeds; of equal ones the first by id."""
    finished = [outcome for outcome in outcomes if outcome.state == "finished" and outcome.score is not None]
    return max(
        sorted(finished, key=lambda outcome: outcome.asked.method_id),
        key=lambda outcome: outcome.score or 0.0,
        default=None,
    )
