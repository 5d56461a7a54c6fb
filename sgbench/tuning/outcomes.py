"""Reads the results of a search's settings from the records of their runs."""

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
from sgbench.tuning.asking import TriedSetting


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
