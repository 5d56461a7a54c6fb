"""Result of a run in one line."""

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

OF_A_RUN = "sgbench diagnose RUN"
"""What a record's failure says, which does not know its folder."""
NO_RECORD = "no record"
NAMELESS: Mapping[str, str] = MappingProxyType({})


def headline(record: RunRecord, names: Mapping[str, str] = NAMELESS) -> str:
    """Describe in one line which run it was, and its validation score or its failure; never its test score.

    Args:
        record: of the run.
        names: of methods in a sweep, by id; another one goes by its surrogate.
    """
    return _line(record, names, ())


def result(record: RunRecord) -> str:
    """Describe in one line which run it was, and its scores on validation and test or its failure."""
    if record.test is None:
        return _line(record, NAMELESS, ())
    hard = (
        "" if record.test_hard is None else f" ({_score(record.test_hard)} with spikes in place of the curve)"
    )
    return _line(record, NAMELESS, [f"test {_score(record.test)}{hard}"])


def _line(record: RunRecord, names: Mapping[str, str], more: Sequence[str]) -> str:
    called = names.get(record.method_id, record.method.label)
    name = f"{record.protocol} {called} {record.method_id} seed {record.seed}"
    if record.validation is None:
        return f"{name}: failed: {record.failure.message if record.failure else 'unknown'}"
    scores = ", ".join([f"validation {_score(record.validation)}", *more])
    return f"{name}: {scores} ({record.timing.total_s:.1f} s)"


def _score(scores: Scores) -> str:
    """Write accuracy, or loss where there are no classes."""
    return f"loss {scores.loss:.4g}" if scores.accuracy is None else f"{100 * scores.accuracy:.1f} %"


def cost(record: RunRecord) -> float:
    """Return the score that validation selects by, signed so that less is better; infinity for a failed run.

    It is the validation loss [1], or one minus the validation accuracy where the protocol monitors that.
    """
    if record.validation is None:
        return math.inf
    accuracy = record.validation.accuracy
    if record.method.protocol.monitor == "validation_accuracy" and accuracy is not None:
        return 1 - accuracy
    return record.validation.loss


def problem(spec: RunSpec, record: RunRecord | None, names: Mapping[str, str] = NAMELESS) -> str | None:
    """Explain why a point has no finished record, or return None where it has one; `names` as in `headline`."""
    if record is not None and record.status == "finished":
        return None
    reason = NO_RECORD if record is None or record.failure is None else record.failure.message
    return f"{label(spec, names)}: {reason.replace(OF_A_RUN, f'sgbench diagnose {folder_of(spec)}')}"


class Guessing(NamedTuple):
    """Names a run that is no better than guessing, and the command that diagnoses it."""

    name: str
    remedy: str  # a command, or a call


def guessing(spec: RunSpec, names: Mapping[str, str] = NAMELESS) -> Guessing:
    """Name a run that is no better than guessing, with the command that diagnoses it; `names` as in `headline`."""
    return Guessing(label(spec, names), f"sgbench diagnose {folder_of(spec)}")


def chance_warning(runs: Sequence[Guessing], *, count: int) -> str | None:
    """Warn that runs have learnt nothing, or return None where there are none.

    >>> chance_warning([Guessing("atan seed 3", "sgbench diagnose runs/a/3")], count=1)
    'atan seed 3 is no better than guessing: nothing was learnt; sgbench diagnose runs/a/3 tells more'
    """
    if not runs:
        return None
    which = f"{runs[0].name} is" if count == 1 else f"{len(runs)} of {count} runs, e.g. {runs[0].name}, are"
    return f"{which} no better than guessing: nothing was learnt; {runs[0].remedy} tells more"


def label(spec: RunSpec, names: Mapping[str, str] = NAMELESS) -> str:
    """Name a point by its task, its method and seed; `names` as in `headline`."""
    method = spec.method
    called = names.get(method_id(method), method.label) if names else method.label
    return f"{method.protocol.name} {called} seed {spec.seed}"
