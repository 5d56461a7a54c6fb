"""A record as one flat dictionary, in which every logger receives it."""

from collections.abc import Iterator, Mapping, Sequence

from sgbench.records.content import EpochScores, Scores
from sgbench.records.record import RunRecord

Flat = dict[str, bool | int | float | str]


def flat(record: RunRecord) -> Flat:
    """Flatten the scores, rates, counts and identity of a record; values that it lacks have no key.

    - `status`, `failure`, `best_epoch`, `epochs` (number trained), `parameters` (number of trained ones)
    - `method_id`, `protocol`, `seed`, `commit`, `data_sha256`
    - `choice/GROUP` and `setting/GROUP/NAME`: the method
    - `validation/...`, `test/...`: `accuracy` (fraction), `loss`, and for each layer `rate_hz/LAYER`,
      `dead_fraction/LAYER`, `saturated_fraction/LAYER`
    - `counts/spikes`, `counts/synaptic_operations`: per inference; with `/LAYER` for each layer
    - `timing/fit_s`, `timing/test_s`, `timing/total_s` [s], `memory/peak_bytes`
    """
    pairs = (*_identity(record), *_method(record), *_scores(record), *_counts(record), *_costs(record))
    return {key: value for key, value in pairs if isinstance(value, bool | int | float | str)}


def epoch_numbers(curve: Sequence[EpochScores], rates_hz: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of a curve's last epoch under the keys of `flat`, and the best scores of all epochs.

    >>> line = EpochScores(epoch=0, train_loss=2.0, validation_loss=1.5, validation_accuracy=0.5)
    >>> epoch_numbers([line, line.model_copy(update={"validation_loss": 1.75})], {"hidden": 10.0})
    ... # doctest: +NORMALIZE_WHITESPACE
    {'train/loss': 2.0, 'validation/loss': 1.75, 'validation/best_loss': 1.5, 'validation/accuracy': 0.5,
     'validation/best_accuracy': 0.5, 'validation/rate_hz/hidden': 10.0}
    """
    line = curve[-1]
    numbers = {
        "train/loss": line.train_loss,
        "validation/loss": line.validation_loss,
        "validation/best_loss": min(each.validation_loss for each in curve),
    }
    accuracies = [each.validation_accuracy for each in curve if each.validation_accuracy is not None]
    if line.validation_accuracy is not None:
        numbers |= {"validation/accuracy": line.validation_accuracy, "validation/best_accuracy": max(accuracies)}
    return numbers | {f"validation/rate_hz/{name}": rate for name, rate in rates_hz.items()}


Pairs = Iterator[tuple[str, object]]
"""Keys of the flat dictionary with their values."""


def _identity(record: RunRecord) -> Pairs:
    yield "status", record.status
    yield "failure", None if record.failure is None else record.failure.message
    yield "best_epoch", record.best_epoch
    yield "epochs", len(record.curve)
    yield "parameters", record.parameters
    yield "method_id", record.method_id
    yield "protocol", record.protocol
    yield "seed", record.seed
    yield "commit", record.provenance.commit
    yield "data_sha256", record.provenance.data_sha256


def _method(record: RunRecord) -> Pairs:
    """Yield the method's choices and settings."""
    for group, name in record.method.choices.items():
        yield f"choice/{group}", name
    for group, parameters in record.method.parameters.items():
        for name, value in parameters.items():
            yield f"setting/{group}/{name}", str(list(value)) if isinstance(value, tuple) else value
    yield "setting/clip_norm", record.method.clip_norm


def _scores(record: RunRecord) -> Pairs:
    """Yield accuracy, loss and the activity of each layer on both splits."""
    splits: tuple[tuple[str, Scores | None], ...] = (("validation", record.validation), ("test", record.test))
    for split, scores in splits:
        if scores is not None:
            yield f"{split}/accuracy", scores.accuracy
            yield f"{split}/loss", scores.loss
            for layer in scores.activity:
                for name in ("rate_hz", "dead_fraction", "saturated_fraction"):
                    yield f"{split}/{name}/{layer.name}", getattr(layer, name)


def _counts(record: RunRecord) -> Pairs:
    """Yield spikes and synaptic operations of an inference by layer, and in all if every layer was counted."""
    counts = record.counts
    if counts is None:
        return
    totals = {
        "spikes": {layer.name: [layer.spikes_sent.total] for layer in counts.layers},
        "synaptic_operations": {
            layer.name: [group.effective.total for group in layer.synapses] for layer in counts.layers
        },
    }
    for quantity, layers in totals.items():
        counted = {name: numbers for name, numbers in layers.items() if None not in numbers}
        per_inference = {
            name: sum(number or 0 for number in numbers) / counts.samples for name, numbers in counted.items()
        }
        for name, amount in per_inference.items():
            yield f"counts/{quantity}/{name}", amount
        if len(counted) == len(layers):
            yield f"counts/{quantity}", sum(per_inference.values())


def _costs(record: RunRecord) -> Pairs:
    """Yield durations [s] and peak memory [bytes]."""
    yield "timing/fit_s", record.timing.fit_s
    yield "timing/test_s", record.timing.test_s
    yield "timing/total_s", record.timing.total_s
    yield "memory/peak_bytes", record.peak_memory_bytes
