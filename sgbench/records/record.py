"""The record of one run: the only source of truth; loggers receive copies."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    model_validator,
)

from sgbench.records.base import MAX_WHOLE, Amount, Grown, Natural, Number, Positive, Strict, Text, whole
from sgbench.records.consistency import contradictions
from sgbench.records.counts import OpCounts
from sgbench.records.method import method_id
from sgbench.records.spec import Method

SCHEMA_VERSION = 1
MethodId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{12}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
SplitName = Literal["train", "validation", "test"]


def _utc(value: str) -> str:
    try:
        offset = datetime.fromisoformat(value).utcoffset()
    except ValueError:
        offset = None
    if offset != timedelta(0):
        raise ValueError("an ISO 8601 time in UTC such as 2026-01-31T12:00:00+00:00 is needed")
    return value


Time = Annotated[str, Field(max_length=40), AfterValidator(_utc)]
Version = Annotated[Literal[1], BeforeValidator(whole)]


class LayerActivity(Strict):
    """Spiking activity of one layer over a whole split."""

    name: str = Field(max_length=100)
    rate_per_step: Amount  # spikes per neuron and time step
    rate_hz: Amount
    dead_fraction: Fraction  # neurons without one spike on the whole split
    saturated_fraction: Fraction  # neurons that fire in more than 90 % of all steps


class Scores(Grown):
    """Scores of the selected weights on one split."""

    LATER: ClassVar[frozenset[str]] = frozenset({"labels"})

    samples: Positive
    accuracy: Fraction | None  # None where the target is no class; then the loss is the score
    loss: Number
    activity: tuple[LayerActivity, ...]
    labels: Positive | None = None
    """Labelled steps, of which accuracy is the share that is right, where each step has a class of its own."""


class EpochScores(Strict):
    """One line of the training curve."""

    epoch: Natural
    train_loss: Number
    validation_loss: Number
    validation_accuracy: Fraction | None


class EpochOnTest(Strict):
    """What the weights of one epoch score on the test split."""

    epoch: Natural
    accuracy: Fraction | None
    loss: Number


class SelectedOnTest(Strict):
    """The epochs that selecting on the test split would have picked; of equal ones the first. No result."""

    by_loss: EpochOnTest
    by_accuracy: EpochOnTest | None  # None where there are no classes


class Failure(Strict):
    """Why a run has no result."""

    kind: str = Field(max_length=100)
    message: str = Field(max_length=2000)


class Timing(Strict):
    """Wall-clock seconds; a continued run adds up its parts."""

    fit_s: Amount
    test_s: Amount
    total_s: Amount
    resumed: Natural  # how often the run was continued after an interruption


class HostEnergy(Strict):
    """What one meter of the host counted, idle power included."""

    meter: Text = Field(max_length=100)
    fit_j: Amount
    test_j: Amount


class Provenance(Grown):
    """By what, on what and from what a record was made."""

    LATER: ClassVar[frozenset[str]] = frozenset({"truncated_spikes"})

    commit: Commit | None
    clean: bool | None
    versions: dict[Text, Text]
    python: Text = Field(max_length=100)
    platform: Text = Field(max_length=200)
    processor: Text = Field(max_length=200)
    device: Text = Field(max_length=100)
    threads: Positive
    engine: Text = Field(max_length=100)
    engine_reason: Text = Field(max_length=500)
    data_sha256: Sha256 | None
    created_utc: Time
    truncated_spikes: dict[SplitName, Positive] | None = None
    """Spikes beyond the protocol's last step, of the splits that have any."""


@dataclass
class _Known:
    id: str
    finding: tuple[str, ...] | None = None


class KnownMethods:
    """The methods of many records, each hashed, checked and kept once; a validation context of `RunRecord`.

    Two methods are the same here only if their stored text is: 1, 1.0 and true are three different values.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._last: tuple[Method, _Known] | None = None

    def id_of(self, method: Method) -> str:
        """See `method_id`."""
        return self._entry(method).id

    def once(self, method: Method, find: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """What `find` says of the method; called for the first of all that are the same."""
        entry = self._entry(method)
        if entry.finding is None:
            entry.finding = find()
        return entry.finding

    def _entry(self, method: Method) -> _Known:
        if self._last is None or self._last[0] is not method:
            text = method.model_dump_json()
            if text not in self._known:
                self._known[text] = _Known(method_id(method))
            self._last = (method, self._known[text])
        return self._last[1]


FINAL, UNKNOWN = "final", "unknown"
"""When the test split was touched: in the last step, or nobody can say; otherwise the epoch is named."""
STAGE = re.compile(r"^(final|unknown|epoch [0-9]{1,6})$")
Stage = Annotated[str, StringConstraints(pattern=STAGE.pattern)]


class RunRecord(Grown):
    """Everything that is known of one run of one method with one seed."""

    LATER: ClassVar[frozenset[str]] = frozenset({"test_access", "host_energy", "test_selected"})

    schema_version: Version
    protocol: str = Field(max_length=80)
    method_id: MethodId
    seed: Natural
    status: Literal["finished", "failed"]
    failure: Failure | None
    method: Method
    classes: int | None = Field(ge=2, le=MAX_WHOLE)
    parameters: Natural | None  # trainable numbers
    best_epoch: Natural | None
    validation: Scores | None
    test: Scores | None
    curve: tuple[EpochScores, ...]
    counts: OpCounts | None
    predictions_sha256: Sha256 | None
    weights_sha256: Sha256 | None
    timing: Timing
    peak_memory_bytes: Natural | None
    provenance: Provenance
    test_access: tuple[Stage, ...] | None = Field(default=None, max_length=200_000)
    """Each time that the test split was touched, interrupted tries included; None: the record predates this."""
    host_energy: tuple[HostEnergy, ...] | None = Field(default=None, min_length=1, max_length=100)
    """None: no meter could be read, or not of this run alone from its first epoch on."""
    test_selected: SelectedOnTest | None = None
    """None: the test split was not scored after every epoch, as it never is unless that was asked for."""

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> RunRecord:
        named = info.context.id_of if isinstance(info.context, KnownMethods) else method_id
        if self.method_id != named(self.method):
            raise ValueError(f"method_id {self.method_id} is not the id of the method it names")
        if self.protocol != self.method.protocol.name:
            raise ValueError(f"protocol {self.protocol} is not the one of the method")
        problem = next(contradictions(self), None)
        if problem is not None:
            raise ValueError(problem)
        return self
