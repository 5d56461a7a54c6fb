"""The record of one run, from which everything else (tables, figures, loggers) is derived."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import ValidationInfo, model_validator

from sgbench.errors import SgbenchError
from sgbench.records.consistency import contradictions
from sgbench.records.content import EpochScores, RecordContent, Scores
from sgbench.records.counts import OpCounts
from sgbench.records.method import method_id
from sgbench.records.spec import Method
from sgbench.tables.shown import ShownTable
from sgbench.tables.table import Table, plain_table


@dataclass
class _Known:
    """Holds a method's id and, once computed, the result of `KnownMethods.once`."""

    id: str
    finding: tuple[str, ...] | None = None


class KnownMethods:
    """Keeps the id and check results of each method, when many records are validated (with it as `context`).

    Methods are equal if their JSON is equal, so 1, 1.0 and true are three different values.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}  # by the method's JSON
        self._last: tuple[Method, _Known] | None = None  # of the last call, for speed

    def id_of(self, method: Method) -> str:
        return self._entry(method).id

    def once(self, method: Method, find: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """Return the result of `find`, called once for all equal methods; `find` must be the same each time."""
        entry = self._entry(method)
        if entry.finding is None:
            entry.finding = find()
        return entry.finding

    def _entry(self, method: Method) -> _Known:
        """Return the cached values of a method, made on the first call with an equal one."""
        if self._last is None or self._last[0] is not method:
            text = method.model_dump_json()
            if text not in self._known:
                self._known[text] = _Known(method_id(method))
            self._last = (method, self._known[text])
        return self._last[1]


class Scored(NamedTuple):
    """Holds the results that every finished and tested run has."""

    validation: Scores
    test: Scores
    counts: OpCounts
    parameters: int
    best_epoch: int


class RunRecord(ShownTable, RecordContent):
    """Holds everything that is known of one run of one method with one seed."""

    @property
    def scored(self) -> Scored:
        """Return the scores of a finished run; SgbenchError if it failed or was never tested."""
        if self.status == "finished" and self.test is None:
            raise SgbenchError(
                f"run {self.method_id}: settings are chosen with seed {self.seed}, so it has no test scores"
            )
        if (
            self.validation is None
            or self.test is None
            or self.counts is None
            or self.parameters is None
            or self.best_epoch is None
        ):
            why = "" if self.failure is None else f" with {self.failure.kind}: {self.failure.message}"
            raise SgbenchError(f"run {self.method_id} of seed {self.seed} failed{why}; it has no scores")
        return Scored(self.validation, self.test, self.counts, self.parameters, self.best_epoch)

    def table(self) -> Table:
        """Return the run's identity, scores and time as a table of two columns."""
        splits = [(name, scores) for name in ("validation", "test") if (scores := getattr(self, name)) is not None]
        facts = {
            "protocol": self.protocol,
            "method": f"{self.method.label} {self.method_id}",
            "seed": str(self.seed),
            "status": self.status if self.failure is None else f"failed: {self.failure.message}",
            "epochs": f"{len(self.curve)}, of which {self.best_epoch} is selected",
            **{name: _scores_text(scores) for name, scores in splits},
            "training": f"{self.timing.fit_s:.3g} s",
        }
        return plain_table("run", [("run", ""), *facts.items()], text_columns=2)

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> RunRecord:
        """Refuse a record that contradicts itself; ids are looked up in `info.context`, if it knows the methods."""
        id_of = info.context.id_of if isinstance(info.context, KnownMethods) else method_id
        if self.method_id != id_of(self.method):
            raise ValueError(f"method_id {self.method_id} is not the id of the method it names")
        if self.protocol != self.method.protocol.name:
            raise ValueError(f"protocol {self.protocol} is not the one of the method")
        problem = next(contradictions(self), None)
        if problem is not None:
            raise ValueError(problem)
        return self


def _scores_text(scores: Scores) -> str:
    accuracy = "" if scores.accuracy is None else f"{scores.accuracy:.2%}, "
    rates = "".join(f"; {layer.name} {layer.rate_hz:.3g} Hz" for layer in scores.activity)
    return f"{accuracy}loss {scores.loss:.4g}{rates}"


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
    """Yield names and values of all that two runs of the same method and seed must share."""
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
