"""Checks that the parts of one record agree with each other; each contradiction is one line.

The checks cannot tell an invented record, but one that was changed in one place only: its numbers are compared with
each other here, and with the catalogue by the leaderboard.
"""

import math
from collections.abc import Iterator

from fastspiking.formula import canonical_formula
from sgbench.errors import InputError
from sgbench.records.content import EpochOnTest, RecordContent, Scores
from sgbench.records.counts import LayerCounts, OpCounts, SynapseCounts

WHOLE = 1e-6
"""Largest distance of an accuracy times its samples from a whole number."""
OF_TEST = ("test", "counts", "predictions_sha256")
"""Fields that a run has if and only if it was tested."""
RATE = 1e-6
"""Largest relative error of a firing rate against the spike count that it comes from."""
SAME, RESUMED = 1e-4, 1e-2
"""Largest relative difference of a loss computed twice: on one machine, and on another that resumed the run."""


def contradictions(record: RecordContent) -> Iterator[str]:
    """Yield what contradicts itself in a record; nothing if it is sound."""
    if (record.status == "failed") != (record.failure is not None):
        yield "a failure is stated exactly when status is failed"
    yield from _formula(record)
    yield from _curve(record)
    yield from _failed(record) if record.status == "failed" else _finished(record)


def _formula(record: RecordContent) -> Iterator[str]:
    """Yield a line if a surrogate's formula is invalid or not in its canonical form, which the method id needs."""
    formula = record.method.parameters["surrogate"].get("formula")
    if formula is None:
        return
    try:
        text = canonical_formula(formula)
    except InputError as error:
        yield str(error)
    else:
        if text != formula:
            yield f"surrogate.formula={formula} is written {text}"


def _failed(record: RecordContent) -> Iterator[str]:
    """Name the results that a failed run states although it cannot have them."""
    results = (
        *("validation", "test", "test_selected", "test_hard", "at_chance", "counts", "learning"),
        *("predictions_sha256", "weights_sha256"),
    )
    stated = [name for name in results if getattr(record, name) is not None]
    if stated:
        yield f"a failed run has no {', '.join(stated)}"


def _finished(record: RecordContent) -> Iterator[str]:
    """Yield a line for each contradiction in a finished run; with a tuning seed it may be untested."""
    is_tested = any(getattr(record, name) is not None for name in (*OF_TEST, "test_hard", "test_selected"))
    must_be_tested = is_tested or not record.method.protocol.is_tuning_seed(record.seed)
    needed = ("validation", "parameters", "best_epoch", *(OF_TEST if must_be_tested else ()))
    missing = [name for name in needed if getattr(record, name) is None]
    if missing:
        yield f"a finished run needs {', '.join(missing)}"
    if record.test_access == () and must_be_tested:
        yield "a finished run has touched its test split"
    scored = (("validation", record.validation), ("test", record.test), ("test_hard", record.test_hard))
    for name, scores in scored:
        if scores is not None:
            yield from _scores(name, scores, record)
    if record.test_hard is not None and record.test is not None and record.test_hard.samples != record.test.samples:
        yield f"test_hard.samples is {record.test_hard.samples}, test.samples {record.test.samples}"
    yield from _selected(record)
    guess = even_guess(record.classes)
    if record.at_chance and (guess is None or not is_at_chance(record.validation, guess)):
        yield "at_chance: validation is scored better than by guessing"
    yield from _test_selected(record)
    if record.counts is not None and record.test is not None:
        yield from _sizes(record.counts, record.test, record)
        for layer in record.counts.layers:
            yield from _layer(layer, record.counts)
        yield from _chain(record.counts, record)
        yield from _activity_problems(record.counts, record.test)


def _curve(record: RecordContent) -> Iterator[str]:
    """Yield contradictions between the training curve and the rest of the record."""
    if any((line.validation_accuracy is None) != (record.classes is None) for line in record.curve):
        yield "curve: an accuracy is stated exactly when there are classes"
    epochs = [line.epoch for line in record.curve]
    if epochs != list(range(len(epochs))):
        yield "curve: the epochs are not 0, 1, 2 and so on"
    if len(epochs) > record.method.protocol.epochs:
        yield f"curve has {len(epochs)} epochs, the protocol {record.method.protocol.epochs}"
    if record.best_epoch is not None and record.best_epoch not in epochs:
        yield f"best_epoch {record.best_epoch} is not an epoch of the curve"
    for layer in record.validation_rates or ():
        if len(layer.rate_per_step) != len(epochs):
            yield f"validation_rates: {layer.name} has {len(layer.rate_per_step)} rates of {len(epochs)} epochs"


def _selected(record: RecordContent) -> Iterator[str]:
    """Yield differences of the validation scores from the curve's at the selected epoch; rounding is allowed for."""
    epoch, validation = record.best_epoch, record.validation
    if epoch is None or validation is None or epoch >= len(record.curve):
        return
    line, tolerance = record.curve[epoch], RESUMED if record.timing.resumed else SAME
    if not math.isclose(line.validation_loss, validation.loss, rel_tol=tolerance, abs_tol=tolerance / 100):
        yield (
            f"validation.loss {validation.loss:.6g} is not that of epoch {epoch} of the curve, "
            f"{line.validation_loss:.6g}"
        )
    if line.validation_accuracy is not None and validation.accuracy is not None:
        one_answer = 1 / (validation.labels or validation.samples)
        if abs(line.validation_accuracy - validation.accuracy) > max(tolerance, one_answer) + WHOLE:
            yield (
                f"validation.accuracy {validation.accuracy:.6g} is not that of epoch {epoch} of the curve, "
                f"{line.validation_accuracy:.6g}"
            )


def _test_selected(record: RecordContent) -> Iterator[str]:
    """Yield a line for each contradiction in the epochs that are best on the test split.

    The test split must have been scored in every epoch. The best by loss, and by accuracy, must be at least as good
    on the test split as the other and as the selected epoch, and the earlier one if equally good.
    """
    best_on_test, test = record.test_selected, record.test
    if best_on_test is None or test is None:
        return
    not_scored = {f"epoch {line.epoch}" for line in record.curve} - {*(record.test_access or ())}
    if not_scored:
        yield f"test_selected: test_access does not name {min(not_scored)}"
    if (best_on_test.by_accuracy is None) != (record.classes is None):
        yield "test_selected.by_accuracy is stated exactly when there are classes"
    lines = [("by_loss", best_on_test.by_loss), ("by_accuracy", best_on_test.by_accuracy)]
    epochs = [(line.epoch, line) for _, line in lines if line is not None]
    epochs.append((record.best_epoch or 0, test))
    for name, line in lines:
        if line is None:
            continue
        yield from _epoch_on_test(f"test_selected.{name}", line, record)
        ranks = [(_badness(name, scores), epoch) for epoch, scores in epochs]
        if (_badness(name, line), line.epoch) > min(ranks):
            yield f"test_selected.{name}: epoch {line.epoch} is not the best"


def _badness(by: str, scores: EpochOnTest | Scores) -> float:
    """Return the quantity that a selection minimises: the loss if `by` is "by_loss", else minus the accuracy."""
    return scores.loss if by == "by_loss" else -(scores.accuracy or 0.0)


def _epoch_on_test(name: str, line: EpochOnTest, record: RecordContent) -> Iterator[str]:
    """Yield contradictions of scores on the test set at another epoch, which the field `name` holds."""
    test = record.test
    if test is None:
        return
    if (line.accuracy is None) != (record.classes is None):
        yield f"{name}.accuracy is stated exactly when there are classes"
    yield from _hits(name, line.accuracy, test)
    if line.epoch >= len(record.curve):
        yield f"{name}: epoch {line.epoch} is not an epoch of the curve"
    if line.epoch == record.best_epoch and (line.accuracy, line.loss) != (test.accuracy, test.loss):
        yield f"{name}: epoch {line.epoch} is best_epoch, but its scores are not those of test"


def _scores(name: str, scores: Scores, record: RecordContent) -> Iterator[str]:
    """Yield a line for each contradiction in the scores of one split, stored in the field `name`."""
    if (scores.accuracy is None) != (record.classes is None):
        yield f"{name}.accuracy is stated exactly when there are classes"
    yield from _hits(name, scores.accuracy, scores)
    if scores.labels is not None:
        yield from _labels(name, scores, record)
    dt_s = record.method.protocol.dt_s
    names = [layer.name for layer in scores.activity]
    if len(names) != len(set(names)):
        yield f"{name}.activity states a layer more than once"
    for layer in scores.activity:
        if not _close(layer.rate_hz * dt_s, layer.rate_per_step):
            yield f"{name}: rate_hz of {layer.name} is not its rate_per_step over {dt_s:g} s"


def _hits(name: str, accuracy: float | None, scores: Scores) -> Iterator[str]:
    """Yield an accuracy that is no whole number of right answers."""
    if accuracy is not None:
        total, unit = (scores.samples, "samples") if scores.labels is None else (scores.labels, "labels")
        hits = accuracy * total
        if abs(hits - round(hits)) > WHOLE:
            yield f"{name}.accuracy {accuracy:.12g} is no whole number of {total} {unit}"


def _labels(name: str, scores: Scores, record: RecordContent) -> Iterator[str]:
    """Yield labels without an accuracy, or more labels than there are steps."""
    if scores.accuracy is None:
        yield f"{name}.labels is stated without an accuracy"
    most = scores.samples * record.method.protocol.steps
    if scores.labels is not None and scores.labels > most:
        yield f"{name}.labels is {scores.labels}; {scores.samples} samples have at most {most} steps"


def _sizes(counts: OpCounts, test: Scores, record: RecordContent) -> Iterator[str]:
    """Yield counts of other samples or steps than the test has."""
    if counts.samples != test.samples:
        yield f"counts.samples is {counts.samples}, test.samples {test.samples}"
    longest = counts.samples * record.method.protocol.steps
    if not counts.samples <= counts.steps <= longest:
        yield f"counts.steps is {counts.steps}; {counts.samples} samples have {counts.samples} to {longest} steps"


def _layer(layer: LayerCounts, counts: OpCounts) -> Iterator[str]:
    """Yield a layer's counts that no network of this size could have."""
    updates = layer.neurons * counts.steps
    if layer.neuron_updates.total not in (None, updates):
        yield f"{layer.name}: neuron_updates is {layer.neuron_updates.total}, neurons x steps is {updates}"
    for name in ("spikes_sent", "neuron_updates_with_input"):
        total = getattr(layer, name).total
        if total is not None and total > updates:
            yield f"{layer.name}: {name} {total} is more than neurons x steps, {updates}"
    for group in layer.synapses:
        effective, dense = group.effective.total, group.dense.total
        if effective is not None and dense is not None and effective > dense:
            yield f"{layer.name}: effective {effective} is more than dense {dense} from {group.source}"


def _chain(counts: OpCounts, record: RecordContent) -> Iterator[str]:
    """Yield a line for each contradiction between the counted layers and the method's network.

    Checked are the readout's size and, of fully connected networks, all sizes, the sources of synapses and the
    operations that events cause.
    """
    last = counts.layers[-1]
    if record.classes is not None and (last.name, last.neurons) != ("readout", record.classes):
        yield (
            f"counts.layers: the last is {last.name!r} of {last.neurons} neurons, "
            f"not 'readout' of {record.classes} classes"
        )
    hidden = record.method.parameters["network"].get("hidden")
    if not isinstance(hidden, tuple):
        return
    expected = [(f"hidden{index}", size) for index, size in enumerate(hidden)]
    if [(layer.name, layer.neurons) for layer in counts.layers[:-1]] != expected:
        sizes = ", ".join(f"{name} of {size}" for name, size in expected)
        yield f"counts.layers: not the layers of the method, {sizes}, and readout"
    sent = {"input": counts.input_events.total}
    source = "input"
    for layer in counts.layers:
        sent[layer.name] = layer.spikes_sent.total
        if source not in {group.source for group in layer.synapses}:
            yield f"{layer.name}: no synapses from {source}"
        for group in layer.synapses:
            yield from _events(group, layer, sent.get(group.source))
        source = layer.name


def _events(group: SynapseCounts, layer: LayerCounts, sent: int | None) -> Iterator[str]:
    """Yield a line if a group's synaptic operations are not the source's events times fan-out.

    Recurrent operations may be fewer, since events of the last step cause none. `sent`: events of the source.
    """
    effective = group.effective.total
    if sent is None or effective is None:
        return
    if group.source == layer.name and group.operation == "multiply_accumulate":
        return  # recurrent potentials cause operations without events
    neurons_reached = layer.neurons if group.wiring == "all_to_all" else 1
    most = sent * neurons_reached * (layer.synapses_per_pair or 1)
    if effective > most or (group.source != layer.name and effective < most):
        yield f"{layer.name}: effective {effective} is not what {sent} events from {group.source} trigger, {most}"


def _activity_problems(counts: OpCounts, test: Scores) -> Iterator[str]:
    """Yield a message for each layer whose spike count is not its rate times neurons times steps.

    Rates are in spikes per neuron and step; a layer without a rate counts as silent. A layer that the counts do not
    know is named too.
    """
    rates = {line.name: line.rate_per_step for line in test.activity}
    unknown = sorted(rates.keys() - {layer.name for layer in counts.layers})
    if unknown:
        yield f"test.activity names {', '.join(unknown)}, which counts.layers does not"
    for layer in counts.layers:
        spikes = layer.spikes_sent.total
        rate = rates.get(layer.name, 0.0)
        if spikes is not None and not _close(rate * layer.neurons * counts.steps, spikes):
            yield f"{layer.name}: spikes_sent {spikes} is not its rate_per_step in test, {rate:.12g}"


def _close(value: float, expected: float) -> bool:
    return abs(value - expected) <= RATE * abs(expected)


STANDARD_ERRORS = 2.0
"""Number of standard errors by which an accuracy must exceed guessing; guessing does so once in forty times."""


def even_guess(classes: int | None) -> float | None:
    """Return the accuracy of guessing among so many equally frequent classes; None for None (no classes).

    >>> even_guess(4), even_guess(None)
    (0.25, None)
    """
    return 1 / classes if classes else None


def reach_of_guessing(guess: float, samples: int) -> float:
    r"""Compute the accuracy that guessing exceeds only once in forty times.

    .. math::
        p + 2 \sqrt{p (1 - p) / n}

    >>> reach_of_guessing(1 / 2, 100), round(reach_of_guessing(1 / 10, 359), 4)
    (0.6, 0.1317)
    """
    return guess + STANDARD_ERRORS * math.sqrt(guess * (1 - guess) / samples)


def is_at_chance(scores: Scores | None, guess: float, *, is_loss: bool = False) -> bool:
    """Return whether scores are no better than guessing; False if the scores or the guess are unknown."""
    if scores is None or math.isnan(guess):
        return False
    if is_loss:
        return scores.loss >= guess
    if scores.accuracy is None:
        return False
    return scores.accuracy <= reach_of_guessing(guess, scores.labels or scores.samples)
