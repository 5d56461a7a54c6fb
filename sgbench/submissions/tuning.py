"""Makes and checks the tuning log: the settings that were tried before one was submitted."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from sgbench.leaderboard.deviation import ProtocolReference
from sgbench.records.files import Pruned
from sgbench.records.method import by_method, identity
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, Protocol, SearchRange
from sgbench.records.submission import SUBMISSION_VERSION, TuningLog, TuningTrial
from sgbench.tables import ranges

THRESHOLD = "neuron.threshold"


def outside_space(ours: Mapping[str, str], trials: Sequence[TuningTrial], protocol: Protocol) -> Iterator[str]:
    """Yield a line if a setting was searched that the protocol fixes, and one for the first value out of its range.

    Nothing is yielded if the protocol does not limit the search.

    `ours`: identity of the submitted method, whose numbers must be within the ranges too; `protocol`: the protocol as
    the catalogue has it.
    """
    space = protocol.search_space
    if space is None:
        return
    searched = sorted({key for trial in trials for key in trial.settings} - set(space))
    if searched:
        yield (
            f"{searched[0]} differs among the settings tried, but {protocol.name} lets {', '.join(space)} alone be "
            f"searched; hand in runs that share it"
        )
    all_settings: list[dict[str, str | None]] = [dict(ours), *({**ours, **trial.settings} for trial in trials)]
    problems = (line for settings in all_settings for line in _outside_ranges(settings, space, protocol.name))
    first_problem = next(problems, None)
    if first_problem is not None:
        yield first_problem


def _outside_ranges(settings: Mapping[str, str | None], space: Mapping[str, SearchRange], name: str) -> Iterator[str]:
    """Yield the settings outside the ranges of the protocol; widths are measured in the neuron's threshold."""
    for key, allowed in space.items():
        value = _number(settings.get(key))
        if value is None:
            continue  # the method has no such number, or derives it from another
        threshold = 1.0 if allowed.unit == "number" else _number(settings.get(THRESHOLD))
        if threshold is None or threshold <= 0:
            yield f"{key}: {name} asks for it {allowed.text}, but the neuron has no one positive threshold"
        elif not allowed.holds(value, threshold=threshold):
            unit = "" if allowed.unit == "number" else f" at {THRESHOLD} {threshold:g}"
            yield f"{key} is {value:g}{unit}, {name} allows {allowed.text}; leave such settings out of the search"


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


Change = dict[str, str | None]
"""Maps keys of a method's identity to the values that replace its own; None removes a key."""
Studies = Mapping[str, int]
"""Maps the id of a tried method to the number of the search study that tried it."""
NONE: Studies = MappingProxyType({})


class StoppedTrial(NamedTuple):
    """Holds a run that was stopped early, with the settings in which its method differs from the submitted one."""

    settings: Change
    pruned: Pruned


def make_log(
    chosen: Method,
    name: str,
    records: Sequence[RunRecord],
    stopped: Sequence[StoppedTrial] = (),
    studies: Studies = NONE,
) -> TuningLog:
    """Make the log of all runs of a tuning; it is empty for a method that was not tuned.

    `chosen`: the submitted method. `name`: id of the submitted method. `records`: records of the method and of other
    tried settings. `stopped`: runs that were stopped early, which count as tried. `studies`: maps ids of tried methods
    to the number of the search study that tried them.
    """
    tried = {record.method_id for record in records} | {trial.pruned.method_id for trial in stopped}
    trials = [_trial(chosen, record, studies) for record in records]
    trials += [_stopped_trial(trial, studies) for trial in stopped]
    trials = trials if len(tried) > 1 else []
    trials.sort(key=lambda trial: (trial.method_id, trial.seed))
    return TuningLog(
        schema_version=SUBMISSION_VERSION, protocol=chosen.protocol.name, method_id=name, trials=tuple(trials)
    )


def _trial(chosen: Method, record: RunRecord, studies: Studies) -> TuningTrial:
    """Note a finished or failed run of the search, with what its method changes."""
    scores = record.validation
    return TuningTrial(
        method_id=record.method_id,
        seed=record.seed,
        status=record.status,
        settings=changes(identity(chosen), identity(record.method)),
        validation_accuracy=None if scores is None else scores.accuracy,
        validation_loss=None if scores is None else scores.loss,
        study=studies.get(record.method_id),
    )


def _stopped_trial(stopped: StoppedTrial, studies: Studies) -> TuningTrial:
    """Note a run of the search that was stopped early."""
    pruned = stopped.pruned
    return TuningTrial(
        method_id=pruned.method_id,
        seed=pruned.seed,
        status="pruned",
        settings=stopped.settings,
        validation_accuracy=pruned.validation_accuracy,
        validation_loss=pruned.validation_loss,
        study=studies.get(pruned.method_id),
        epochs=pruned.epochs,
    )


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> Change:
    """Return the settings that change one method's identity into another's; None removes a setting.

    >>> changes({"a": "1", "b": "2"}, {"a": "3", "c": "4"})
    {'a': '3', 'b': None, 'c': '4'}
    """
    return {key: after.get(key) for key in sorted({*before, *after}) if before.get(key) != after.get(key)}


def id_of(chosen: Mapping[str, str], settings: Change) -> str:
    """Return the id of the method whose identity is `chosen` with some settings changed."""
    flat = {**chosen, **settings}
    stated = {key: flat[key] for key in sorted(flat) if flat[key] is not None}
    text = json.dumps(stated, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def best(trials: Sequence[TuningTrial], protocol: Protocol) -> str | None:
    """Return the id of the setting that validation selects, by the mean of the protocol's monitor over its seeds.

    A setting with a failed or stopped run has no mean and is not selected; None if no setting is left.
    """
    groups = by_method(trials)
    scores = {name: [_score(trial, protocol.monitor) for trial in group] for name, group in groups.items()}
    means = {
        name: math.fsum(score for score in trial_scores if score is not None) / len(trial_scores)
        for name, trial_scores in sorted(scores.items())
        if None not in trial_scores
    }
    return max(means, key=lambda name: means[name], default=None)


def _score(trial: TuningTrial, monitor: str) -> float | None:
    """Return what validation maximises, an accuracy or a negative loss; None for a run that was stopped or failed."""
    if trial.status == "pruned":
        return None
    if monitor == "validation_accuracy":
        return trial.validation_accuracy
    return None if trial.validation_loss is None else -trial.validation_loss


def log_problems(log: TuningLog, method: Method, reference: ProtocolReference) -> Iterator[tuple[str, str]]:
    """Yield (code, message) for each problem of a tuning log: it breaks the protocol or contradicts the submission.

    Checking ends at a problem that makes further checks meaningless.
    """
    submitted, protocol = identity(method), reference.protocol
    if not log.trials:
        yield from (("search", line) for line in outside_space(submitted, (), protocol))
        return
    runs = Counter((trial.method_id, trial.seed) for trial in log.trials)
    (name, seed), times = runs.most_common(1)[0]
    if times > 1:
        yield "tuning", f"run {name} seed {seed} stands {times} times; state each run once"
    yield from _foreign_seeds(log, protocol)
    for trial in log.trials:
        if id_of(submitted, trial.settings) != trial.method_id:
            yield ("tuning", f"settings of trial {trial.method_id} are not those of that id; write the log anew")
            return
    contradiction = "no accuracy, but there are" if reference.classes is not None else "an accuracy, but there are no"
    for trial in log.trials:
        if trial.status == "finished" and (trial.validation_accuracy is None) != (reference.classes is None):
            yield "tuning", f"trial {trial.method_id} states {contradiction} classes; write the log anew"
            return
    tried = {trial.method_id for trial in log.trials}
    if protocol.tuning_trials is not None and len(tried) > protocol.tuning_trials:
        yield "budget", f"{len(tried)} settings were tried, {protocol.name} allows {protocol.tuning_trials}"
    yield from (("search", line) for line in outside_space(submitted, log.trials, protocol))
    if log.method_id not in tried:
        yield "tuning", "the method handed in is not among its own trials; the log has to hold every run"
        return
    chosen = best(log.trials, protocol)
    if chosen != log.method_id:
        yield (
            "selection",
            f"validation ({protocol.monitor}) selects {chosen}, not {log.method_id}; hand in what it selects",
        )


def unconfirmed(log: TuningLog, protocol: Protocol) -> str | None:
    """Warn if the submitted setting was not run with all tuning seeds; None if it was."""
    ran = {trial.seed for trial in log.trials if trial.method_id == log.method_id}
    missing = {*(protocol.tuning_seeds or ())} - ran
    if not log.trials or not missing:
        return None
    return f"the setting handed in has no run with the tuning seeds {ranges(missing)}; few seeds choose a lucky one"


def _foreign_seeds(log: TuningLog, protocol: Protocol) -> Iterator[tuple[str, str]]:
    """Yield a problem for the first trial whose seed is none that the protocol tunes with."""
    if protocol.tuning_seeds is None:
        return
    for trial in log.trials:
        if trial.seed not in protocol.tuning_seeds:
            reports = ", which reports" if trial.seed in protocol.seeds else ""
            yield (
                "tuning",
                f"trial {trial.method_id} has seed {trial.seed}{reports}; {protocol.name} has settings chosen with "
                f"seeds {ranges(protocol.tuning_seeds)}",
            )
            return
