"""Writes the result of a run, or why it has none, in one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from sgbench.records.method import method_id
from sgbench.training.run_folder import folder_of

if TYPE_CHECKING:
    from sgbench.records.content import Scores
    from sgbench.records.record import RunRecord
    from sgbench.records.spec import RunSpec

DIAGNOSE_RUN = "sgbench diagnose RUN"
"""Command in a stored failure message, which does not name the run's folder."""
NO_RECORD = "no record"
NAMELESS: Mapping[str, str] = MappingProxyType({})


def headline(record: RunRecord, names: Mapping[str, str] = NAMELESS) -> str:
    """Write in one line a run's method and seed, and its validation score or failure; never its test score.

    `names`: maps ids of methods to names; a method that is not in it goes by its surrogate.
    """
    return _line(record, names, ())


def result_line(record: RunRecord) -> str:
    """Write in one line a run's method and seed, and its scores on validation and test, or its failure."""
    if record.test is None:
        return _line(record, NAMELESS, ())
    hard = "" if record.test_hard is None else f" ({_score(record.test_hard)} with spikes in place of the curve)"
    return _line(record, NAMELESS, [f"test {_score(record.test)}{hard}"])


def _line(record: RunRecord, names: Mapping[str, str], test_scores: Sequence[str]) -> str:
    """Write a run's method, seed, and its failure, or its validation score and then `test_scores`."""
    method_name = names.get(record.method_id, record.method.label)
    name = f"{record.protocol} {method_name} {record.method_id} seed {record.seed}"
    if record.validation is None:
        return f"{name}: failed: {record.failure.message if record.failure else 'unknown'}"
    scores = ", ".join([f"validation {_score(record.validation)}", *test_scores])
    return f"{name}: {scores} ({record.timing.total_s:.1f} s)"


def _score(scores: Scores) -> str:
    """Write the accuracy in percent, or the loss for a task without classes."""
    return f"loss {scores.loss:.4g}" if scores.accuracy is None else f"{100 * scores.accuracy:.1f} %"


def cost_to_minimise(record: RunRecord) -> float:
    """Return the validation loss, or one minus the validation accuracy if the protocol selects by accuracy.

    Less is better; a failed run costs infinity.
    """
    if record.validation is None:
        return math.inf
    accuracy = record.validation.accuracy
    if record.method.protocol.monitor == "validation_accuracy" and accuracy is not None:
        return 1 - accuracy
    return record.validation.loss


def failure_reason(spec: RunSpec, record: RunRecord | None, names: Mapping[str, str] = NAMELESS) -> str | None:
    """Write why a point has no finished record; return None if it has one. `names` is as in `headline`."""
    if record is not None and record.status == "finished":
        return None
    reason = NO_RECORD if record is None or record.failure is None else record.failure.message
    return f"{point_label(spec, names)}: {reason.replace(DIAGNOSE_RUN, f'sgbench diagnose {folder_of(spec)}')}"


class Guessing(NamedTuple):
    """Names a run that is no better than guessing, and the command that diagnoses it."""

    name: str
    remedy: str  # a command of the shell, or a call in Python


def describe_guessing(spec: RunSpec, names: Mapping[str, str] = NAMELESS) -> Guessing:
    return Guessing(point_label(spec, names), f"sgbench diagnose {folder_of(spec)}")


def chance_warning(runs: Sequence[Guessing], *, count: int) -> str | None:
    """Write a warning that `runs`, of `count` runs, have learnt nothing; None if `runs` is empty.

    >>> chance_warning([Guessing("atan seed 3", "sgbench diagnose runs/a/3")], count=1)
    'atan seed 3 is no better than guessing: nothing was learnt; sgbench diagnose runs/a/3 tells more'
    """
    if not runs:
        return None
    which = f"{runs[0].name} is" if count == 1 else f"{len(runs)} of {count} runs, e.g. {runs[0].name}, are"
    return f"{which} no better than guessing: nothing was learnt; {runs[0].remedy} tells more"


def point_label(spec: RunSpec, names: Mapping[str, str] = NAMELESS) -> str:
    """Write a run's protocol, method and seed; `names` is as in `headline`."""
    method = spec.method
    method_name = names.get(method_id(method), method.label) if names else method.label
    return f"{method.protocol.name} {method_name} seed {spec.seed}"
